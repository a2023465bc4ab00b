/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What holds for one end whatever it meets: random segments, most of them plausible, at an end
 * that is walked through random states.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "seeded.h"
#include "tcp/endpoint.h"
#include "tcp_defs.h"

#define WALKS 20000
#define WALK_STEPS 30

struct walk {
	uint64_t seed;
	struct seeded random;
	struct tcp_endpoint end;
	bool live;
};

#define holds(walk, condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("TEST_SEED=%llu in %s: %s", (unsigned long long)(walk)->seed,     \
				 fsm_state_name((walk)->end.state), #condition);                   \
	} while (0)

static uint8_t some_flags(struct seeded *random)
{
	static const uint8_t likely[] = {
		TCPF_ACK,
		TCPF_ACK,
		TCPF_ACK,
		TCPF_FIN | TCPF_ACK,
		TCPF_FIN | TCPF_ACK,
		TCPF_FIN | TCPF_PSH | TCPF_ACK,
		TCPF_RST,
		TCPF_RST | TCPF_ACK,
		TCPF_SYN,
		TCPF_SYN | TCPF_ACK,
		TCPF_SYN | TCPF_ACK,
		TCPF_URG | TCPF_ACK,
	};

	if (seeded_chance(random, 3))
		return seeded_next(random) & 0x3f;
	return likely[seeded_below(random, sizeof(likely))];
}

/* A number near one of two that matter, or nowhere. */
static seq_t near(struct seeded *random, seq_t a, seq_t b)
{
	if (seeded_chance(random, 3))
		return a + seeded_next(random);
	return (seeded_chance(random, 75) ? a : b) +
	       (seeded_chance(random, 60) ? 0 : seeded_below(random, 9) - 4);
}

static struct tcp_segment some_segment(struct walk *walk, bool sent)
{
	const struct tcp_endpoint *end = &walk->end;
	struct seeded *random = &walk->random;
	struct tcp_segment seg = {
		.flags = some_flags(random),
		.len = seeded_chance(random, 70) ? 0 : seeded_below(random, 5),
		.window = seeded_chance(random, 10) ? 0 : 100,
	};

	if (sent) {
		seg.seq = near(random, end->snd_nxt, end->iss);
		seg.ack = near(random, end->rcv_nxt, end->rcv_fin);
	} else {
		seg.seq = near(random, end->rcv_nxt, end->irs);
		seg.ack = near(random, end->snd_nxt, end->snd_una);
	}
	if (!(seg.flags & TCPF_ACK))
		seg.ack = 0;
	if (seeded_chance(random, 10)) {
		seg.options = TCPO_TIMESTAMP;
		seg.tsval = near(random, end->ts_recent, end->ts_recent + 1);
	}
	return seg;
}

static void begin(struct walk *walk, uint64_t seed, bool live)
{
	walk->seed = seed;
	walk->random.state = seed;
	walk->live = live;
	endpoint_init(&walk->end, seeded_chance(&walk->random, 50) ? FSM_LISTEN : FSM_CLOSED, live);
}

static void move(struct tcp_endpoint *end, const struct tcp_segment *seg, bool sent,
		 struct endpoint_steps *steps)
{
	memset(steps, 0, sizeof(*steps));
	if (sent)
		endpoint_send(end, seg, steps);
	else
		endpoint_receive(end, seg, steps);
}

/* What it does is a path: no event that the table calls impossible, no gap between steps. */
static void check_steps(struct walk *walk, enum fsm_state before,
			const struct endpoint_steps *steps)
{
	uint8_t i;

	holds(walk, steps->count > 0 && steps->count <= ENDPOINT_STEPS_MAX);
	for (i = 0; i < steps->count; i++) {
		if (steps->at[i].verdict == V_NEVER)
			fail_msg("TEST_SEED=%llu: impossible %s in %s",
				 (unsigned long long)walk->seed, fsm_event_name(steps->at[i].event),
				 fsm_state_name(before));
		holds(walk, steps->at[i].from == before);
		before = steps->at[i].to;
	}
	holds(walk, walk->end.state == before);
}

