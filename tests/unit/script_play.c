/* SPDX-License-Identifier: GPL-2.0-only */
/* The player of trace scripts: what a script says is done to a dialogue, and compared. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tcp_defs.h"
#include "unit/invariants.h"
#include "unit/script.h"

struct playing {
	const struct script *script;
	const struct script_play *how;
	bool (*met)[EV_NR];
	char *error;
};

static void append(char words[SCRIPT_WORDS_MAX], const char *word)
{
	size_t used = strlen(words);

	snprintf(words + used, SCRIPT_WORDS_MAX - used, " %s", word);
}

static void collect(const struct playing *playing, const struct endpoint_steps *steps,
		    char words[SCRIPT_WORDS_MAX])
{
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		const struct fsm_step *step = &steps->at[i];

		if (playing->met)
			playing->met[step->from][step->event] = true;
		if (step->verdict != V_OK)
			append(words, fsm_verdict_label(step->verdict));
		if (step->anomaly)
			append(words, fsm_anomaly_label(step->anomaly));
	}
}

/* Every word of one list is in the other. */
static bool includes(const char *list, const char *words)
{
	char copy[SCRIPT_WORDS_MAX], padded[SCRIPT_WORDS_MAX + 2], wanted[SCRIPT_WORDS_MAX + 2];
	char *rest, *word;

	snprintf(copy, sizeof(copy), "%s", words);
	snprintf(padded, sizeof(padded), " %s ", list);
	for (word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		snprintf(wanted, sizeof(wanted), " %s ", word);
		if (!strstr(padded, wanted))
			return false;
	}
	return true;
}

static bool complain(const struct playing *playing, const struct script_line *line,
		     const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool complain(const struct playing *playing, const struct script_line *line,
		     const char *format, ...)
{
	const struct script_play *how = playing->how;
	char text[SCRIPT_ERROR_MAX - 300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(playing->error, SCRIPT_ERROR_MAX,
		 "%d: %s: %s (isn %x %x%s, line doubled: %zu, dropped: %zu)", line->number,
		 playing->script->title, text, how->local_isn, how->remote_isn,
		 how->mirrored ? ", mirrored" : "", how->doubled, how->dropped);
	return false;
}

/* words: not only the states, but what was said on the way must be as written. */
static bool check_line(const struct playing *playing, const struct script_line *line,
		       const struct tcp_dialogue *talk, const struct dialogue_steps *steps,
		       bool words)
{
	bool mirrored = playing->how->mirrored;
	enum fsm_state local = mirrored ? line->remote : line->local;
	enum fsm_state remote = mirrored ? line->local : line->remote;
	char met[2][SCRIPT_WORDS_MAX] = { "", "" };
	bool good = talk->local.state == local;
	int i, ends = line->remote_told ? 2 : 1;

	if (dialogue_syn_unanswered(talk))
		append(met[0], "syn");
	if (dialogue_fin_pending(talk))
		append(met[0], "fin");
	collect(playing, &steps->local, met[0]);
	collect(playing, &steps->remote, met[1]);
	good = good && (!line->remote_told || talk->remote.state == remote);
	for (i = 0; words && i < ends; i++)
		good = good && includes(met[i], line->words[i]) && includes(line->words[i], met[i]);
	return good || complain(playing, line, "%s | %s ;%s /%s", fsm_state_name(talk->local.state),
				fsm_state_name(talk->remote.state), met[0], met[1]);
}

/* Plays the line, and checks what must hold whatever is played. */
static bool play_line(const struct playing *playing, const struct script_line *line,
		      struct tcp_dialogue *talk, struct dialogue_steps *ret_steps)
{
	const struct script_play *how = playing->how;
	const struct tcp_dialogue before = *talk;
	bool sent = line->verb == VERB_SENT;
	struct tcp_segment seg = line->seg;
	struct endpoint_facts facts = line->facts;
	const char *broken;

	switch (line->verb) {
	case VERB_SENT:
	case VERB_RECEIVED:
		sent ^= how->mirrored;
		seg.seq += sent ? how->local_isn : how->remote_isn;
		if (seg.flags & TCPF_ACK)
			seg.ack += sent ? how->remote_isn : how->local_isn;
		(sent ? dialogue_sent : dialogue_received)(talk, &seg, ret_steps);
		break;
	case VERB_LEARN:
		facts.snd_una += how->local_isn;
		facts.snd_nxt += how->local_isn;
		facts.rcv_nxt += how->remote_isn;
		dialogue_learn(talk, &facts, ret_steps);
		break;
	case VERB_EXPIRE:
		dialogue_expire(talk, ret_steps);
		break;
	}
	broken = broken_invariant(&before, talk, ret_steps, false);
	return !broken || complain(playing, line, "%s", broken);
}

/* Facts are told with each segment anew: those before line `at`, past what was only tried. */
static bool learn_again(const struct playing *playing, size_t at, struct tcp_dialogue *talk)
{
	const struct script_line *lines = playing->script->lines;
	struct dialogue_steps steps;

	while (at > 0 && lines[at - 1].tried)
		at--;
	if (at == 0 || lines[at - 1].verb != VERB_LEARN)
		return true;
	return play_line(playing, &lines[at - 1], talk, &steps);
}

static bool play_at(const struct playing *playing, size_t at, struct tcp_dialogue *talk)
{
	const struct script_play *how = playing->how;
	const struct script_line *line = &playing->script->lines[at];
	bool checked = how->dropped == SCRIPT_LINES_MAX && (!how->mirrored || line->settled);
	bool words = !how->mirrored && how->doubled == SCRIPT_LINES_MAX;
	struct dialogue_steps steps;

	if (!play_line(playing, line, talk, &steps))
		return false;
	if (checked && !check_line(playing, line, talk, &steps, words))
		return false;
	if (how->doubled != at || line->verb > VERB_RECEIVED)
		return true;
	return learn_again(playing, at, talk) && play_line(playing, line, talk, &steps) &&
	       check_line(playing, line, talk, &steps, false);
}

bool script_play(const struct script *script, const struct script_play *how,
		 bool met[FSM_NR_STATES][EV_NR], char error[SCRIPT_ERROR_MAX])
{
	const struct playing playing = { script, how, met, error };
	struct endpoint_facts facts = script->facts;
	struct tcp_dialogue talk, kept;
	size_t i;

	dialogue_init(&talk, how->mirrored ? script->remote : script->local,
		      how->mirrored ? script->local : script->remote, script->live);
	if (script->adopted) {
		facts.snd_una += how->local_isn;
		facts.snd_nxt += how->local_isn;
		facts.rcv_nxt += how->remote_isn;
		dialogue_adopt(&talk, script->local, &facts, script->live);
	}
	for (i = 0; i < script->count; i++) {
		if (i == how->dropped)
			continue;
		kept = talk;
		if (!play_at(&playing, i, &talk))
			return false;
		if (script->lines[i].tried)
			talk = kept;
	}
	return true;
}
