/* SPDX-License-Identifier: GPL-2.0-only */
/* Figure 5 once more, and the invariants of both ends of a dialogue. */
#include "unit/invariants.h"

#include "tcp_defs.h"

#define ALL_KNOWN                                                                                  \
	(KNOWN_ISS | KNOWN_SND_NXT | KNOWN_SND_UNA | KNOWN_IRS | KNOWN_RCV_NXT | KNOWN_RCV_EDGE |  \
	 KNOWN_TS_RECENT)

/* Every move between two states, and no other. Aborts and timeouts are told by rule below. */
static const struct {
	uint8_t from, event, to;
} moves[] = {
	{ FSM_CLOSED, EV_SEND_SYN, FSM_SYN_SENT },
	{ FSM_CLOSED, EV_SEND_SYNACK, FSM_SYN_RECEIVED },
	{ FSM_LISTEN, EV_SEND_SYN, FSM_SYN_SENT },
	{ FSM_LISTEN, EV_SEND_SYNACK, FSM_SYN_RECEIVED },
	{ FSM_SYN_SENT, EV_RCV_SYN, FSM_SYN_RECEIVED },
	{ FSM_SYN_SENT, EV_SEND_SYNACK, FSM_SYN_RECEIVED },
	{ FSM_SYN_SENT, EV_RCV_SYNACK, FSM_ESTABLISHED },
	{ FSM_SYN_SENT, EV_SEND_ACK_OF_SYN, FSM_ESTABLISHED },
	{ FSM_SYN_RECEIVED, EV_RCV_ACK_OF_SYN, FSM_ESTABLISHED },
	{ FSM_SYN_RECEIVED, EV_SEND_FIN, FSM_FIN_WAIT_1 },
	{ FSM_SYN_RECEIVED, EV_RCV_FIN, FSM_CLOSE_WAIT },
	/* LISTEN, but of the port; see fsm.c */
	{ FSM_SYN_RECEIVED, EV_RCV_SYN_GIVES_UP, FSM_CLOSED },
	{ FSM_ESTABLISHED, EV_SEND_FIN, FSM_FIN_WAIT_1 },
	{ FSM_ESTABLISHED, EV_RCV_FIN, FSM_CLOSE_WAIT },
	{ FSM_CLOSE_WAIT, EV_SEND_FIN, FSM_LAST_ACK },
	{ FSM_CLOSE_WAIT, EV_SEND_FIN_CROSSED, FSM_CLOSING },
	{ FSM_FIN_WAIT_1, EV_RCV_ACK_OF_FIN, FSM_FIN_WAIT_2 },
	{ FSM_FIN_WAIT_1, EV_RCV_FIN, FSM_CLOSING },
	{ FSM_FIN_WAIT_2, EV_RCV_FIN, FSM_TIME_WAIT },
	{ FSM_CLOSING, EV_RCV_ACK_OF_FIN, FSM_TIME_WAIT },
	{ FSM_LAST_ACK, EV_RCV_ACK_OF_FIN, FSM_CLOSED },
};

enum fsm_state figure_5(enum fsm_state from, enum fsm_event event)
{
	size_t i;

	for (i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
		if (moves[i].from == from && moves[i].event == event)
			return moves[i].to;
	}
	if (event == EV_TIMEOUT || event == EV_SEND_RST)
		return FSM_CLOSED;
	if (event == EV_RCV_RST && from != FSM_LISTEN)
		return FSM_CLOSED;
	return from;
}

/* The steps are a path from one state to the other, and each of its moves is one of figure 5. */
static const char *broken_path(enum fsm_state from, enum fsm_state to,
			       const struct endpoint_steps *steps)
{
	uint8_t i;

	if (steps->count > ENDPOINT_STEPS_MAX)
		return "more steps than fit";
	for (i = 0; i < steps->count; i++) {
		const struct fsm_step *step = &steps->at[i];

		if (step->event >= EV_NR || step->to >= FSM_NR_STATES)
			return "a step is outside the table";
		if (step->verdict == V_NEVER || step->anomaly == AN_IMPOSSIBLE)
			return fsm_event_name(step->event);
		if (step->from != from)
			return "a gap between two steps";
		if (step->to != from && figure_5(from, step->event) != step->to)
			return "a move that figure 5 does not have";
		from = step->to;
	}
	return from == to ? NULL : "the last step does not lead to the state";
}

static bool knows(const struct tcp_endpoint *end, uint8_t what)
{
	return (end->known & what) == what;
}

