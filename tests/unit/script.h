/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: trace scripts, read and played to the reference
 *
 * tests/scripts/NAME.tcp holds scripts, each headed by "--- title". One line is one event:
 *
 *   open passive|active|both            a listener here | there | nowhere: SYNs may cross
 *   live                                data is not seen, facts come by "learn"
 *   adopt STATE una N nxt N rcv N       picked up in mid-life
 *   >  FLAGS SEQ:END [ack N] [OPTION]   sent; FLAGS of S F R P U and . for ACK, as tcpdump has them
 *   <  ...                              received; OPTION: win N, wscale N, ts N
 *   ?< ...  ?> ...                      the same, tried: the next line finds all as it was before
 *   learn [una N] [nxt N] [rcv N]       facts about the local end
 *   expire                              2 MSL, or the user timeout
 *
 * Numbers are relative to the sender's first sequence number; END - SEQ is the length of the text.
 * Then "=> LOCAL | REMOTE", the states of both ends after it; and after ";" the verdicts other
 * than ok, the anomalies, and "syn" (unanswered) or "fin" (pending) that must be met: words of the
 * local end, or of the remote end after "/". A word that is met and not written fails too.
 * "=> LOCAL" alone leaves the remote end out of it, its words too. "==>" says that both ends have
 * settled: then the same must hold with the roles mirrored.
 *
 * The reader and the player allocate nothing and end no test by themselves.
 */
#ifndef TCPWITNESS_TESTS_SCRIPT_H
#define TCPWITNESS_TESTS_SCRIPT_H

#include "tcp/dialogue.h"

#define SCRIPT_LINES_MAX 96
#define SCRIPT_WORDS_MAX 400
#define SCRIPT_ERROR_MAX 1400

enum script_verb {
	VERB_SENT,
	VERB_RECEIVED,
	VERB_LEARN,
	VERB_EXPIRE
};

struct script_line {
	int number;
	enum script_verb verb;
	struct tcp_segment seg; /* sequence numbers relative */
	struct endpoint_facts facts;
	bool tried, settled;
	bool remote_told; /* REMOTE is written: it and its words are checked */
	enum fsm_state local, remote;
	char words[2][SCRIPT_WORDS_MAX]; /* expected: local's, remote's; each between spaces */
};

struct script {
	char title[128];
	enum fsm_state local, remote;
	bool live, adopted;
	struct endpoint_facts facts;
	struct script_line lines[SCRIPT_LINES_MAX];
	size_t count;
};

/* Where scripts are read from: text that need not end with a zero byte, and the place in it. */
struct script_source {
	const char *path, *text;
	size_t size, at;
	int number;
	char next_title[128]; /* of the script that begins at `at` */
	char error[SCRIPT_ERROR_MAX];
};

void script_source_init(struct script_source *source, const char *path, const char *text,
			size_t size);

/* 1: *ret is the next script; 0: there is none; -EINVAL: source->error says where and why. */
int script_read(struct script_source *source, struct script *ret);

/* How a script is played. */
struct script_play {
	seq_t local_isn, remote_isn;
	bool mirrored;	/* the roles; then only settled lines are checked */
	size_t doubled; /* the line whose segment comes twice; SCRIPT_LINES_MAX: none */
	size_t dropped; /* the line that is left out; then only invariants are checked */
};

/*
 * False: what was expected did not happen, and error says what did. Every cell that is met is
 * marked in `met`, which may be NULL.
 */
bool script_play(const struct script *script, const struct script_play *how,
		 bool met[FSM_NR_STATES][EV_NR], char error[SCRIPT_ERROR_MAX]);

#endif
