/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two reference ends talk to each other over a network that loses and doubles segments, with a
 * tap beside each. Each tap's dialogue must hold its own end exactly at every instant, and the
 * far end when all is quiet: what a tap implies is then what happened.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "seeded.h"
#include "tcp/dialogue.h"
#include "tcp_defs.h"

#define TALKS 3000
#define TURNS 60
#define QUEUE_MAX 512
#define SENT_MAX 128

/* One host: an end, what it sent that occupies sequence space, what is on its way from it. */
struct host {
	struct tcp_endpoint end;
	struct tcp_dialogue tap;
	struct tcp_segment sent[SENT_MAX];
	size_t sent_count;
	struct tcp_segment queue[QUEUE_MAX];
	size_t head, tail;
	bool closing;
	uint32_t anomalies;
};

struct network {
	uint64_t seed;
	struct seeded random;
	struct host host[2];
	uint32_t loss, doubles; /* percent */
	bool aborts;
};

static _Noreturn void complain(const struct network *net, const char *what)
{
	fail_msg("TEST_SEED=%llu: %s; ends %s, %s; tap 0 %s | %s; tap 1 %s | %s",
		 (unsigned long long)net->seed, what, fsm_state_name(net->host[0].end.state),
		 fsm_state_name(net->host[1].end.state),
		 fsm_state_name(net->host[0].tap.local.state),
		 fsm_state_name(net->host[0].tap.remote.state),
		 fsm_state_name(net->host[1].tap.local.state),
		 fsm_state_name(net->host[1].tap.remote.state));
	abort();
}

static void note(struct network *net, struct host *host, const struct endpoint_steps *steps)
{
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		if (steps->at[i].verdict == V_NEVER)
			complain(net, fsm_event_name(steps->at[i].event));
		if (steps->at[i].anomaly)
			host->anomalies |= 1u << steps->at[i].anomaly;
	}
	if (host->end.state != host->tap.local.state)
		complain(net, "a tap differs from the end beside it");
}

/* The far end's steps are a path: none is left out, however many one segment brings. */
static void check_path(const struct network *net, const struct host *host, enum fsm_state before,
		       const struct endpoint_steps *steps)
{
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		if (steps->at[i].from != before)
			complain(net, "a step is missing");
		before = steps->at[i].to;
	}
	if (before != host->tap.remote.state)
		complain(net, "the last step is missing");
}

static void transmit(struct network *net, struct host *host, const struct tcp_segment *seg)
{
	enum fsm_state far = host->tap.remote.state;
	struct endpoint_steps steps = { 0 };
	struct dialogue_steps tapped;

	endpoint_send(&host->end, seg, &steps);
	dialogue_sent(&host->tap, seg, &tapped);
	note(net, host, &steps);
	note(net, host, &tapped.remote);
	check_path(net, host, far, &tapped.remote);
	if (seeded_chance(&net->random, net->loss))
		return;
	do {
		host->queue[host->tail++ % QUEUE_MAX] = *seg;
		if (host->tail - host->head >= QUEUE_MAX)
			complain(net, "a queue overflows");
	} while (seeded_chance(&net->random, net->doubles));
}

/* What occupies sequence space is kept until it is acknowledged. */
static void send_kept(struct network *net, struct host *host, struct tcp_segment seg)
{
	if (host->sent_count < SENT_MAX)
		host->sent[host->sent_count++] = seg;
	transmit(net, host, &seg);
}

static struct tcp_segment next_segment(const struct host *host, uint8_t flags, uint32_t len)
{
	return (struct tcp_segment){ .seq = host->end.snd_nxt,
				     .ack = host->end.rcv_nxt,
				     .len = len,
				     .flags = flags | TCPF_ACK,
				     .window = 2000 };
}

static seq_t end_of(const struct tcp_segment *seg)
{
	return seg->seq + seg->len + (seg->flags & TCPF_SYN ? 1 : 0) +
	       (seg->flags & TCPF_FIN ? 1 : 0);
}

static void send_ack(struct network *net, struct host *host)
{
	struct tcp_segment ack = next_segment(host, 0, 0);

	transmit(net, host, &ack);
}