static bool drops_all(const struct endpoint_steps *steps)
{
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		if (steps->at[i].verdict == V_OK || steps->at[i].verdict == V_WAIT ||
		    steps->at[i].verdict == V_REARM)
			return false;
	}
	return true;
}

/* A RST that is acceptable to the letter. */
static void check_rst_closes(struct walk *walk)
{
	struct tcp_endpoint copy = walk->end;
	struct tcp_segment rst = { .seq = copy.rcv_nxt,
				   .ack = copy.snd_nxt,
				   .flags = TCPF_RST | TCPF_ACK };
	struct endpoint_steps steps;

	move(&copy, &rst, false, &steps);
	holds(walk, copy.state == (walk->end.state == FSM_LISTEN ? FSM_LISTEN : FSM_CLOSED));
}

/* Unacceptable segments change nothing: neither the state nor what is known. */
static void check_dropped(struct walk *walk, const struct tcp_endpoint *before,
			  const struct endpoint_steps *steps)
{
	struct tcp_endpoint copy = *before;

	if (!drops_all(steps))
		return;
	/* §3.10.7.1: a SYN to CLOSED is remembered, in case a listener answers after all. */
	if (steps->at[0].event == EV_RCV_SYN)
		return;
	copy.flags &= ~EP_FRESH;
	holds(walk, memcmp(&copy, &walk->end, sizeof(copy)) == 0);
}

/* The four cases of RFC 9293 §3.10.7.4, 1st, once more: not as the classifier computes them. */
static bool is_acceptable(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	uint32_t first = seg->seq - end->rcv_nxt, last;
	uint32_t window = seq_gt(end->rcv_edge, end->rcv_nxt) ? end->rcv_edge - end->rcv_nxt : 0;
	uint32_t length = seg->len + !!(seg->flags & TCPF_SYN) + !!(seg->flags & TCPF_FIN);

	if (length == 0)
		return window ? first < window : first == 0;
	last = first + length - 1;
	return first < window || last < window;
}

/* What the reference lets pass although it is not acceptable; the code says why at each. */
static bool is_exempt(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	seq_t after = seg->seq + seg->len + !!(seg->flags & TCPF_SYN) + !!(seg->flags & TCPF_FIN);
	/* "special allowance should be made to accept valid ACKs, URGs, and RSTs" */
	bool closed = seq_le(end->rcv_edge, end->rcv_nxt);

	if (seg->flags & TCPF_RST)
		return (closed && seg->seq == end->rcv_nxt) ||
		       (seg->seq == end->rcv_nxt - 1 && fsm_has_received_fin(end->state) &&
			end->state != FSM_TIME_WAIT);
	if (closed && seq_le(seg->seq, end->rcv_nxt) && seq_ge(after, end->rcv_nxt))
		return true;
	return after == end->rcv_nxt || (after == seg->seq && seg->seq == end->rcv_edge);
}

/* No transition on an unacceptable segment, except those that are named. */
static void check_unacceptable(struct walk *walk, const struct tcp_endpoint *before,
			       const struct tcp_segment *seg, size_t *count)
{
	const uint8_t needed = KNOWN_RCV_NXT | KNOWN_RCV_EDGE;

	if (walk->live || before->state <= FSM_SYN_SENT || (before->known & needed) != needed)
		return;
	if (is_acceptable(before, seg) || is_exempt(before, seg))
		return;
	holds(walk, walk->end.state == before->state);
	(*count)++;
}

/* The same segment once more: exact knowledge ends where it was. */
static void check_doubled(struct walk *walk, const struct tcp_segment *seg)
{
	struct tcp_endpoint copy = walk->end;
	struct endpoint_steps steps;

	if (walk->live || walk->end.state == FSM_CLOSED)
		return; /* CLOSED keeps the last SYN in mind */
	move(&copy, seg, false, &steps);
	holds(walk, copy.state == walk->end.state);
	holds(walk, copy.rcv_nxt == walk->end.rcv_nxt && copy.snd_una == walk->end.snd_una);
}

