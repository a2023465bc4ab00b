/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes become a life: a dialogue that is opened or picked up in any state, and segments in
 * both directions, facts and timeouts, whose numbers lie near those that matter. After each,
 * every invariant of unit/invariants.c holds, no impossible cell is met, and the RST that is
 * acceptable to the letter closes the connection.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcp_defs.h"
#include "unit/invariants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A life is short: then no two numbers come to lie half the circle apart unless one is wild. */
#define TURNS_MAX 256

struct input {
	const uint8_t *at, *end;
};

static uint8_t next_byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

/* Near one of the variables that tests compare with; *wild when it may be anywhere. */
static seq_t next_number(struct input *input, const seq_t base[4], bool *wild)
{
	static const uint32_t far[] = { 0, 1000, 65535, 1u << 29 };
	uint8_t how = next_byte(input);
	seq_t number = base[how & 3] + (seq_t)(int8_t)next_byte(input);

	if ((how & 0xf0) == 0xf0) {
		*wild = true;
		return number + ((uint32_t)next_byte(input) << 24);
	}
	/* Only SND.UNA and RCV.NXT may be left far behind: a step further each time adds up. */
	if ((how & 0xc0) == 0xc0)
		return base[3] + far[how >> 4 & 3];
	return number;
}

static struct tcp_segment next_segment(struct input *input, const struct tcp_dialogue *talk,
				       bool sent, bool *wild)
{
	const struct tcp_endpoint *end = &talk->local;
	const seq_t ours[] = { end->snd_nxt, end->iss, end->snd_fin, end->snd_una };
	const seq_t theirs[] = { end->rcv_nxt, end->irs, end->rcv_fin, end->rcv_nxt };
	const uint32_t times[] = { end->ts_recent, end->ts_recent, 0, end->ts_recent };
	struct tcp_segment seg = { .flags = next_byte(input) & 0x3f };
	uint8_t more = next_byte(input);

	seg.seq = next_number(input, sent ? ours : theirs, wild);
	if (seg.flags & TCPF_ACK)
		seg.ack = next_number(input, sent ? theirs : ours, wild);
	seg.len = more & 7;
	seg.window = more & 0x08 ? 0 : 1000;
	if (more & 0x10) {
		seg.options |= TCPO_TIMESTAMP;
		seg.tsval = next_number(input, times, wild);
	}
	if (more & 0x20) {
		seg.options |= TCPO_WSCALE;
		seg.wscale = next_byte(input);
	}
	return seg;
}

/* Facts of one instant: what is acknowledged was sent. */
static struct endpoint_facts next_facts(struct input *input, const struct tcp_endpoint *end,
					bool *wild)
{
	const seq_t ours[] = { end->snd_nxt, end->snd_nxt, end->snd_nxt, end->snd_una };
	const seq_t theirs[] = { end->rcv_nxt, end->rcv_fin, end->rcv_nxt, end->rcv_nxt };
	uint8_t what = next_byte(input);
	struct endpoint_facts facts = {
		.known = what & (KNOWN_SND_NXT | KNOWN_SND_UNA | KNOWN_RCV_NXT),
		.lagging = what & 0x80,
	};

	facts.snd_nxt = next_number(input, ours, wild);
	facts.snd_una = facts.snd_nxt - next_byte(input);
	facts.rcv_nxt = next_number(input, theirs, wild);
	/* A kernel that has acknowledged our FIN has sent it; SND.NXT is never older than UNA. */
	if (facts.known & KNOWN_SND_UNA)
		facts.known |= KNOWN_SND_NXT;
	return facts;
}

static void begin(struct input *input, struct tcp_dialogue *talk, bool *wild)
{
	static const enum fsm_state starts[] = { FSM_CLOSED, FSM_LISTEN };
	const struct tcp_endpoint nothing = { 0 };
	uint8_t how = next_byte(input);
	struct endpoint_facts facts;

	if (how & 0x80) {
		facts = next_facts(input, &nothing, wild);
		dialogue_adopt(talk, (how & 0x0f) % FSM_NR_STATES, &facts, how & 0x40);
	} else {
		dialogue_init(talk, starts[how & 1], starts[how >> 1 & 1], how & 0x40);
	}
}

static _Noreturn void complain(const char *what, const struct tcp_dialogue *before,
			       const struct tcp_dialogue *after)
{
	fprintf(stderr, "%s: %s | %s, then %s | %s\n", what, fsm_state_name(before->local.state),
		fsm_state_name(before->remote.state), fsm_state_name(after->local.state),
		fsm_state_name(after->remote.state));
	abort();
}

/* RFC 9293 §3.10.7: LISTEN ignores it, every other state ends by it. */
static void check_rst_closes(const struct tcp_dialogue *talk)
{
	struct tcp_segment rst = { .seq = talk->local.rcv_nxt,
				   .ack = talk->local.snd_nxt,
				   .flags = TCPF_RST | TCPF_ACK };
	struct tcp_dialogue copy = *talk;
	struct dialogue_steps steps;
	enum fsm_state wanted = talk->local.state == FSM_LISTEN ? FSM_LISTEN : FSM_CLOSED;

	/* Facts may have taken SND.NXT half the circle away from the SYN that waits. */
	if (copy.local.state == FSM_SYN_SENT && seq_le(copy.local.snd_nxt, copy.local.iss))
		return;
	dialogue_received(&copy, &rst, &steps);
	if (copy.local.state != wanted)
		complain("an exact RST does not close", talk, &copy);
}

static void turn(struct input *input, struct tcp_dialogue *talk, bool *wild)
{
	struct tcp_dialogue before = *talk;
	struct dialogue_steps steps;
	struct tcp_segment seg;
	struct endpoint_facts facts;
	uint8_t verb = next_byte(input) & 15;
	const char *broken;

	if (verb == 15) {
		dialogue_expire(talk, &steps);
	} else if (verb >= 13) {
		facts = next_facts(input, &talk->local, wild);
		dialogue_learn(talk, &facts, &steps);
	} else {
		seg = next_segment(input, talk, verb & 1, wild);
		(verb & 1 ? dialogue_sent : dialogue_received)(talk, &seg, &steps);
		before.local.flags &= ~EP_FRESH; /* it was for this segment */
		if (dialogue_restarts(&steps) && memcmp(&before, talk, sizeof(before)) != 0)
			complain("a new life changed the old one", &before, talk);
	}
	broken = broken_invariant(&before, talk, &steps, !*wild);
	if (broken)
		complain(broken, &before, talk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, data + size };
	struct tcp_dialogue talk;
	bool wild = false;
	int turns;

	begin(&input, &talk, &wild);
	for (turns = 0; turns < TURNS_MAX && input.at < input.end; turns++) {
		turn(&input, &talk, &wild);
		check_rst_closes(&talk);
	}
	return 0;
}
