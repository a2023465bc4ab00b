/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets: their coming and going, groups, queues, the cap on rows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "listen/listeners.h"
#include "tcp_defs.h"

struct bench {
	struct listeners *listeners;
	uint64_t forgotten; /* the cookie last forgotten */
};

/* Every socket has met as many SYNs as its cookie says. */
static int counters(void *context, uint64_t cookie, struct listener_reading *ret)
{
	(void)context;
	memset(ret, 0, sizeof(*ret));
	ret->counters.syns = cookie;
	ret->counters.synacks = cookie - 1;
	ret->counters.drops[LISTENER_DROP_FILTERED] = 1;
	return 0;
}

static void forget(void *context, uint64_t cookie)
{
	struct bench *bench = context;

	bench->forgotten = cookie;
}

static struct conn_key key_of(uint16_t port)
{
	struct conn_key key = { .netns = 1, .local_port = port };

	return key;
}

static void change(struct bench *bench, uint16_t port, uint64_t cookie, uint8_t from, uint8_t to)
{
	const struct rec_state rec = { .old_state = from, .new_state = to };
	const struct observation seen = { .type = REC_STATE,
					  .ts_ns = 100,
					  .cookie = cookie,
					  .key = key_of(port),
					  .state = &rec };

	listeners_observe(bench->listeners, &seen);
}

static void swept(struct bench *bench, uint16_t port, uint64_t cookie, uint64_t ts_ns,
		  uint32_t accept_length)
{
	const struct rec_socket rec = {
		.snapshot = { .cookie = cookie,
			      .state = KS_LISTEN,
			      .bits = SNAP_QUEUES,
			      .queues = { .accept_length = accept_length, .accept_limit = 16 } },
	};
	const struct observation seen = { .type = REC_SOCKET,
					  .ts_ns = ts_ns,
					  .cookie = cookie,
					  .key = key_of(port),
					  .socket = &rec };

	listeners_observe(bench->listeners, &seen);
}

static void sweep(struct bench *bench, enum sweep_phase phase, uint64_t ts_ns)
{
	const struct rec_sweep rec = { .phase = phase };
	const struct observation seen = { .type = REC_SWEEP, .ts_ns = ts_ns, .sweep = &rec };

	listeners_observe(bench->listeners, &seen);
}

static void comes_and_goes(void **state)
{
	struct bench *bench = *state;
	struct listener_row rows[4], other;
	size_t total;

	change(bench, 80, 5, KS_CLOSE, KS_LISTEN);
	assert_int_equal(listeners_count(bench->listeners), 1);
	assert_int_equal(listeners_busiest(bench->listeners, rows, 4, &total, &other), 1);
	assert_int_equal(rows[0].key.local_port, 80);
	assert_int_equal(rows[0].counters.syns, 5);
	change(bench, 80, 5, KS_LISTEN, KS_CLOSE);
	assert_int_equal(listeners_count(bench->listeners), 0);
	assert_int_equal(bench->forgotten, 5);
}

static void owner_is_remembered(void **state)
{
	struct bench *bench = *state;
	struct rec_listen rec = { .pid = 42, .accept_limit = 128, .comm = "nginx" };
	const struct observation seen = {
		.type = REC_LISTEN, .ts_ns = 100, .cookie = 5, .key = key_of(80), .listen = &rec
	};
	struct listener_row rows[1], other;
	size_t total;

	listeners_observe(bench->listeners, &seen);
	assert_int_equal(listeners_busiest(bench->listeners, rows, 1, &total, &other), 1);
	assert_int_equal(rows[0].pid, 42);
	assert_string_equal(rows[0].comm, "nginx");
	assert_int_equal(rows[0].accept_limit, 128);
}

/* A socket that listens at `address` (v4-mapped, or ::) and port 80, by process `pid`. */
static void listens(struct bench *bench, const uint8_t address[16], uint64_t cookie, uint32_t pid)
{
	struct rec_listen rec = { .pid = pid, .cgroup_id = 7000 + pid, .comm = "nginx" };
	struct observation seen = { .type = REC_LISTEN,
				    .ts_ns = 100,
				    .cookie = cookie,
				    .key = key_of(80),
				    .listen = &rec };

	memcpy(seen.key.local_address, address, 16);
	listeners_observe(bench->listeners, &seen);
}

