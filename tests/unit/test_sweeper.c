/* SPDX-License-Identifier: GPL-2.0-only */
/* When sweeps begin and end, and what they write: over sockets and pipes instead of iterators. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/sweep.h"
#include "util.h"

#define RING_BYTES (1u << 18)
#define SPACES_MAX 4
#define BATCH 100 /* records of one read */
#define MANY 1000 /* as many as a socket's buffer holds */
#define PATIENCE_NS (20 * NS_PER_SEC)
#define BEGAN_NS (100 * NS_PER_SEC)

/* Namespaces: so many sockets each, or what opening an iterator answers. */
struct bench {
	struct sweeper sweeper;
	struct ring *ring;
	uint64_t now_ns;
	int sockets[SPACES_MAX]; /* < 0: -errno */
	uint32_t spaces;
	int pipe; /* its writing end, when the first namespace is a pipe; else -1 */
	bool is_pipe;
	int torn; /* octets too many */
	/* what came out */
	uint32_t begun, ended, found;
};

static void send_records(int fd, size_t bytes)
{
	struct rec_socket records[BATCH] = { 0 };

	for (int i = 0; i < BATCH; i++)
		records[i].hdr.type = REC_SOCKET;
	assert_int_equal(send(fd, records, bytes, 0), bytes);
}

/* As the iterator's, each read brings whole records only; one that is torn comes last. */
static int open_socket(struct bench *bench, int sockets)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	for (int left = sockets; left > 0; left -= BATCH)
		send_records(ends[1], MIN(left, BATCH) * sizeof(struct rec_socket));
	if (bench->torn)
		send_records(ends[1], (size_t)bench->torn);
	close(ends[1]);
	return ends[0];
}

static int open_iterator(void *context, uint32_t index)
{
	struct bench *bench = context;
	int ends[2];

	if (index >= bench->spaces)
		return -ENOENT;
	if (bench->is_pipe && index == 0) {
		assert_int_equal(pipe(ends), 0);
		bench->pipe = ends[1];
		return ends[0];
	}
	return bench->sockets[index] < 0 ? bench->sockets[index] :
					   open_socket(bench, bench->sockets[index]);
}

static void start(struct bench *bench, uint64_t floor_ns)
{
	const struct sweeper_ops ops = { bench, open_iterator };

	sweeper_init(&bench->sweeper, &ops, bench->ring, 7, floor_ns);
}

/* Empties the ring as the merge would; taking things in costs taken_ns. */
static void take(struct bench *bench, uint64_t taken_ns)
{
	bool ended = false;
	const void *bytes;
	size_t size;

	ring_limit(bench->ring);
	while (ring_peek(bench->ring, &bytes, &size)) {
		const struct rec_sweep *record = bytes;

		if (record->hdr.type == REC_SWEEP) {
			assert_int_equal(record->hdr.netns, 7);
			ended = record->phase == SWEEP_END;
			bench->begun += !ended;
			bench->ended += ended;
		} else {
			assert_int_equal(record->hdr.type, REC_SOCKET);
			assert_true(bench->begun > bench->ended);
			bench->found++;
		}
		ring_advance(bench->ring);
	}
	ring_release(bench->ring);
	if (sweeper_is_busy(&bench->sweeper))
		sweeper_charge(&bench->sweeper, ended ? taken_ns : 0, ended);
}

/* Turns the loop until so many sweeps have ended. */
static void until_ended(struct bench *bench, uint32_t ended, uint64_t taken_ns)
{
	uint64_t deadline_ns = clock_read(CLOCK_MONOTONIC) + PATIENCE_NS;

	while (bench->ended < ended) {
		assert_true(clock_read(CLOCK_MONOTONIC) < deadline_ns);
		assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
		take(bench, taken_ns);
	}
}

static void interval_follows_cost(void **state)
{
	(void)state;
	assert_int_equal(sweep_interval_ns(0, NS_PER_SEC), NS_PER_SEC);
	assert_int_equal(sweep_interval_ns(9 * NS_PER_MS, NS_PER_SEC), NS_PER_SEC);
	assert_int_equal(sweep_interval_ns(20 * NS_PER_MS, NS_PER_SEC), 2 * NS_PER_SEC);
	assert_int_equal(sweep_interval_ns(NS_PER_SEC, NS_PER_SEC), 100 * NS_PER_SEC);
	assert_int_equal(sweep_interval_ns(NS_PER_SEC * 60, NS_PER_SEC), SWEEP_INTERVAL_MAX_NS);
	assert_int_equal(sweep_interval_ns(1, 3600 * NS_PER_SEC), 3600 * NS_PER_SEC);
}

/* More sockets than a slice holds, in namespaces of which one is ending. */
static void covers_every_namespace(void **state)
{
	struct bench *bench = *state;

	bench->spaces = 4;
	bench->sockets[0] = MANY;
	bench->sockets[1] = -ESRCH;
	bench->sockets[2] = 0;
	bench->sockets[3] = 5;
	start(bench, NS_PER_SEC);
	until_ended(bench, 1, 0);
	assert_int_equal(bench->begun, 1);
	assert_int_equal(bench->found, MANY + 5);
	assert_int_equal(bench->sweeper.stats.sweeps, 1);
	assert_int_equal(bench->sweeper.stats.sockets, MANY + 5);
}

