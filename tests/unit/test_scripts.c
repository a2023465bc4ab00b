/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: trace scripts, played to the reference
 *
 * tests/scripts/NAME.tcp holds scripts, each headed by "--- title". One line is one event:
 *
 *   open passive|active|both            a listener here | there | nowhere: SYNs may cross
 *   live                                data is not seen, facts come by "learn"
 *   adopt STATE una N nxt N rcv N       picked up in mid-life
 *   >  FLAGS SEQ:END [ack N] [OPTION]   sent; FLAGS of S F R P U and . for ACK, as tcpdump has them
 *   <  ...                              received; OPTION: win N, wscale N, ts N
 *   learn [una N] [nxt N] [rcv N]       facts about the local end
 *   expire                              2 MSL, or the user timeout
 *
 * Numbers are relative to the sender's first sequence number; END - SEQ is the length of the text.
 * Then "=> LOCAL | REMOTE", the states of both ends after it; and after ";" the verdicts other
 * than ok, the anomalies, and "syn" (unanswered) or "fin" (pending) that must be met: words of the
 * local end, or of the remote end after "/". A word that is met and not written fails too.
 * "==>" says that both ends have settled: then the same must hold with the roles mirrored.
 *
 * Every script runs with initial sequence numbers on both sides of 0 and of 2^31; mirrored, where
 * it has "==>"; and once for each of its segments with that one duplicated: the same states.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcp/dialogue.h"
#include "tcp_defs.h"

#define LINES_MAX 64
#define WORDS_MAX 160

enum verb {
	VERB_SENT,
	VERB_RECEIVED,
	VERB_LEARN,
	VERB_EXPIRE
};

struct line {
	int number;
	enum verb verb;
	struct tcp_segment seg; /* sequence numbers relative */
	struct endpoint_facts facts;
	bool checked, settled;
	enum fsm_state local, remote;
	char words[2][WORDS_MAX]; /* expected: local's, remote's; each word between spaces */
};

struct script {
	const char *path;
	char title[128];
	enum fsm_state local, remote;
	bool live, adopted;
	struct endpoint_facts facts;
	struct line lines[LINES_MAX];
	size_t count;
};

static const struct {
	seq_t local, remote;
} isn_pairs[] = {
	{ 1000, 500000 },	    { 0, 0 },
	{ 0xffffffff, 0xffffffff }, { 0xfffffffe, 0x7ffffffe },
	{ 0x7fffffff, 0xffffff9c }, { 0xffffffce, 0x80000000 },
};

static bool cells_met[FSM_NR_STATES][EV_NR];