static void walks_hold(void **state)
{
	uint64_t seed = seed_of_run();
	struct endpoint_steps steps;
	size_t unacceptable = 0;
	struct walk walk;
	int i, k;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < WALKS; i++) {
		begin(&walk, seed + i, i % 4 == 3);
		for (k = 0; k < WALK_STEPS; k++) {
			bool sent = seeded_chance(&walk.random, 40);
			struct tcp_segment seg = some_segment(&walk, sent);
			struct tcp_endpoint before = walk.end;

			move(&walk.end, &seg, sent, &steps);
			check_steps(&walk, before.state, &steps);
			check_rst_closes(&walk);
			if (sent)
				continue;
			check_dropped(&walk, &before, &steps);
			check_unacceptable(&walk, &before, &seg, &unacceptable);
			check_doubled(&walk, &seg);
		}
	}
	print_message("%zu unacceptable segments\n", unacceptable);
	assert_true(unacceptable > WALKS / 10);
}

static struct tcp_segment shifted(struct tcp_segment seg, bool sent, seq_t local, seq_t remote)
{
	seg.seq += sent ? local : remote;
	if (seg.flags & TCPF_ACK)
		seg.ack += sent ? remote : local;
	return seg;
}

/* Sequence numbers are a circle: the same walk elsewhere on it takes the same steps. */
static void place_on_the_circle_does_not_matter(void **state)
{
	uint64_t seed = seed_of_run();
	struct endpoint_steps here, there;
	struct tcp_endpoint twin;
	struct walk walk;
	int i, k;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < WALKS; i++) {
		seq_t local, remote;

		begin(&walk, seed + i, i % 4 == 3);
		twin = walk.end;
		local = seeded_next(&walk.random);
		remote = seeded_next(&walk.random);
		for (k = 0; k < WALK_STEPS; k++) {
			bool sent = seeded_chance(&walk.random, 40);
			struct tcp_segment seg = some_segment(&walk, sent);
			struct tcp_segment moved = shifted(seg, sent, local, remote);

			move(&walk.end, &seg, sent, &here);
			move(&twin, &moved, sent, &there);
			holds(&walk, memcmp(&here, &there, sizeof(here)) == 0);
		}
	}
}

/* ---- by hand ------------------------------------------------------------------------------ */

static void windows_are_scaled_only_by_agreement(void **state)
{
	struct tcp_segment syn = {
		.seq = 10, .flags = TCPF_SYN, .options = TCPO_WSCALE, .wscale = 7, .window = 500
	};
	struct tcp_segment synack = { .seq = 90,
				      .ack = 11,
				      .flags = TCPF_SYN | TCPF_ACK,
				      .options = TCPO_WSCALE,
				      .wscale = 3,
				      .window = 500 };
	struct tcp_segment ack = { .seq = 11, .ack = 91, .flags = TCPF_ACK, .window = 500 };
	struct endpoint_steps steps = { 0 };
	struct tcp_endpoint end;

	(void)state;
	endpoint_init(&end, FSM_CLOSED, false);
	endpoint_send(&end, &syn, &steps);
	endpoint_receive(&end, &synack, &steps);
	endpoint_send(&end, &ack, &steps);
	assert_int_equal(end.rcv_edge, 91 + (500 << 7));

	synack.options = 0;
	memset(&steps, 0, sizeof(steps));
	endpoint_init(&end, FSM_CLOSED, false);
	endpoint_send(&end, &syn, &steps);
	endpoint_receive(&end, &synack, &steps);
	endpoint_send(&end, &ack, &steps);
	assert_int_equal(end.rcv_edge, 91 + 500);
}

