/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that were left out, wholly or for a while: nothing false is said of them. */
#include "track_kinds.h"

#include "track/sampled.h"

#define SEED 0x5eedull
#define NETNS 1u
#define INTERFACE 2u

static void change_shift(struct bench *bench, struct sampling_site site, uint8_t from, uint8_t to)
{
	struct rec_sampling rec = {
		.hdr = bench_header(bench, REC_SAMPLING, false),
		.seed = SEED,
		.slot = sampling_slot_of(&site),
		.ifindex = site.ifindex,
		.port = site.port,
		.from = from,
		.to = to,
		.offered = 100000,
	};

	bench->now_ns += 1000;
	rec.hdr.ts_ns = bench->now_ns;
	bench_feed(bench, &rec, sizeof(rec));
}

static void at_port(struct bench *bench, uint8_t from, uint8_t to)
{
	change_shift(bench, (struct sampling_site){ NETNS, 0, bench->local_port, 0 }, from, to);
}

static void at_interface(struct bench *bench, uint32_t ifindex, uint8_t from, uint8_t to)
{
	change_shift(bench, (struct sampling_site){ NETNS, ifindex, 0, 0 }, from, to);
}

static bool passes(const struct bench *bench, uint32_t shift)
{
	uint32_t local[4] = { 0 }, remote[4] = { 0 };

	memcpy(local, (uint8_t[]){ 10, 0, 0, 1 }, 4);
	memcpy(remote, (uint8_t[]){ 10, 0, 0, 2 }, 4);
	return sampling_takes(sampling_hash(local, bench->local_port, remote, bench->remote_port, 0,
					    SEED),
			      shift);
}

/* The next flow that a shift of `least` leaves out, and none below. */
static void choose_left_out(struct bench *bench, uint32_t least)
{
	do
		bench->remote_port++;
	while (!passes(bench, least - 1) || passes(bench, least));
}

static void choose_taken(struct bench *bench, uint32_t shift)
{
	do
		bench->remote_port++;
	while (!passes(bench, shift));
}

/* What would be a silent_close, of a connection that is open. */
static void times_out(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ETIMEDOUT, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 601);
	bench->kernel = idle_listener;
	bench_wait(bench, 2 * NS_PER_SEC);
}

/* What would be an accept_queue_overflow. */
static void is_refused(struct bench *bench)
{
	const struct rec_snapshot waits = queues(KS_NEW_SYN_RECV, SNAP_ACKED, 17, 16, 1);

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = waits);
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = waits);
	bench->kernel = waits;
	bench_wait(bench, 2 * NS_PER_SEC);
}

static uint64_t silent_closes(const struct bench *bench)
{
	return stats_of(bench)->divergences[DIVERGENCE_SILENT_CLOSE];
}

static uint64_t sampled(const struct bench *bench)
{
	return stats_of(bench)->unobservable[UNOBSERVABLE_SAMPLED];
}

static void problem_is_told_without_sampling(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	times_out(bench);
	assert_int_equal(silent_closes(bench), 1);
	assert_int_equal(sampled(bench), 0);
	bench->remote_port++;
	is_refused(bench);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_ACCEPT_QUEUE_OVERFLOW], 1);
}

static void left_out_from_now_on(void **state)
{
	struct bench *bench = *state;
	struct connection_report report;
	struct conn_key key = { .local_port = bench->local_port, .netns = NETNS };
	uint32_t life;

	choose_left_out(bench, 3);
	open_server(bench);
	bench_wait(bench, 10 * NS_PER_SEC);
	at_port(bench, 0, 2);
	memcpy(&key.local_address[10], (uint8_t[]){ 0xff, 0xff, 10, 0, 0, 1 }, 6);
	memcpy(&key.remote_address[10], (uint8_t[]){ 0xff, 0xff, 10, 0, 0, 2 }, 6);
	key.remote_port = bench->remote_port;
	assert_true(tracker_find(bench->tracker, &key, &report, &life));
	assert_true(report.observable); /* a shift of 2 leaves it in */
	at_port(bench, 2, 3);
	assert_true(tracker_find(bench->tracker, &key, &report, &life));
	assert_false(report.observable);
	assert_int_equal(report.why, UNOBSERVABLE_SAMPLED);
	times_out(bench);
	assert_no_divergence(bench);
	assert_int_equal(sampled(bench), 1);
	assert_int_equal(bench->nr_sampling, 2);
}

/* It slept while it was left out, and something happened to it unseen. */
static void left_out_for_a_while(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 3);
	open_server(bench);
	at_port(bench, 0, 5);
	bench_wait(bench, NS_PER_SEC);
	at_port(bench, 5, 0);
	bench_wait(bench, 60 * NS_PER_SEC);
	times_out(bench);
	assert_no_divergence(bench);
	assert_int_equal(sampled(bench), 1);
}

static void taken_all_the_time(void **state)
{
	struct bench *bench = *state;

	choose_taken(bench, 5);
	at_port(bench, 0, 5);
	open_server(bench);
	at_port(bench, 5, 3);
	times_out(bench);
	assert_int_equal(silent_closes(bench), 1);
	assert_int_equal(sampled(bench), 0);
}

static void other_ports_are_not_concerned(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 1);
	change_shift(bench, (struct sampling_site){ NETNS, 0, 80, 0 }, 0, 20);
	change_shift(bench, (struct sampling_site){ NETNS + 1, 0, bench->local_port, 0 }, 0, 20);
	open_server(bench);
	times_out(bench);
	assert_int_equal(silent_closes(bench), 1);
	assert_int_equal(sampled(bench), 0);
}