static void repeats_at_its_interval(void **state)
{
	struct bench *bench = *state;
	uint64_t interval_ns;

	bench->spaces = 1;
	bench->sockets[0] = 10;
	start(bench, NS_PER_SEC);
	until_ended(bench, 1, 50 * NS_PER_MS);
	assert_true(bench->sweeper.stats.cost_ns >= 50 * NS_PER_MS);
	interval_ns = bench->sweeper.stats.interval_ns;
	assert_int_equal(interval_ns, bench->sweeper.stats.cost_ns * SWEEP_SHARE);
	bench->now_ns += interval_ns - 1;
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_false(sweeper_is_busy(&bench->sweeper));
	bench->now_ns++;
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, true), 0);
	assert_false(sweeper_is_busy(&bench->sweeper)); /* while records are lost */
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_true(sweeper_is_busy(&bench->sweeper));
	until_ended(bench, 2, 0);
	assert_int_equal(bench->sweeper.stats.interval_ns,
			 MAX(NS_PER_SEC, bench->sweeper.stats.cost_ns * SWEEP_SHARE));
}

/* The next one waits for the last one's records, however late they are. */
static void waits_until_taken(void **state)
{
	struct bench *bench = *state;
	uint64_t deadline_ns = clock_read(CLOCK_MONOTONIC) + PATIENCE_NS;

	bench->spaces = 1;
	bench->sockets[0] = 1;
	start(bench, NS_PER_SEC);
	do {
		assert_true(clock_read(CLOCK_MONOTONIC) < deadline_ns);
		assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	} while (bench->sweeper.running);
	bench->now_ns += 1000 * NS_PER_SEC;
	sweeper_want(&bench->sweeper);
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_false(bench->sweeper.running);
	take(bench, 0);
	assert_int_equal(bench->begun, 1);
	until_ended(bench, 2, 0);
}

static void only_when_asked_for(void **state)
{
	struct bench *bench = *state;

	bench->spaces = 1;
	start(bench, 0);
	bench->now_ns += 10000 * NS_PER_SEC;
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_false(sweeper_is_busy(&bench->sweeper));
	sweeper_want(&bench->sweeper);
	until_ended(bench, 1, NS_PER_SEC);
	assert_int_equal(bench->sweeper.stats.interval_ns, 0);
	bench->now_ns += 10000 * NS_PER_SEC;
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_false(sweeper_is_busy(&bench->sweeper));
}

static void breaks_off(void **state)
{
	struct bench *bench = *state;

	bench->spaces = 1;
	bench->sockets[0] = -EPERM;
	start(bench, NS_PER_SEC);
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), -EPERM);
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	take(bench, 0);
	assert_int_equal(bench->begun, 1);
	assert_int_equal(bench->ended, 0);
	bench->now_ns += NS_PER_SEC;
	bench->sockets[0] = 4;
	until_ended(bench, 1, 0);
	assert_int_equal(bench->begun, 2);
	assert_int_equal(bench->found, 4);
}

static void refuses_half_a_record(void **state)
{
	struct bench *bench = *state;
	uint64_t deadline_ns = clock_read(CLOCK_MONOTONIC) + PATIENCE_NS;
	int err;

	bench->spaces = 1;
	bench->torn = 8;
	start(bench, NS_PER_SEC);
	do {
		assert_true(clock_read(CLOCK_MONOTONIC) < deadline_ns);
		err = sweeper_step(&bench->sweeper, bench->now_ns, false);
	} while (!err);
	assert_int_equal(err, -EPROTO);
	take(bench, 0);
	assert_int_equal(bench->ended, 0);
}

/* Nobody empties the ring: the sweep waits, and nothing of it is lost. */
static void waits_for_room(void **state)
{
	struct bench *bench = *state;
	uint64_t deadline_ns = clock_read(CLOCK_MONOTONIC) + PATIENCE_NS;

	bench->spaces = SPACES_MAX;
	for (int i = 0; i < SPACES_MAX; i++)
		bench->sockets[i] = MANY;
	assert_true(SPACES_MAX * MANY * sizeof(struct rec_socket) > RING_BYTES);
	start(bench, NS_PER_SEC);
	do {
		assert_true(clock_read(CLOCK_MONOTONIC) < deadline_ns);
		assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	} while (ring_room(bench->ring) > 3 * SWEEP_READ_BYTES);
	for (int i = 0; i < 100; i++)
		assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_true(ring_room(bench->ring) >= 2 * SWEEP_READ_BYTES);
	until_ended(bench, 1, 0);
	assert_int_equal(bench->found, SPACES_MAX * MANY);
}

/* An iterator that waits for a socket's lock keeps nobody else waiting. */
static void stalls_alone(void **state)
{
	const struct rec_socket socket = { .hdr = { .type = REC_SOCKET } };
	struct bench *bench = *state;

	bench->spaces = 2;
	bench->sockets[1] = 3;
	bench->is_pipe = true;
	start(bench, NS_PER_SEC);
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_int_equal(bench->sweeper.stats.stalled, 0);
	bench->now_ns += SWEEP_STALLED_NS;
	assert_int_equal(sweeper_step(&bench->sweeper, bench->now_ns, false), 0);
	assert_int_equal(bench->sweeper.stats.stalled, 1);
	assert_int_equal(write(bench->pipe, &socket, sizeof(socket)), sizeof(socket));
	close(bench->pipe);
	until_ended(bench, 1, 0);
	assert_int_equal(bench->sweeper.stats.stalled, 0);
	assert_int_equal(bench->found, 4);
}

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	bench.now_ns = BEGAN_NS;
	*state = &bench;
	return ring_open_memory(RING_BYTES, &bench.ring);
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	if (bench->sweeper.ring)
		sweeper_fini(&bench->sweeper);
	ring_free(bench->ring);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(interval_follows_cost),
		TEST(covers_every_namespace),
		TEST(repeats_at_its_interval),
		TEST(waits_until_taken),
		TEST(only_when_asked_for),
		TEST(breaks_off),
		TEST(refuses_half_a_record),
		TEST(waits_for_room),
		TEST(stalls_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
