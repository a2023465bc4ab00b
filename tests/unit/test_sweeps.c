/* SPDX-License-Identifier: GPL-2.0-only */
/* Sweeps: what they put right in the kernel view, and every race in which they must not. */
#include "track_records.h"

#define SETTLED_NS (350 * NS_PER_MS)
#define MANY 20000u

/* Records were lost: no verdict until the sweep, which the reference then starts from. */
static void loss_is_never_a_divergence(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	open_server(bench);
	loss(bench);
	/* The FIN and its answer were among what was lost; then the kernel gives up. */
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_CLOSE, .error = ETIMEDOUT, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 601);
	bench->kernel = idle_listener;
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 0);
	sweep(bench, SWEEP_BEGIN);
	sweep(bench, SWEEP_END);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench->reports[0].why, UNOBSERVABLE_LOSS);
	assert_int_equal(stats->divergences[DIVERGENCE_SILENT_CLOSE], 0);
	assert_int_equal(stats->entries, 0);
}

static void sweep_puts_both_views_right(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	open_server(bench);
	loss(bench);
	sweep(bench, SWEEP_BEGIN);
	swept_socket(bench, full(KS_CLOSE_WAIT, 102, 501, 501));
	sweep(bench, SWEEP_END);
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_CLOSE_WAIT], 1);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_CLOSE_WAIT], 1);
	assert_int_equal(bench->nr_events, 0);
}

static void seeds_are_shown(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	sweep(bench, SWEEP_BEGIN);
	swept_socket(bench, full(KS_ESTABLISHED, 1, 1, 1));
	sweep(bench, SWEEP_END);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_ESTABLISHED], 1);
	assert_int_equal(stats->entries, 1);
}

static const struct tracker_stats *stats_of(const struct bench *bench)
{
	return tracker_stats(bench->tracker);
}

/* A whole sweep that finds this; KS_NONE: nothing of the connection. */
static void swept(struct bench *bench, struct rec_snapshot found)
{
	sweep(bench, SWEEP_BEGIN);
	if (found.state != KS_NONE)
		swept_socket(bench, found);
	sweep(bench, SWEEP_END);
}

static void assert_corrections(const struct bench *bench, uint64_t missing, uint64_t extra,
			       uint64_t state, uint64_t expired)
{
	const uint64_t *have = stats_of(bench)->sweep_corrections;

	assert_int_equal(have[CORRECTION_MISSING], missing);
	assert_int_equal(have[CORRECTION_EXTRA], extra);
	assert_int_equal(have[CORRECTION_STATE], state);
	assert_int_equal(have[CORRECTION_EXPIRED], expired);
}

static uint64_t in_kernel(const struct bench *bench, enum fsm_state state)
{
	return stats_of(bench)->connections[VIEW_KERNEL][state];
}

static void reach_fin_wait_2(struct bench *bench)
{
	open_client(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = A, .seq = 101, .ack = 502, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .rcv_nxt = 101, .snd_una = 502,
	       .snd_nxt = 502);
}

static void reach_time_wait(struct bench *bench)
{
	reach_fin_wait_2(bench);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = full(KS_FIN_WAIT2, 101, 502, 502));
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = minisocket(KS_TIME_WAIT, 102, 502));
}

static void request(struct bench *bench)
{
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
}

/* ---- what is put right ---- */

static void time_wait_vanishes(void **state)
{
	struct bench *bench = *state;

	reach_time_wait(bench);
	swept(bench, minisocket(KS_TIME_WAIT, 102, 502));
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 0);
	/* the tracker's own, now and then: is there a minisocket at all? */
	assert_int_equal(stats_of(bench)->looks, 1);
	swept(bench, nothing());
	assert_int_equal(in_kernel(bench, FSM_TIME_WAIT), 1); /* one observation is no proof */
	bench_wait(bench, 2 * SETTLED_NS);
	assert_corrections(bench, 1, 0, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_TIME_WAIT), 0);
}

static void request_expires(void **state)
{
	struct bench *bench = *state;

	request(bench);
	swept(bench, queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	swept(bench, nothing());
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 1);
	assert_int_equal(in_kernel(bench, FSM_SYN_RECEIVED), 0);
}

static void orphan_times_out(void **state)
{
	struct bench *bench = *state;

	reach_fin_wait_2(bench);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD, .rcv_nxt = 101,
	       .snd_una = 502, .snd_nxt = 502);
	swept(bench, minisocket(KS_FIN_WAIT2, 101, 502));
	assert_int_equal(in_kernel(bench, FSM_FIN_WAIT_2), 1);
	swept(bench, nothing());
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 1);
	assert_int_equal(in_kernel(bench, FSM_FIN_WAIT_2), 0);
}