static _Noreturn void complain(const struct script *script, int number, const char *text)
{
	fail_msg("%s:%d: %s: %s", script->path, number, script->title, text);
	abort();
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum fsm_state read_state(const struct script *script, int number, const char *name)
{
	int state;

	for (state = 0; state < FSM_NR_STATES; state++) {
		if (name && strcmp(name, fsm_state_name(state)) == 0)
			return state;
	}
	complain(script, number, name ? name : "a state is missing");
}

static uint32_t read_number(const struct script *script, int number, char **rest)
{
	char *word = strtok_r(NULL, " \t", rest), *end;
	unsigned long value;

	if (!word)
		complain(script, number, "a number is missing");
	value = strtoul(word, &end, 0);
	if (*end)
		complain(script, number, word);
	return (uint32_t)value;
}

static uint8_t read_flags(const struct script *script, int number, const char *word)
{
	static const char letters[] = "FSRP.U";
	uint8_t flags = 0;

	for (; word && *word; word++) {
		const char *letter = strchr(letters, *word);

		if (*word == '-')
			continue;
		if (!letter)
			complain(script, number, word);
		flags |= 1 << (letter - letters);
	}
	return flags;
}

static void read_segment(const struct script *script, struct line *line, char **rest)
{
	char *word, *colon;

	line->seg.flags = read_flags(script, line->number, strtok_r(NULL, " \t", rest));
	line->seg.window = 1000;
	word = strtok_r(NULL, " \t", rest);
	colon = word ? strchr(word, ':') : NULL;
	if (!colon)
		complain(script, line->number, "SEQ:END is missing");
	line->seg.seq = (seq_t)strtol(word, NULL, 0);
	line->seg.len = (uint32_t)strtol(colon + 1, NULL, 0) - line->seg.seq;
	while ((word = strtok_r(NULL, " \t", rest))) {
		uint32_t value = read_number(script, line->number, rest);

		if (strcmp(word, "ack") == 0) {
			line->seg.ack = value;
		} else if (strcmp(word, "win") == 0) {
			line->seg.window = (uint16_t)value;
		} else if (strcmp(word, "wscale") == 0) {
			line->seg.options |= TCPO_WSCALE;
			line->seg.wscale = (uint8_t)value;
		} else if (strcmp(word, "ts") == 0) {
			line->seg.options |= TCPO_TIMESTAMP;
			line->seg.tsval = value;
		} else {
			complain(script, line->number, word);
		}
	}
}

static void read_facts(const struct script *script, int number, char **rest,
		       struct endpoint_facts *ret)
{
	char *word;

	while ((word = strtok_r(NULL, " \t", rest))) {
		uint32_t value = read_number(script, number, rest);

		if (strcmp(word, "una") == 0) {
			ret->known |= KNOWN_SND_UNA;
			ret->snd_una = value;
		} else if (strcmp(word, "nxt") == 0) {
			ret->known |= KNOWN_SND_NXT;
			ret->snd_nxt = value;
		} else if (strcmp(word, "rcv") == 0) {
			ret->known |= KNOWN_RCV_NXT;
			ret->rcv_nxt = value;
		} else {
			complain(script, number, word);
		}
	}
}

/* "LOCAL | REMOTE ; words / words" */
static void read_expected(const struct script *script, struct line *line, char *text)
{
	char *semicolon = strchr(text, ';'), *slash, *rest;

	if (semicolon) {
		*semicolon = '\0';
		slash = strchr(semicolon + 1, '/');
		if (slash)
			*slash = '\0';
		snprintf(line->words[0], WORDS_MAX, " %s ", semicolon + 1);
		snprintf(line->words[1], WORDS_MAX, " %s ", slash ? slash + 1 : "");
	}
	line->checked = true;
	line->local = read_state(script, line->number, strtok_r(text, " \t|", &rest));
	line->remote = read_state(script, line->number, strtok_r(NULL, " \t|", &rest));
}

static void read_head(struct script *script, int number, char *verb, char **rest)
{
	char *word;

	if (strcmp(verb, "live") == 0) {
		script->live = true;
	} else if (strcmp(verb, "adopt") == 0) {
		script->adopted = true;
		script->local = read_state(script, number, strtok_r(NULL, " \t", rest));
		read_facts(script, number, rest, &script->facts);
	} else if (strcmp(verb, "open") == 0) {
		word = strtok_r(NULL, " \t", rest);
		if (!word)
			complain(script, number, "open how?");
		script->local = strcmp(word, "passive") == 0 ? FSM_LISTEN : FSM_CLOSED;
		script->remote = strcmp(word, "active") == 0 ? FSM_LISTEN : FSM_CLOSED;
	} else {
		complain(script, number, verb);
	}
}

static void read_line(struct script *script, int number, char *text)
{
	char *arrow = strstr(text, "=>"), *rest, *verb;
	struct line *line = &script->lines[script->count];

	memset(line, 0, sizeof(*line));
	line->number = number;
	if (arrow) {
		line->settled = arrow > text && arrow[-1] == '=';
		arrow[line->settled ? -1 : 0] = '\0';
		read_expected(script, line, arrow + 2);
	}
	verb = strtok_r(text, " \t", &rest);
	if (strcmp(verb, ">") == 0 || strcmp(verb, "<") == 0) {
		line->verb = *verb == '>' ? VERB_SENT : VERB_RECEIVED;
		read_segment(script, line, &rest);
	} else if (strcmp(verb, "learn") == 0) {
		line->verb = VERB_LEARN;
		read_facts(script, number, &rest, &line->facts);
	} else if (strcmp(verb, "expire") == 0) {
		line->verb = VERB_EXPIRE;
	} else {
		read_head(script, number, verb, &rest);
		return;
	}
	if (!line->checked)
		complain(script, number, "what is to be expected?");
	if (++script->count == LINES_MAX)
		complain(script, number, "too many lines");
}

/* ---- playing ------------------------------------------------------------------------------ */

struct play {
	const struct script *script;
	seq_t local_isn, remote_isn;
	bool mirrored;
	size_t doubled; /* the line whose segment comes twice; count = none */
};

static void collect(const struct endpoint_steps *steps, char words[WORDS_MAX], bool mark)
{
	size_t used = strlen(words);
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		const struct fsm_step *step = &steps->at[i];

		if (mark)
			cells_met[step->from][step->event] = true;
		if (step->verdict != V_OK)
			used += snprintf(words + used, WORDS_MAX - used, " %s",
					 fsm_verdict_label(step->verdict));
		if (step->anomaly)
			used += snprintf(words + used, WORDS_MAX - used, " %s",
					 fsm_anomaly_label(step->anomaly));
	}
}