/* The pid of whoever listens for connections to `address`, port 80; 0 = nobody. */
static uint32_t owner_at(struct bench *bench, const uint8_t address[16], uint32_t netns)
{
	struct conn_key key = { .netns = netns, .local_port = 80, .remote_port = 4711 };
	struct listener_owner owner;

	memcpy(key.local_address, address, 16);
	if (!listeners_find(bench->listeners, &key, &owner))
		return 0;
	assert_int_equal(owner.cgroup_id, 7000 + owner.pid);
	assert_int_equal(owner.key.local_port, 80);
	assert_string_equal(owner.comm, "nginx");
	return owner.pid;
}

static void owner_of_a_connection(void **state)
{
	static const uint8_t v4[16] = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 };
	static const uint8_t other_v4[16] = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 2 };
	static const uint8_t any_v4[16] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t v6[16] = { 0xfd, [15] = 1 }, any_v6[16] = { 0 };
	struct bench *bench = *state;

	assert_int_equal(owner_at(bench, v4, 1), 0);
	listens(bench, any_v6, 10, 1);
	assert_int_equal(owner_at(bench, v4, 1), 1);
	assert_int_equal(owner_at(bench, v6, 1), 1);
	assert_int_equal(owner_at(bench, v6, 2), 0);
	listens(bench, any_v4, 11, 2);
	assert_int_equal(owner_at(bench, v4, 1), 2);
	assert_int_equal(owner_at(bench, v6, 1), 1);
	listens(bench, v4, 12, 3);
	assert_int_equal(owner_at(bench, v4, 1), 3);
	assert_int_equal(owner_at(bench, other_v4, 1), 2);
	/* SO_REUSEPORT: the same one always, whatever the order */
	listens(bench, v4, 9, 4);
	assert_int_equal(owner_at(bench, v4, 1), 4);
}

/* The connections it leaves in its queue are reported after it has closed. */
static void owner_that_closed_is_known(void **state)
{
	struct bench *bench = *state;
	const uint8_t any[16] = { 0 };

	listens(bench, any, 10, 1);
	change(bench, 80, 10, KS_LISTEN, KS_CLOSE);
	assert_int_equal(owner_at(bench, any, 1), 1);
	listens(bench, any, 11, 2);
	change(bench, 80, 11, KS_LISTEN, KS_CLOSE);
	assert_int_equal(owner_at(bench, any, 1), 2);
	listens(bench, any, 12, 3);
	assert_int_equal(owner_at(bench, any, 1), 3);
	change(bench, 80, 12, KS_LISTEN, KS_CLOSE);
	/* many others since then */
	for (uint16_t port = 1000; port < 2000; port++) {
		change(bench, port, port, KS_CLOSE, KS_LISTEN);
		change(bench, port, port, KS_LISTEN, KS_CLOSE);
	}
	assert_int_equal(owner_at(bench, any, 1), 0);
}

/* SO_REUSEPORT: one row, counters added, the fullest member's queue. */
static void group_is_one_row(void **state)
{
	struct bench *bench = *state;
	struct listener_row rows[4], other;
	size_t total;

	swept(bench, 80, 5, 100, 3);
	swept(bench, 80, 6, 100, 9);
	swept(bench, 80, 7, 100, 1);
	swept(bench, 81, 8, 100, 0);
	assert_int_equal(listeners_count(bench->listeners), 4);
	assert_int_equal(listeners_busiest(bench->listeners, rows, 4, &total, &other), 2);
	assert_int_equal(rows[0].key.local_port, 80);
	assert_int_equal(rows[0].members, 3);
	assert_int_equal(rows[0].accept_length, 9);
	assert_int_equal(rows[0].counters.syns, 18);
	assert_int_equal(rows[0].counters.drops[LISTENER_DROP_FILTERED], 3);
}

static void rest_is_exact(void **state)
{
	struct bench *bench = *state;
	struct listener_row rows[2], other;
	uint64_t syns = 0;
	size_t total;

	for (uint16_t port = 1; port <= 100; port++) {
		swept(bench, port, port, 100, 0);
		syns += port;
	}
	assert_int_equal(listeners_busiest(bench->listeners, rows, 2, &total, &other), 2);
	assert_int_equal(total, 100);
	assert_int_equal(rows[0].counters.syns, 100);
	assert_int_equal(rows[1].counters.syns, 99);
	assert_int_equal(other.members, 98);
	assert_int_equal(other.counters.syns, syns - 199);
}