static void open_host(struct network *net, struct host *host)
{
	struct tcp_segment syn = { .seq = seeded_chance(&net->random, 50) ?
						  seeded_next(&net->random) :
						  -seeded_below(&net->random, 50),
				   .flags = TCPF_SYN,
				   .window = 2000 };

	if (host->end.flags & EP_SYN_PENDING) {
		syn.flags |= TCPF_ACK;
		syn.ack = host->end.rcv_nxt;
	}
	send_kept(net, host, syn);
}

static void answer(struct network *net, struct host *host, const struct tcp_segment *seg,
		   const struct endpoint_steps *steps)
{
	struct tcp_segment rst = { .seq = seg->flags & TCPF_ACK ? seg->ack : 0,
				   .ack = end_of(seg),
				   .flags = seg->flags & TCPF_ACK ? TCPF_RST :
								    TCPF_RST | TCPF_ACK };
	const struct fsm_step *last = &steps->at[steps->count - 1];
	struct tcp_segment syn;

	switch (last->verdict) {
	case V_REFUSE:
		transmit(net, host, &rst);
		return;
	case V_ACK:
	case V_CHALLENGE:
	case V_REARM:
	case V_WAIT:
		send_ack(net, host);
		return;
	default:
		break;
	}
	if (last->event == EV_RCV_SYN && host->end.state == FSM_LISTEN) {
		open_host(net, host);
	} else if (last->event == EV_RCV_SYN && host->end.state == FSM_SYN_RECEIVED) {
		syn = host->sent[0];
		syn.flags |= TCPF_ACK;
		syn.ack = host->end.rcv_nxt;
		host->sent[0] = syn;
		transmit(net, host, &syn);
	} else if (host->end.state >= FSM_ESTABLISHED && (end_of(seg) != seg->seq)) {
		send_ack(net, host);
	}
}

static void arrive(struct network *net, int at)
{
	struct host *host = &net->host[at], *peer = &net->host[!at];
	struct tcp_segment seg = peer->queue[peer->head++ % QUEUE_MAX];
	enum fsm_state far = host->tap.remote.state;
	struct endpoint_steps steps = { 0 };
	struct dialogue_steps tapped;

	endpoint_receive(&host->end, &seg, &steps);
	dialogue_received(&host->tap, &seg, &tapped);
	note(net, host, &steps);
	note(net, host, &tapped.remote);
	check_path(net, host, far, &tapped.remote);
	while (host->sent_count && seq_le(end_of(&host->sent[0]), host->end.snd_una))
		memmove(host->sent, host->sent + 1, --host->sent_count * sizeof(*host->sent));
	if (host->end.state == FSM_CLOSED)
		host->sent_count = 0;
	answer(net, host, &seg, &steps);
}

static void retransmit(struct network *net, struct host *host)
{
	struct tcp_segment seg = host->sent[0];

	if (seg.flags & TCPF_ACK)
		seg.ack = host->end.rcv_nxt;
	transmit(net, host, &seg);
}

static bool may_talk(const struct host *host)
{
	return !host->closing &&
	       (host->end.state == FSM_ESTABLISHED || host->end.state == FSM_CLOSE_WAIT);
}

static void close_host(struct network *net, struct host *host)
{
	host->closing = true;
	send_kept(net, host, next_segment(host, TCPF_FIN, seeded_below(&net->random, 3)));
}

static void abort_host(struct network *net, struct host *host)
{
	struct tcp_segment rst = next_segment(host, TCPF_RST, 0);

	transmit(net, host, &rst);
	host->sent_count = 0;
}

static void turn(struct network *net, int who)
{
	struct host *host = &net->host[who], *peer = &net->host[!who];
	uint32_t dice = seeded_below(&net->random, 100);

	if (dice < 50 && peer->head != peer->tail)
		arrive(net, who);
	else if (dice < 60 && host->sent_count && net->loss)
		retransmit(net, host);
	else if (dice < 80 && may_talk(host) && host->sent_count < 20)
		send_kept(net, host,
			  next_segment(host, TCPF_PSH, 1 + seeded_below(&net->random, 50)));
	else if (dice < 90 && may_talk(host))
		close_host(net, host);
	else if (dice < 92 && may_talk(host) && net->aborts)
		abort_host(net, host);
}

static bool is_idle(const struct network *net)
{
	return net->host[0].head == net->host[0].tail && net->host[1].head == net->host[1].tail;
}