/* The shift does not fall at one instant for all CPUs; a window later it has. */
static void born_as_the_shift_falls(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 1);
	at_port(bench, 0, 4);
	bench_wait(bench, NS_PER_SEC);
	at_port(bench, 4, 0);
	open_server(bench);
	times_out(bench);
	assert_no_divergence(bench);
	assert_int_equal(sampled(bench), 1);
}

static void born_a_window_later(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 1);
	at_port(bench, 0, 4);
	at_port(bench, 4, 0);
	bench_wait(bench, SAMPLING_WINDOW_NS + 20 * NS_PER_MS);
	open_server(bench);
	times_out(bench);
	assert_int_equal(silent_closes(bench), 1);
	assert_int_equal(sampled(bench), 0);
}

/* The RST that ended it met no socket, and was left out for that. */
static void strays_are_left_out(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 4);
	open_server(bench);
	at_interface(bench, INTERFACE, 0, 4);
	times_out(bench);
	assert_no_divergence(bench);
	assert_int_equal(sampled(bench), 1);
}

static void strays_of_other_flows_are(void **state)
{
	struct bench *bench = *state;

	choose_taken(bench, 4);
	at_interface(bench, INTERFACE, 0, 4);
	open_server(bench);
	times_out(bench);
	assert_int_equal(silent_closes(bench), 1);
	choose_left_out(bench, 1);
	at_interface(bench, INTERFACE, 4, 0);
	bench_wait(bench, NS_PER_SEC);
	open_server(bench);
	times_out(bench);
	assert_int_equal(silent_closes(bench), 2);
	assert_int_equal(sampled(bench), 0);
}

/* What has a socket is followed by its port: a scan of closed ports blinds nobody. */
static void strays_do_not_hide_a_listeners_trouble(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 1);
	at_interface(bench, INTERFACE, 0, 10);
	at_interface(bench, INTERFACE + 1, 0, 10);
	is_refused(bench);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_ACCEPT_QUEUE_OVERFLOW], 1);
	assert_int_equal(sampled(bench), 0);
}

static void other_trouble_of_one_left_out(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 2);
	at_port(bench, 0, 2);
	is_refused(bench);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->connections[VIEW_KERNEL][FSM_SYN_RECEIVED], 1);
}

/* Sweeps keep the gauges true; what they find is no surprise, and is not judged. */
static void sweep_finds_one_left_out(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = stats_of(bench);

	sweep(bench, SWEEP_BEGIN);
	sweep(bench, SWEEP_END);
	choose_left_out(bench, 1);
	at_port(bench, 0, 4);
	bench_wait(bench, NS_PER_SEC);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	sweep(bench, SWEEP_BEGIN);
	swept_socket(bench, bench->kernel);
	sweep(bench, SWEEP_END);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_ESTABLISHED], 1);
	bench->kernel = nothing();
	for (int i = 0; i < 3; i++) {
		bench_wait(bench, NS_PER_SEC);
		sweep(bench, SWEEP_BEGIN);
		sweep(bench, SWEEP_END);
	}
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_ESTABLISHED], 0);
	assert_int_equal(stats->entries, 0);
	for (int i = 0; i < CORRECTION_NR; i++)
		assert_int_equal(stats->sweep_corrections[i], 0);
	assert_int_equal(stats->unobservable[UNOBSERVABLE_UNTAPPED], 0);
	assert_int_equal(sampled(bench), 1);
	assert_no_divergence(bench);
}

/* Its first word is in mid-life, because it was left out when it began. */
static void met_in_mid_life(void **state)
{
	struct bench *bench = *state;

	choose_left_out(bench, 1);
	at_port(bench, 0, 4);
	at_port(bench, 4, 0);
	bench_wait(bench, 10 * NS_PER_SEC);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .rcv_nxt = 102, .snd_una = 501,
	       .snd_nxt = 501);
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_CLOSE, .error = ETIMEDOUT, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	bench->kernel = nothing();
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(sampled(bench), 1);
	choose_left_out(bench, 1);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE);
	assert_int_equal(sampled(bench), 2);
	assert_int_equal(stats_of(bench)->unobservable[UNOBSERVABLE_ADOPTED], 0);
	assert_int_equal(stats_of(bench)->unobservable[UNOBSERVABLE_UNTAPPED], 0);
}

static void changes_are_counted(void **state)
{
	struct bench *bench = *state;

	at_port(bench, 0, 4);
	at_port(bench, 4, 6);
	at_port(bench, 6, 0);
	assert_int_equal(stats_of(bench)->sampling_raised, 2);
	assert_int_equal(stats_of(bench)->sampling_lowered, 1);
	assert_int_equal(bench->nr_sampling, 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(problem_is_told_without_sampling),
		TEST(left_out_from_now_on),
		TEST(left_out_for_a_while),
		TEST(taken_all_the_time),
		TEST(other_ports_are_not_concerned),
		TEST(born_as_the_shift_falls),
		TEST(born_a_window_later),
		TEST(strays_are_left_out),
		TEST(strays_of_other_flows_are),
		TEST(strays_do_not_hide_a_listeners_trouble),
		TEST(other_trouble_of_one_left_out),
		TEST(sweep_finds_one_left_out),
		TEST(met_in_mid_life),
		TEST(changes_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