/* A window that shrinks to nothing takes the ACK that asks for it, and no text beyond its edge. */
static void zero_window_takes_acks_only(void **state)
{
	struct endpoint_facts facts = { .known = KNOWN_RCV_NXT | KNOWN_SND_NXT | KNOWN_SND_UNA,
					.rcv_nxt = 100,
					.snd_nxt = 50,
					.snd_una = 40 };
	struct tcp_segment full = { .seq = 50, .ack = 100, .flags = TCPF_ACK, .window = 0 };
	struct tcp_segment ack = { .seq = 100, .ack = 50, .flags = TCPF_ACK };
	struct tcp_segment probe = { .seq = 100, .ack = 50, .len = 1, .flags = TCPF_ACK };
	struct tcp_segment beyond = { .seq = 101, .ack = 50, .len = 1, .flags = TCPF_ACK };
	struct endpoint_steps steps = { 0 };
	struct tcp_endpoint end;

	(void)state;
	endpoint_init(&end, FSM_CLOSED, false);
	end.rcv_wscale = 0;
	endpoint_adopt(&end, FSM_ESTABLISHED, &facts);
	endpoint_send(&end, &full, &steps);
	endpoint_receive(&end, &ack, &steps);
	assert_int_equal(steps.at[1].event, EV_RCV_ACK);
	assert_int_equal(end.snd_una, 50);
	endpoint_receive(&end, &beyond, &steps);
	assert_int_equal(steps.at[2].event, EV_RCV_OUTSIDE);
	endpoint_receive(&end, &probe, &steps);
	assert_int_equal(steps.at[3].event, EV_RCV_ACK);
	assert_int_equal(steps.count, 4);
	assert_int_equal(end.rcv_nxt, 100);
}

static void nothing_known_accepts_everything(void **state)
{
	static const enum fsm_state synchronized[] = { FSM_ESTABLISHED, FSM_CLOSE_WAIT,
						       FSM_FIN_WAIT_1,	FSM_CLOSING,
						       FSM_LAST_ACK,	FSM_FIN_WAIT_2 };
	struct tcp_segment ack = { .seq = 123456, .ack = 0xdeadbeef, .flags = TCPF_ACK };
	struct tcp_segment rst = { .seq = 0x87654321, .flags = TCPF_RST };
	struct endpoint_steps steps;
	struct tcp_endpoint end;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(synchronized) / sizeof(*synchronized); i++) {
		memset(&steps, 0, sizeof(steps));
		endpoint_init(&end, synchronized[i], true);
		endpoint_receive(&end, &ack, &steps);
		assert_int_equal(steps.at[0].verdict, V_OK);
		endpoint_init(&end, synchronized[i], false);
		endpoint_receive(&end, &rst, &steps);
		assert_int_equal(end.state, FSM_CLOSED);
	}
}

static void facts_never_go_back(void **state)
{
	struct endpoint_facts facts = { .known = KNOWN_RCV_NXT | KNOWN_SND_NXT | KNOWN_SND_UNA,
					.rcv_nxt = 5,
					.snd_nxt = 7,
					.snd_una = 6 };
	struct endpoint_facts older = { .known = KNOWN_RCV_NXT | KNOWN_SND_NXT | KNOWN_SND_UNA,
					.rcv_nxt = -5,
					.snd_nxt = -7,
					.snd_una = -6 };
	struct endpoint_steps steps = { 0 };
	struct tcp_endpoint end;

	(void)state;
	endpoint_init(&end, FSM_ESTABLISHED, true);
	endpoint_learn(&end, &facts, &steps);
	endpoint_learn(&end, &older, &steps);
	assert_int_equal(end.rcv_nxt, 5);
	assert_int_equal(end.snd_nxt, 7);
	assert_int_equal(end.snd_una, 6);
	assert_int_equal(steps.count, 0);
	assert_int_equal(end.state, FSM_ESTABLISHED);
}