static bool has(const struct tcp_endpoint *end, uint8_t flag)
{
	return end->flags & flag;
}

static const char *broken_flags(const struct tcp_endpoint *before, const struct tcp_endpoint *end)
{
	const uint8_t fixed = EP_LIVE | EP_IMPLIED;

	if (end->state >= FSM_NR_STATES || (end->known & ~ALL_KNOWN))
		return "a value outside its enum";
	if ((before->flags ^ end->flags) & fixed)
		return "what an end is has changed";
	if (has(end, EP_SYN_PENDING) && end->state > FSM_LISTEN)
		return "a SYN waits for an answer that was given";
	if (has(end, EP_FIN_PENDING) && has(end, EP_FIN_RECEIVED))
		return "a FIN waits and was taken in";
	if (end->rcv_wscale > 14 && end->rcv_wscale != WSCALE_REFUSED &&
	    end->rcv_wscale != WSCALE_UNKNOWN)
		return "a window scale above 14";
	return NULL;
}

/* RFC 9293 §3.3.1: SND.UNA =< SND.NXT, and a FIN is the last octet of its direction. */
static const char *broken_order(const struct tcp_endpoint *end)
{
	if (end->state == FSM_CLOSED)
		return NULL;
	if (knows(end, KNOWN_SND_UNA | KNOWN_SND_NXT) && seq_gt(end->snd_una, end->snd_nxt))
		return "SND.UNA > SND.NXT";
	if (knows(end, KNOWN_SND_NXT) && has(end, EP_FIN_SENT) &&
	    seq_ge(end->snd_fin, end->snd_nxt))
		return "SND.NXT does not count our FIN";
	if (has(end, EP_FIN_RECEIVED) && seq_ge(end->rcv_fin, end->rcv_nxt))
		return "RCV.NXT does not count their FIN";
	return NULL;
}

static bool went_back(const struct tcp_endpoint *before, const struct tcp_endpoint *after,
		      uint8_t what, uint32_t old, uint32_t new)
{
	return knows(before, what) && (!knows(after, what) || seq_lt(new, old));
}

/* One segment may end a life and begin another: a SYN-ACK that was not seen tells of both. */
static bool is_one_life(const struct tcp_endpoint *before, const struct tcp_endpoint *after,
			const struct endpoint_steps *steps)
{
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		if (steps->at[i].to == FSM_CLOSED)
			return false;
	}
	return before->state >= FSM_SYN_RECEIVED && before->iss == after->iss;
}

/* Within one life nothing that is known is forgotten, and nothing goes back. */
static const char *broken_progress(const struct tcp_endpoint *before,
				   const struct tcp_endpoint *after)
{
	if (went_back(before, after, KNOWN_SND_UNA, before->snd_una, after->snd_una))
		return "SND.UNA went back";
	if (went_back(before, after, KNOWN_SND_NXT, before->snd_nxt, after->snd_nxt))
		return "SND.NXT went back";
	if (went_back(before, after, KNOWN_RCV_NXT, before->rcv_nxt, after->rcv_nxt))
		return "RCV.NXT went back";
	if (went_back(before, after, KNOWN_RCV_EDGE, before->rcv_edge, after->rcv_edge))
		return "the window's right edge went back";
	if (went_back(before, after, KNOWN_TS_RECENT, before->ts_recent, after->ts_recent))
		return "TS.Recent went back";
	return NULL;
}

static const char *broken_end(const struct tcp_endpoint *before, const struct tcp_endpoint *after,
			      const struct endpoint_steps *steps, bool ordered)
{
	const char *broken = broken_path(before->state, after->state, steps);

	if (!broken)
		broken = broken_flags(before, after);
	if (!broken && ordered)
		broken = broken_order(after);
	if (!broken && ordered && is_one_life(before, after, steps))
		broken = broken_progress(before, after);
	return broken;
}

const char *broken_invariant(const struct tcp_dialogue *before, const struct tcp_dialogue *after,
			     const struct dialogue_steps *steps, bool ordered)
{
	const char *broken = broken_end(&before->local, &after->local, &steps->local, ordered);

	if (!broken)
		broken = broken_end(&before->remote, &after->remote, &steps->remote, ordered);
	if (broken)
		return broken;
	if (after->in_flight & ~(TCPF_SYN | TCPF_ACK | TCPF_FIN))
		return "in flight, and neither SYN nor FIN";
	if ((after->in_flight & TCPF_FIN) && after->local.state >= FSM_FIN_WAIT_2)
		return "a FIN is in flight that was acknowledged";
	return NULL;
}