/* All that is on its way arrives, what is not acknowledged is sent again, until nothing is left. */
static void settle(struct network *net)
{
	int rounds;

	for (rounds = 0; rounds < 5000; rounds++) {
		int who = rounds % 2;

		if (net->host[!who].head != net->host[!who].tail)
			arrive(net, who);
		else if (is_idle(net) && net->host[who].sent_count)
			retransmit(net, &net->host[who]);
		else if (is_idle(net) && !net->host[!who].sent_count)
			return;
	}
	complain(net, "it never settles");
}

static void begin(struct network *net, uint64_t seed, uint32_t loss, uint32_t doubles, bool aborts)
{
	bool both;
	int who;

	memset(net, 0, sizeof(*net));
	net->seed = seed;
	net->random.state = seed;
	net->loss = loss;
	net->doubles = doubles;
	/* A RST that is lost leaves its peer ignorant for good: there is nothing to compare. */
	net->aborts = aborts && !loss;
	both = seeded_chance(&net->random, 20);
	for (who = 0; who < 2; who++) {
		enum fsm_state here = who == 0 || both ? FSM_CLOSED : FSM_LISTEN;
		enum fsm_state there = who == 1 || both ? FSM_CLOSED : FSM_LISTEN;

		endpoint_init(&net->host[who].end, here, false);
		dialogue_init(&net->host[who].tap, here, there, false);
	}
	open_host(net, &net->host[0]);
	if (both)
		open_host(net, &net->host[1]);
}

/*
 * A FIN that crossed ours, was lost, and comes again with an ACK of ours looks as if it had been
 * sent after it: then the far end waits 2 MSL where LAST_ACK is implied. Nothing can tell.
 */
static bool is_told_wrong(const struct network *net, enum fsm_state implied, enum fsm_state real)
{
	return net->loss && implied == FSM_CLOSED && real == FSM_TIME_WAIT;
}

static void check_quiet(const struct network *net)
{
	int who;

	for (who = 0; who < 2; who++) {
		enum fsm_state implied = net->host[who].tap.remote.state;
		enum fsm_state real = net->host[!who].end.state;

		if (implied != real && !is_told_wrong(net, implied, real))
			complain(net, "a tap does not know the far end");
		if (net->host[who].tap.in_flight && net->host[who].end.state != FSM_CLOSED)
			complain(net, "something is still in flight");
	}
}

static void converse(struct network *net)
{
	struct dialogue_steps steps;
	int who, i;

	for (i = 0; i < TURNS; i++)
		turn(net, (int)seeded_below(&net->random, 2));
	settle(net);
	check_quiet(net);
	for (who = 0; who < 2; who++) {
		if (may_talk(&net->host[who]))
			close_host(net, &net->host[who]);
		if (seeded_chance(&net->random, 50))
			settle(net);
	}
	settle(net);
	check_quiet(net);
	for (who = 0; who < 2; who++) {
		struct tcp_dialogue *tap = &net->host[who].tap;

		if (tap->local.state != FSM_CLOSED && tap->local.state != FSM_TIME_WAIT)
			complain(net, "not closed by both");
		dialogue_expire(tap, &steps);
		if (tap->local.state != FSM_CLOSED || tap->remote.state == FSM_LAST_ACK)
			complain(net, "2 MSL does not end it");
	}
}

static void taps_know_both_ends(void **state)
{
	static struct network net;
	uint64_t seed = seed_of_run();
	int i;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < TALKS; i++) {
		begin(&net, seed + i, i % 3 * 10, i % 5 * 4, true);
		converse(&net);
	}
}

/* Nothing lost, nothing doubled, nobody aborts: no tap has anything to remark. */
static void clean_talks_have_no_anomaly(void **state)
{
	static struct network net;
	uint64_t seed = seed_of_run();
	int i;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < TALKS; i++) {
		begin(&net, seed + i, 0, 0, false);
		converse(&net);
		if (net.host[0].anomalies | net.host[1].anomalies)
			complain(&net, fsm_anomaly_label(__builtin_ctz(net.host[0].anomalies |
								       net.host[1].anomalies)));
	}
}

/* ---- by hand ------------------------------------------------------------------------------ */