/* Data that we sent and nobody saw is acknowledged: SND.NXT was a lower bound. */
static void unseen_data_moves_snd_nxt(void **state)
{
	const struct endpoint_facts facts = { .known = KNOWN_SND_NXT | KNOWN_SND_UNA,
					      .snd_nxt = 7,
					      .snd_una = 6 };
	const struct tcp_segment ack = { .seq = 1, .ack = 5000, .flags = TCPF_ACK };
	struct endpoint_steps steps = { 0 };
	struct tcp_endpoint end;

	(void)state;
	endpoint_init(&end, FSM_ESTABLISHED, true);
	endpoint_learn(&end, &facts, &steps);
	endpoint_receive(&end, &ack, &steps);
	assert_int_equal(steps.at[0].event, EV_RCV_ACK);
	assert_int_equal(end.snd_nxt, 5000);

	memset(&steps, 0, sizeof(steps));
	endpoint_init(&end, FSM_ESTABLISHED, false);
	endpoint_learn(&end, &facts, &steps);
	endpoint_receive(&end, &ack, &steps);
	assert_int_equal(steps.at[0].event, EV_RCV_ACK_UNSENT);
	assert_int_equal(end.snd_nxt, 7);
}

/* A bare ACK is one event; so is text that was here before. */
static void only_new_text_is_text(void **state)
{
	const struct endpoint_facts facts = { .known = KNOWN_SND_NXT | KNOWN_SND_UNA |
						       KNOWN_RCV_NXT,
					      .snd_nxt = 7,
					      .snd_una = 6,
					      .rcv_nxt = 100 };
	const struct tcp_segment ack = { .seq = 101, .ack = 7, .flags = TCPF_ACK };
	const struct tcp_segment again = { .seq = 90, .len = 10, .ack = 7, .flags = TCPF_ACK };
	const struct tcp_segment text = { .seq = 90, .len = 11, .ack = 7, .flags = TCPF_ACK };
	struct endpoint_steps steps = { 0 };
	struct tcp_endpoint end;

	(void)state;
	endpoint_init(&end, FSM_ESTABLISHED, false);
	endpoint_learn(&end, &facts, &steps);
	endpoint_receive(&end, &ack, &steps);
	assert_int_equal(steps.count, 1);
	endpoint_receive(&end, &again, &steps);
	assert_int_equal(steps.count, 2);
	endpoint_receive(&end, &text, &steps);
	assert_int_equal(steps.count, 4);
	assert_int_equal(steps.at[3].event, EV_RCV_TEXT);
	assert_int_equal(end.rcv_nxt, 101);
}

/* Data and RST in one batch: the kernel's RCV.NXT was read before the data. */
static void lagging_facts_challenge_nothing(void **state)
{
	struct endpoint_facts facts = { .known = KNOWN_RCV_NXT, .rcv_nxt = 100, .lagging = true };
	struct tcp_segment rst = { .seq = 300, .flags = TCPF_RST };
	struct endpoint_steps steps = { 0 };
	struct tcp_endpoint end;

	(void)state;
	endpoint_init(&end, FSM_ESTABLISHED, true);
	endpoint_learn(&end, &facts, &steps);
	endpoint_receive(&end, &rst, &steps);
	assert_int_equal(end.state, FSM_CLOSED);
}

static void endpoint_is_compact(void **state)
{
	(void)state;
	assert_true(sizeof(struct tcp_endpoint) <= 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_hold),
		cmocka_unit_test(place_on_the_circle_does_not_matter),
		cmocka_unit_test(windows_are_scaled_only_by_agreement),
		cmocka_unit_test(zero_window_takes_acks_only),
		cmocka_unit_test(nothing_known_accepts_everything),
		cmocka_unit_test(facts_never_go_back),
		cmocka_unit_test(unseen_data_moves_snd_nxt),
		cmocka_unit_test(only_new_text_is_text),
		cmocka_unit_test(lagging_facts_challenge_nothing),
		cmocka_unit_test(endpoint_is_compact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