/* That a full socket has gone needs two looks: the first may be ahead of the tracepoint. */
static void close_was_never_told(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	swept(bench, nothing());
	bench_wait(bench, SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 1);
	swept(bench, full(KS_ESTABLISHED, 101, 501, 501)); /* so that look counts for nothing */
	swept(bench, nothing());
	bench_wait(bench, SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 2);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
	swept(bench, nothing()); /* nor does another sweep delay it */
	bench_wait(bench, 200 * NS_PER_MS);
	assert_corrections(bench, 1, 0, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 0);
}

static void change_was_never_told(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench_wait(bench, NS_PER_SEC);
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
	swept(bench, bench->kernel);
	bench_wait(bench, 200 * NS_PER_MS);
	assert_int_equal(stats_of(bench)->looks, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 0, 1, 0);
	assert_int_equal(in_kernel(bench, FSM_CLOSE_WAIT), 1);
}

static void unknown_socket_is_taken_in(void **state)
{
	struct bench *bench = *state;

	swept(bench, nothing());
	bench->kernel = full(KS_ESTABLISHED, 1, 1, 1);
	swept(bench, bench->kernel);
	assert_corrections(bench, 0, 1, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
	swept(bench, bench->kernel);
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 1, 0, 0);
}

/* Requests and minisockets begin without a word: that is no correction. */
static void silent_steps_are_learnt(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	swept(bench, queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	assert_int_equal(in_kernel(bench, FSM_SYN_RECEIVED), 1);
	bench->remote_port++;
	reach_fin_wait_2(bench);
	swept(bench, minisocket(KS_FIN_WAIT2, 101, 502));
	swept(bench, minisocket(KS_TIME_WAIT, 102, 502));
	assert_int_equal(in_kernel(bench, FSM_TIME_WAIT), 1);
	assert_corrections(bench, 0, 0, 0, 0);
	assert_int_equal(stats_of(bench)->looks, 0);
}

/* SYN_SENT has no tuple in its tracepoint: it is shown, and nothing was wrong. */
static void syn_sent_before_its_syn(void **state)
{
	struct bench *bench = *state;

	swept(bench, nothing());
	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT, .bits = STATE_NO_TUPLE);
	bench->kernel = full(KS_SYN_SENT, 0, 0, 0);
	swept(bench, bench->kernel);
	assert_int_equal(in_kernel(bench, FSM_SYN_SENT), 1);
	open_client(bench);
	assert_corrections(bench, 0, 0, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
	assert_int_equal(stats_of(bench)->entries, 1);
}

/* ---- what must be left alone ---- */

static void opened_while_it_ran(void **state)
{
	struct bench *bench = *state;

	sweep(bench, SWEEP_BEGIN);
	open_server(bench);
	sweep(bench, SWEEP_END);
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
}

static void passed_over(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	swept(bench, nothing());
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 1);
	assert_corrections(bench, 0, 0, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
}

/* The look is ahead of the tracepoint: that comes, and says it. */
static void tracepoint_comes_after_the_look(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	swept(bench, nothing());
	bench_wait(bench, SETTLED_NS);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	bench_wait(bench, 2 * SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 0);
}

static void minisocket_takes_over_meanwhile(void **state)
{
	struct bench *bench = *state;

	reach_fin_wait_2(bench);
	sweep(bench, SWEEP_BEGIN);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = full(KS_FIN_WAIT2, 101, 502, 502));
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
	sweep(bench, SWEEP_END);
	bench->kernel = minisocket(KS_TIME_WAIT, 102, 502);
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(in_kernel(bench, FSM_TIME_WAIT), 1);
	assert_corrections(bench, 0, 0, 0, 0);
}

/* inet_sk_set_state tells the new state before it stores it. */
static void announced_and_not_stored(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
	swept(bench, full(KS_ESTABLISHED, 102, 501, 501));
	bench_wait(bench, 2 * SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_CLOSE_WAIT), 1);
}

/* A record that the sweep overtook. */
static void change_comes_late(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
	swept(bench, bench->kernel);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	bench_wait(bench, 2 * SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 0);
	assert_int_equal(stats_of(bench)->kernel_gaps, 0);
}