/* Every word of one list is in the other. */
static bool includes(const char *list, const char *words)
{
	char copy[WORDS_MAX], padded[WORDS_MAX + 2], wanted[WORDS_MAX + 2], *rest, *word;

	snprintf(copy, sizeof(copy), "%s", words);
	snprintf(padded, sizeof(padded), " %s ", list);
	for (word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		snprintf(wanted, sizeof(wanted), " %s ", word);
		if (!strstr(padded, wanted))
			return false;
	}
	return true;
}

static void check_line(const struct play *play, const struct line *line,
		       const struct tcp_dialogue *talk, const struct dialogue_steps *steps,
		       bool words)
{
	enum fsm_state local = play->mirrored ? line->remote : line->local;
	enum fsm_state remote = play->mirrored ? line->local : line->remote;
	char met[2][WORDS_MAX] = { "", "" }, text[1024];
	bool good = talk->local.state == local && talk->remote.state == remote;
	int i;

	if (dialogue_syn_unanswered(talk))
		strcat(met[0], " syn");
	if (dialogue_fin_pending(talk))
		strcat(met[0], " fin");
	collect(&steps->local, met[0], true);
	collect(&steps->remote, met[1], true);
	for (i = 0; words && i < 2; i++)
		good = good && includes(met[i], line->words[i]) && includes(line->words[i], met[i]);
	if (good)
		return;
	snprintf(text, sizeof(text), "%s | %s ;%s /%s (isn %x %x%s, line doubled: %zu)",
		 fsm_state_name(talk->local.state), fsm_state_name(talk->remote.state), met[0],
		 met[1], play->local_isn, play->remote_isn, play->mirrored ? ", mirrored" : "",
		 play->doubled);
	complain(play->script, line->number, text);
}

static void play_line(const struct play *play, const struct line *line, struct tcp_dialogue *talk,
		      struct dialogue_steps *ret_steps)
{
	bool sent = line->verb == VERB_SENT;
	struct tcp_segment seg = line->seg;
	struct endpoint_facts facts = line->facts;

	switch (line->verb) {
	case VERB_SENT:
	case VERB_RECEIVED:
		sent ^= play->mirrored;
		seg.seq += sent ? play->local_isn : play->remote_isn;
		if (seg.flags & TCPF_ACK)
			seg.ack += sent ? play->remote_isn : play->local_isn;
		(sent ? dialogue_sent : dialogue_received)(talk, &seg, ret_steps);
		break;
	case VERB_LEARN:
		facts.snd_una += play->local_isn;
		facts.snd_nxt += play->local_isn;
		facts.rcv_nxt += play->remote_isn;
		dialogue_learn(talk, &facts, ret_steps);
		break;
	case VERB_EXPIRE:
		dialogue_expire(talk, ret_steps);
		break;
	}
}