static void older_word_changes_nothing(void **state)
{
	struct bench *bench = *state;
	struct listener_row rows[1], other;
	size_t total;

	swept(bench, 80, 5, 200, 3);
	swept(bench, 80, 5, 100, 9);
	listeners_busiest(bench->listeners, rows, 1, &total, &other);
	assert_int_equal(rows[0].accept_length, 3);
}

static void sweep_forgets_what_is_gone(void **state)
{
	struct bench *bench = *state;

	swept(bench, 80, 5, 100, 0);
	swept(bench, 81, 6, 100, 0);
	sweep(bench, SWEEP_BEGIN, 200);
	swept(bench, 81, 6, 210, 0);
	sweep(bench, SWEEP_END, 220);
	assert_int_equal(listeners_count(bench->listeners), 2); /* one may pass it over */
	sweep(bench, SWEEP_BEGIN, 300);
	sweep(bench, SWEEP_BEGIN, 320); /* broken off: it is none */
	swept(bench, 81, 6, 330, 0);
	sweep(bench, SWEEP_END, 340);
	assert_int_equal(listeners_count(bench->listeners), 1);
	assert_int_equal(bench->forgotten, 5);
}

/* Two labels: they stay with whom they were given to, and no counter ever goes back. */
static void labels_stay(void **state)
{
	struct bench *bench = *state;
	struct listener_row rows[2], other;
	size_t total;

	swept(bench, 80, 5, 100, 0);
	swept(bench, 81, 6, 100, 0);
	assert_int_equal(listeners_labelled(bench->listeners, rows, 2, &total, &other), 2);
	swept(bench, 82, 90, 100, 0);
	assert_int_equal(listeners_labelled(bench->listeners, rows, 2, &total, &other), 2);
	assert_int_equal(total, 3);
	assert_int_equal(rows[0].key.local_port, 81);
	assert_int_equal(rows[1].key.local_port, 80);
	assert_int_equal(other.counters.syns, 90);
	/* A closed listener's label goes on; what `other` has counted stays there. */
	change(bench, 80, 5, KS_LISTEN, KS_CLOSE);
	assert_int_equal(listeners_labelled(bench->listeners, rows, 2, &total, &other), 2);
	assert_int_equal(rows[1].key.local_port, 82);
	assert_int_equal(rows[1].counters.syns, 0);
	assert_int_equal(other.counters.syns, 90);
	/* One that never had a label closes: its counts do not vanish. */
	swept(bench, 83, 7, 100, 0);
	change(bench, 83, 7, KS_LISTEN, KS_CLOSE);
	listeners_labelled(bench->listeners, rows, 2, &total, &other);
	assert_int_equal(other.counters.syns, 97);
}

/* A member of a group that closes takes nothing away from the group's row. */
static void group_keeps_what_its_members_counted(void **state)
{
	struct bench *bench = *state;
	struct listener_row rows[2], other;
	size_t total;

	swept(bench, 80, 5, 100, 0);
	swept(bench, 80, 6, 100, 0);
	assert_int_equal(listeners_labelled(bench->listeners, rows, 2, &total, &other), 1);
	assert_int_equal(rows[0].counters.syns, 11);
	change(bench, 80, 6, KS_LISTEN, KS_CLOSE);
	assert_int_equal(listeners_labelled(bench->listeners, rows, 2, &total, &other), 1);
	assert_int_equal(rows[0].counters.syns, 11);
	assert_int_equal(rows[0].members, 1);
}

static int setup(void **state)
{
	static struct bench bench;
	const struct listeners_ops ops = { &bench, false, counters, forget, NULL, NULL, NULL };

	memset(&bench, 0, sizeof(bench));
	bench.listeners = listeners_new(&ops, 2);
	*state = &bench;
	return bench.listeners ? 0 : -1;
}

static int teardown(void **state)
{
	listeners_free(((struct bench *)*state)->listeners);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comes_and_goes),
		TEST(owner_is_remembered),
		TEST(owner_of_a_connection),
		TEST(owner_that_closed_is_known),
		TEST(group_is_one_row),
		TEST(rest_is_exact),
		TEST(older_word_changes_nothing),
		TEST(sweep_forgets_what_is_gone),
		TEST(labels_stay),
		TEST(group_keeps_what_its_members_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