/* What it read before the connection's newest record says nothing. */
static void read_before(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->now_ns -= 8000;
	swept_socket(bench, queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	bench->now_ns += 8000;
	bench_wait(bench, SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
}

/* A look was there in the meantime: the request has gone, its final ACK notwithstanding. */
static void read_before_the_look(void **state)
{
	struct bench *bench = *state;

	request(bench);
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	bench->kernel = idle_listener;
	bench_wait(bench, SETTLED_NS);
	assert_int_equal(in_kernel(bench, FSM_SYN_RECEIVED), 0);
	assert_int_equal(stats_of(bench)->entries, 1);
	bench->now_ns -= 200 * NS_PER_MS;
	swept_socket(bench, queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	assert_int_equal(in_kernel(bench, FSM_SYN_RECEIVED), 0);
}

/* Where the views have parted, the comparison asks by itself. */
static void views_have_parted(void **state)
{
	struct bench *bench = *state;

	request(bench);
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	swept(bench, nothing());
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(in_kernel(bench, FSM_SYN_RECEIVED), 0);
	assert_corrections(bench, 0, 0, 0, 0);
}

/* A handshake by cookie has no socket that a sweep could find. */
static void nothing_to_find(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = nothing());
	swept(bench, nothing());
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 0);
	assert_int_equal(stats_of(bench)->entries, 1);
}

/* The look finds neither what the view was nor what the sweep saw: it moves, and will be told. */
static void moves_on_before_the_look(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	swept(bench, full(KS_SYN_RECV, 101, 501, 501));
	assert_corrections(bench, 0, 0, 0, 0);
	swept(bench, full(KS_CLOSE_WAIT, 102, 501, 501));
	bench->kernel = full(KS_LAST_ACK, 102, 501, 502);
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 0);
}

/* It closed in the moment in which the sweep read it, or its ports have a new owner. */
static void unknown_socket_has_gone(void **state)
{
	struct bench *bench = *state;

	swept(bench, nothing());
	swept(bench, full(KS_LAST_ACK, 1, 1, 1));
	assert_int_equal(stats_of(bench)->entries, 0);
	bench->kernel = full(KS_ESTABLISHED, 1, 1, 1);
	bench->kernel.cookie = 78;
	swept(bench, minisocket(KS_TIME_WAIT, 1, 1));
	assert_int_equal(stats_of(bench)->entries, 0);
	assert_corrections(bench, 0, 0, 0, 0);
}

/* What the first sweep found may have ended in that moment, too; nothing was wrong. */
static void seed_has_gone(void **state)
{
	struct bench *bench = *state;

	swept(bench, full(KS_LAST_ACK, 1, 1, 1));
	assert_int_equal(stats_of(bench)->entries, 1);
	swept(bench, nothing());
	bench_wait(bench, 3 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->entries, 0);
	assert_corrections(bench, 0, 0, 0, 0);
}

/* But one that a second sweep has found was there. */
static void seed_vanishes(void **state)
{
	struct bench *bench = *state;

	swept(bench, full(KS_ESTABLISHED, 1, 1, 1));
	swept(bench, full(KS_ESTABLISHED, 1, 1, 1));
	swept(bench, nothing());
	bench_wait(bench, 3 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->entries, 0);
	assert_corrections(bench, 1, 0, 0, 0);
}

static void broken_off(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	sweep(bench, SWEEP_BEGIN);
	bench_wait(bench, 2 * SETTLED_NS);
	swept(bench, full(KS_ESTABLISHED, 101, 501, 501));
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 0);
}

/* Found again before the look: the doubt is gone. */
static void found_by_the_next(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	swept(bench, nothing());
	swept(bench, full(KS_ESTABLISHED, 101, 501, 501));
	bench_wait(bench, 2 * SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 0);
	assert_corrections(bench, 0, 0, 0, 0);
}

static void owner_keeps_the_stack_waiting(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
	swept(bench, bench->kernel);
	bench->kernel.bits |= SNAP_OWNED;
	bench_wait(bench, 4 * SETTLED_NS);
	assert_corrections(bench, 0, 0, 0, 0);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 1);
	bench->kernel.bits &= (uint8_t)~SNAP_OWNED;
	bench_wait(bench, SETTLED_NS);
	assert_corrections(bench, 0, 0, 1, 0);
}

/* What a sweep found before the loss is not ended by it: the next one says. */
static void loss_while_it_ran(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	sweep(bench, SWEEP_BEGIN);
	swept_socket(bench, full(KS_ESTABLISHED, 101, 501, 501));
	loss(bench);
	sweep(bench, SWEEP_END);
	assert_int_equal(stats_of(bench)->entries, 1);
	swept(bench, full(KS_ESTABLISHED, 101, 501, 501));
	assert_int_equal(stats_of(bench)->entries, 1);
	assert_int_equal(bench->nr_events, 0);
	assert_corrections(bench, 0, 0, 0, 0);
}