static void play(const struct play *play)
{
	const struct script *script = play->script;
	struct endpoint_facts facts = script->facts;
	struct dialogue_steps steps;
	struct tcp_dialogue talk;
	size_t i;

	dialogue_init(&talk, play->mirrored ? script->remote : script->local,
		      play->mirrored ? script->local : script->remote, script->live);
	if (script->adopted) {
		facts.snd_una += play->local_isn;
		facts.snd_nxt += play->local_isn;
		facts.rcv_nxt += play->remote_isn;
		dialogue_adopt(&talk, script->local, &facts, script->live);
	}
	for (i = 0; i < script->count; i++) {
		const struct line *line = &script->lines[i];

		play_line(play, line, &talk, &steps);
		if (!play->mirrored || line->settled)
			check_line(play, line, &talk, &steps,
				   !play->mirrored && play->doubled == script->count);
		if (play->doubled != i || line->verb > VERB_RECEIVED)
			continue;
		/* Facts are told with each segment anew. */
		if (i > 0 && line[-1].verb == VERB_LEARN)
			play_line(play, &line[-1], &talk, &steps);
		play_line(play, line, &talk, &steps);
		check_line(play, line, &talk, &steps, false);
	}
}

static void play_all(const struct script *script)
{
	bool settles = false;
	size_t pair, i;

	for (i = 0; i < script->count; i++)
		settles |= script->lines[i].settled;
	for (pair = 0; pair < sizeof(isn_pairs) / sizeof(*isn_pairs); pair++) {
		struct play how = { script, isn_pairs[pair].local, isn_pairs[pair].remote, false,
				    script->count };

		play(&how);
		for (how.doubled = 0; how.doubled < script->count; how.doubled++)
			play(&how);
		how.mirrored = true;
		if (settles)
			play(&how);
	}
}

static size_t play_file(const char *path)
{
	static struct script script;
	FILE *file = fopen(path, "r");
	char text[512];
	size_t played = 0;
	int number = 0;

	assert_non_null(file);
	memset(&script, 0, sizeof(script));
	script.path = path;
	while (fgets(text, sizeof(text), file)) {
		number++;
		text[strcspn(text, "#\n")] = '\0';
		if (strncmp(text, "--- ", 4) == 0) {
			if (script.count)
				play_all(&script);
			memset(&script, 0, sizeof(script));
			script.path = path;
			snprintf(script.title, sizeof(script.title), "%.100s", text + 4);
			played++;
		} else if (text[strspn(text, " \t")]) {
			read_line(&script, number, text);
		}
	}
	fclose(file);
	if (script.count)
		play_all(&script);
	return played;
}

static void scripts_hold(void **state)
{
	size_t i, scripts = 0;
	glob_t files;

	(void)state;
	assert_int_equal(glob("tests/scripts/*.tcp", 0, NULL, &files), 0);
	for (i = 0; i < files.gl_pathc; i++)
		scripts += play_file(files.gl_pathv[i]);
	print_message("%zu scripts in %zu files\n", scripts, files.gl_pathc);
	globfree(&files);
	assert_true(scripts > 0);
}

/* After the scripts: each cell of the table that is not impossible was met in one of them. */
static void scripts_cover_table(void **state)
{
	size_t missed = 0, cells = 0;
	int from, event;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++) {
			if (fsm_table[from][event].verdict == V_NEVER) {
				assert_false(cells_met[from][event]);
				continue;
			}
			cells++;
			if (cells_met[from][event])
				continue;
			missed++;
			print_error("no script meets %s in %s\n", fsm_event_name(event),
				    fsm_state_name(from));
		}
	}
	print_message("%zu of %zu cells\n", cells - missed, cells);
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_hold),
		cmocka_unit_test(scripts_cover_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