/* What a stranger can forge leaves the picture of the far end alone. */
static void forged_segments_tell_nothing_about_the_remote(void **state)
{
	const struct endpoint_facts facts = { .known = KNOWN_SND_UNA | KNOWN_SND_NXT |
						       KNOWN_RCV_NXT,
					      .snd_una = 1000,
					      .snd_nxt = 1000,
					      .rcv_nxt = 2000 };
	static const struct tcp_segment forged[] = {
		{ .seq = 2500, .flags = TCPF_RST },
		{ .seq = 9, .flags = TCPF_RST },
		{ .seq = 2100, .flags = TCPF_SYN },
		{ .seq = 2000, .ack = 1000 - (1u << 30) - 9, .flags = TCPF_FIN | TCPF_ACK },
		{ .seq = 2000, .flags = TCPF_FIN },
	};
	struct tcp_dialogue talk, before;
	struct dialogue_steps steps;
	size_t i;

	(void)state;
	dialogue_adopt(&talk, FSM_ESTABLISHED, &facts, true);
	assert_int_equal(talk.remote.state, FSM_ESTABLISHED);
	for (i = 0; i < sizeof(forged) / sizeof(*forged); i++) {
		dialogue_learn(&talk, &facts, &steps);
		before = talk;
		dialogue_received(&talk, &forged[i], &steps);
		assert_int_equal(steps.remote.count, 0);
		assert_memory_equal(&talk.remote, &before.remote, sizeof(talk.remote));
		assert_int_equal(talk.local.state, FSM_ESTABLISHED);
		assert_int_not_equal(steps.local.at[0].anomaly, AN_NONE);
	}
}

static void a_new_life_leaves_the_old_one_alone(void **state)
{
	const struct endpoint_facts facts = { .known = KNOWN_SND_UNA | KNOWN_SND_NXT |
						       KNOWN_RCV_NXT,
					      .snd_una = 1000,
					      .snd_nxt = 1000,
					      .rcv_nxt = 2000 };
	const struct tcp_segment syn = { .seq = 90000, .flags = TCPF_SYN };
	const struct tcp_segment synack = { .seq = 90000,
					    .ack = 80000,
					    .flags = TCPF_SYN | TCPF_ACK };
	struct tcp_dialogue talk, before;
	struct dialogue_steps steps;

	(void)state;
	dialogue_adopt(&talk, FSM_TIME_WAIT, &facts, true);
	before = talk;
	dialogue_received(&talk, &syn, &steps);
	assert_true(dialogue_restarts(&steps));
	assert_memory_equal(&talk, &before, sizeof(talk));
	dialogue_sent(&talk, &syn, &steps);
	assert_true(dialogue_restarts(&steps));
	assert_memory_equal(&talk, &before, sizeof(talk));
	dialogue_sent(&talk, &synack, &steps);
	assert_true(dialogue_restarts(&steps));
	assert_memory_equal(&talk, &before, sizeof(talk));
}

/* What the kernel knows of its own end says as much about the other one. */
static void adopted_facts_are_mirrored(void **state)
{
	const struct endpoint_facts facts = { .known = KNOWN_SND_UNA | KNOWN_SND_NXT |
						       KNOWN_RCV_NXT,
					      .snd_una = 1000,
					      .snd_nxt = 1500,
					      .rcv_nxt = 2000 };
	struct tcp_dialogue talk;

	(void)state;
	dialogue_adopt(&talk, FSM_CLOSE_WAIT, &facts, true);
	assert_int_equal(talk.remote.state, FSM_FIN_WAIT_2);
	assert_int_equal(talk.remote.known & (KNOWN_SND_NXT | KNOWN_SND_UNA | KNOWN_RCV_NXT),
			 KNOWN_SND_NXT | KNOWN_SND_UNA | KNOWN_RCV_NXT);
	assert_int_equal(talk.remote.rcv_nxt, 1000);
	assert_int_equal(talk.remote.snd_nxt, 2000);
	assert_int_equal(talk.remote.snd_una, 2000);
	assert_int_equal(talk.remote.snd_fin, 1999);
	assert_int_equal(talk.local.rcv_fin, 1999);
}