/* After a loss, too, a sweep that goes by a socket is no proof. */
static void loss_and_passed_over(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	loss(bench);
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
	swept(bench, nothing());
	assert_int_equal(in_kernel(bench, FSM_CLOSE_WAIT), 1);
	assert_int_equal(bench->nr_events, 0);
}

/* ---- a table that is full, one that is large ---- */

/* Nobody is given up for what a sweep found: the next one would find that. */
static void no_room_is_made(void **state)
{
	struct bench *bench = *state;

	swept(bench, nothing());
	request(bench);
	bench->remote_port++;
	bench->kernel = full(KS_ESTABLISHED, 1, 1, 1);
	swept(bench, bench->kernel);
	assert_int_equal(stats_of(bench)->entries, 1);
	assert_int_equal(stats_of(bench)->evictions, 0);
	assert_int_equal(in_kernel(bench, FSM_SYN_RECEIVED), 1);
}

static void sweep_finds(struct bench *bench, uint32_t count)
{
	sweep(bench, SWEEP_BEGIN);
	for (uint32_t i = 0; i < count; i++) {
		bench->remote_port = (uint16_t)(1024 + i);
		swept_socket(bench, full(KS_ESTABLISHED, 1, 1, 1));
	}
}

/* The ticks that the walk takes. */
static uint32_t walk(struct bench *bench)
{
	uint32_t ticks = 0;

	for (; tracker_next_deadline(bench->tracker) == 0; ticks++)
		bench_wait(bench, 1);
	return ticks;
}

/* The walk is sliced and goes on with the ticks, while the next sweep runs already. */
static void many_stay(void **state)
{
	struct bench *bench = *state;

	sweep_finds(bench, MANY);
	sweep(bench, SWEEP_END);
	assert_true(walk(bench) > 1);
	sweep_finds(bench, MANY);
	sweep(bench, SWEEP_END);
	sweep_finds(bench, MANY / 2);
	assert_true(walk(bench) > 1);
	bench_wait(bench, SETTLED_NS);
	assert_int_equal(stats_of(bench)->looks, 0);
	sweep(bench, SWEEP_END);
	loss(bench);
	bench_wait(bench, SETTLED_NS);
	assert_int_equal(stats_of(bench)->entries, MANY);
}

static void many_vanish(void **state)
{
	struct bench *bench = *state;

	sweep_finds(bench, MANY);
	sweep(bench, SWEEP_END);
	walk(bench);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), MANY);
	swept(bench, nothing());
	bench_wait(bench, 4 * SETTLED_NS);
	assert_int_equal(in_kernel(bench, FSM_ESTABLISHED), 0);
	assert_int_equal(stats_of(bench)->entries, 0);
	assert_corrections(bench, 0, 0, 0, 0); /* each was seen once only */
}

static int setup(void **state)
{
	static struct bench bench;

	bench_start(&bench, 64);
	*state = &bench;
	return 0;
}

static int setup_small(void **state)
{
	static struct bench bench;

	bench_start(&bench, 1);
	*state = &bench;
	return 0;
}

static int setup_large(void **state)
{
	static struct bench bench;

	bench_start(&bench, MANY);
	bench.quiet = true;
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_stop(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loss_is_never_a_divergence),
		TEST(sweep_puts_both_views_right),
		TEST(seeds_are_shown),
		TEST(time_wait_vanishes),
		TEST(request_expires),
		TEST(orphan_times_out),
		TEST(close_was_never_told),
		TEST(change_was_never_told),
		TEST(unknown_socket_is_taken_in),
		TEST(silent_steps_are_learnt),
		TEST(syn_sent_before_its_syn),
		TEST(opened_while_it_ran),
		TEST(passed_over),
		TEST(tracepoint_comes_after_the_look),
		TEST(minisocket_takes_over_meanwhile),
		TEST(announced_and_not_stored),
		TEST(change_comes_late),
		TEST(read_before),
		TEST(read_before_the_look),
		TEST(views_have_parted),
		TEST(nothing_to_find),
		TEST(moves_on_before_the_look),
		TEST(unknown_socket_has_gone),
		TEST(seed_has_gone),
		TEST(seed_vanishes),
		TEST(broken_off),
		TEST(found_by_the_next),
		TEST(owner_keeps_the_stack_waiting),
		TEST(loss_while_it_ran),
		TEST(loss_and_passed_over),
		cmocka_unit_test_setup_teardown(no_room_is_made, setup_small, teardown),
		cmocka_unit_test_setup_teardown(many_stay, setup_large, teardown),
		cmocka_unit_test_setup_teardown(many_vanish, setup_large, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