/* The remote scales its windows only if our SYN, which it gets late, had the option too. */
static void far_windows_are_scaled_by_agreement(void **state)
{
	struct tcp_segment syn = {
		.seq = 10, .flags = TCPF_SYN, .options = TCPO_WSCALE, .wscale = 7
	};
	const struct tcp_segment synack = { .seq = 90,
					    .ack = 11,
					    .flags = TCPF_SYN | TCPF_ACK,
					    .options = TCPO_WSCALE,
					    .wscale = 3,
					    .window = 500 };
	const struct tcp_segment ack = { .seq = 91, .ack = 11, .flags = TCPF_ACK, .window = 500 };
	struct tcp_dialogue talk;
	struct dialogue_steps steps;

	(void)state;
	dialogue_init(&talk, FSM_CLOSED, FSM_LISTEN, false);
	dialogue_sent(&talk, &syn, &steps);
	dialogue_received(&talk, &synack, &steps);
	dialogue_received(&talk, &ack, &steps);
	assert_int_equal(talk.remote.rcv_edge, 11 + (500 << 3));
	assert_int_equal(talk.remote.irs, 10);

	syn.options = 0;
	dialogue_init(&talk, FSM_CLOSED, FSM_LISTEN, false);
	dialogue_sent(&talk, &syn, &steps);
	assert_int_equal(talk.local.rcv_wscale, WSCALE_REFUSED);
	dialogue_received(&talk, &synack, &steps);
	dialogue_received(&talk, &ack, &steps);
	assert_int_equal(talk.remote.rcv_edge, 11 + 500);
}

static void expiry_closes_the_ends_that_wait(void **state)
{
	struct tcp_dialogue talk;
	struct dialogue_steps steps;

	(void)state;
	dialogue_init(&talk, FSM_TIME_WAIT, FSM_TIME_WAIT, true);
	dialogue_expire(&talk, &steps);
	assert_int_equal(talk.local.state, FSM_CLOSED);
	assert_int_equal(talk.remote.state, FSM_CLOSED);
	dialogue_init(&talk, FSM_ESTABLISHED, FSM_ESTABLISHED, true);
	dialogue_expire(&talk, &steps);
	assert_int_equal(talk.local.state, FSM_CLOSED);
	assert_int_equal(talk.remote.state, FSM_ESTABLISHED);
}

/* The longest there is: a fast open server's SYN-ACK and FIN, acknowledged by the remote's FIN. */
static void no_step_is_left_out(void **state)
{
	static const uint8_t path[] = { FSM_SYN_SENT, FSM_ESTABLISHED, FSM_CLOSE_WAIT,
					FSM_LAST_ACK };
	const struct tcp_segment syn = { .seq = 10, .flags = TCPF_SYN };
	const struct tcp_segment synack = { .seq = 90, .ack = 11, .flags = TCPF_SYN | TCPF_ACK };
	const struct tcp_segment fin = { .seq = 91, .ack = 11, .flags = TCPF_FIN | TCPF_ACK };
	const struct tcp_segment last = { .seq = 11, .ack = 92, .flags = TCPF_FIN | TCPF_ACK };
	struct tcp_dialogue talk;
	struct dialogue_steps steps;
	uint8_t i, at = 0;

	(void)state;
	dialogue_init(&talk, FSM_LISTEN, FSM_CLOSED, true);
	dialogue_received(&talk, &syn, &steps);
	dialogue_sent(&talk, &synack, &steps);
	dialogue_sent(&talk, &fin, &steps);
	assert_int_equal(talk.local.state, FSM_FIN_WAIT_1);
	dialogue_received(&talk, &last, &steps);
	assert_int_equal(talk.local.state, FSM_TIME_WAIT);
	for (i = 0; i < steps.remote.count; i++) {
		assert_int_equal(steps.remote.at[i].from, path[at]);
		if (steps.remote.at[i].to != path[at])
			assert_int_equal(steps.remote.at[i].to, path[++at]);
	}
	assert_int_equal(at, 3);
}

/* A million of them must fit the budget of 200 bytes a connection, all in. */
static void dialogue_is_compact(void **state)
{
	(void)state;
	assert_true(sizeof(struct tcp_dialogue) <= 88);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taps_know_both_ends),
		cmocka_unit_test(clean_talks_have_no_anomaly),
		cmocka_unit_test(forged_segments_tell_nothing_about_the_remote),
		cmocka_unit_test(a_new_life_leaves_the_old_one_alone),
		cmocka_unit_test(adopted_facts_are_mirrored),
		cmocka_unit_test(far_windows_are_scaled_by_agreement),
		cmocka_unit_test(expiry_closes_the_ends_that_wait),
		cmocka_unit_test(no_step_is_left_out),
		cmocka_unit_test(dialogue_is_compact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
