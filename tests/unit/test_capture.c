/* SPDX-License-Identifier: GPL-2.0-only */
/* The whole stage on real sockets: what it hands over, what it counts, what it leaves behind. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "capture/capture.h"
#include "config.h"
#include "util.h"

#define TCX_INGRESS 46
#define PATIENCE_NS (20 * NS_PER_SEC)
#define PORT 7777
#define CONNECTIONS 200

/* What the sink saw. */
struct tally {
	uint64_t records, types[REC_NR], syns_sent, syns_received, behind, last_ns;
	uint64_t lost;	  /* by REC_LOSS */
	uint64_t sockets; /* since SWEEP_BEGIN */
	uint64_t sweeps;  /* ended */
	uint64_t sweep_begin_ns, loss_ns;
};

static struct tally tally;
static struct settings settings;
static struct capture *capture;
static struct capture_stats stats;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
}

static void count_segment(struct tally *to, const struct observation *obs)
{
	if ((obs->segment->tcp_flags & (TCPF_SYN | TCPF_ACK)) != TCPF_SYN)
		return;
	if (obs->sent)
		to->syns_sent++;
	else
		to->syns_received++;
}

static void count_sweep(struct tally *to, const struct observation *obs)
{
	if (obs->sweep->phase == SWEEP_BEGIN) {
		to->sockets = 0;
		to->sweep_begin_ns = obs->ts_ns;
	} else {
		to->sweeps++;
	}
}

static uint8_t take(struct tally *to, const struct merged_record *record)
{
	enum reject_reason reason;
	struct observation obs;

	if (decode(record->bytes, record->size, &obs, &reason))
		return (uint8_t)(1 + reason);
	to->records++;
	to->types[obs.type]++;
	if (obs.ts_ns < to->last_ns)
		to->behind++;
	to->last_ns = obs.ts_ns;
	assert_int_equal(record->family == CAPTURE_RING_NONE, obs.type >= REC_SOCKET);
	if (obs.type == REC_SEGMENT)
		count_segment(to, &obs);
	if (obs.type == REC_SWEEP)
		count_sweep(to, &obs);
	if (obs.type == REC_SOCKET)
		to->sockets++;
	if (obs.type == REC_LOSS) {
		to->lost += obs.loss->lost;
		to->loss_ns = obs.ts_ns;
	}
	return 0;
}

static void sink(void *context, const struct merged_record *records, size_t count,
		 uint8_t *ret_verdicts)
{
	for (size_t i = 0; i < count; i++)
		ret_verdicts[i] = take(context, &records[i]);
}

static void drain(bool flush)
{
	assert_int_equal(capture_drain(capture, now(), flush, sink, &tally), 0);
}

/* Drains until so many sweeps have ended. */
static void until_swept(uint64_t sweeps)
{
	uint64_t deadline = now() + PATIENCE_NS;

	while (tally.sweeps < sweeps) {
		assert_true(now() < deadline);
		drain(false);
	}
}

static void assert_accounts_balance(void)
{
	assert_int_equal(capture_stats(capture, &stats), 0);
	for (int ring = 0; ring < RING_NR; ring++) {
		uint64_t known = stats.decoded[ring] + stats.lost[ring] + stats.pending[ring];

		for (int reason = 0; reason < REJECT_NR; reason++)
			known += stats.rejected[ring][reason];
		assert_int_equal(stats.attempted[ring], known);
	}
}

/* ---- sockets --------------------------------------------------------------------------------- */

static const struct sockaddr_in address = {
	.sin_family = AF_INET,
	.sin_port = __builtin_bswap16(PORT),
	.sin_addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK),
};

static int listen_make(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static void pair_make(int listener, int pair[2])
{
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(pair[0] >= 0);
	assert_int_equal(connect(pair[0], (const struct sockaddr *)&address, sizeof(address)), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
}

static void connections_make(int listener, int count)
{
	for (int i = 0; i < count; i++) {
		int pair[2];
		char byte;

		pair_make(listener, pair);
		assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
		assert_int_equal(read(pair[1], &byte, 1), 0);
		close(pair[1]);
		assert_int_equal(read(pair[0], &byte, 1), 0);
		close(pair[0]);
	}
}

static struct conn_key key_of(int fd)
{
	struct sockaddr_in local = { 0 }, remote = { 0 };
	socklen_t size = sizeof(local);
	struct conn_key key = { .netns = capture_netns(capture) };

	assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &size), 0);
	getpeername(fd, (struct sockaddr *)&remote, &size); /* a listener has none */
	memset(key.local_address + 10, 0xff, 2);
	memset(key.remote_address + 10, 0xff, 2);
	memcpy(key.local_address + 12, &local.sin_addr, 4);
	memcpy(key.remote_address + 12, &remote.sin_addr, 4);
	key.local_port = ntohs(local.sin_port);
	key.remote_port = ntohs(remote.sin_port);
	return key;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	return cookie;
}

/* ---- a capture on the loopback of a namespace of its own -------------------------------------- */

static int start(void **state)
{
	memset(&tally, 0, sizeof(tally));
	memset(&settings, 0, sizeof(settings));
	settings.ring_bytes = *state ? RING_BYTES_MIN : RING_BYTES_DEFAULT;
	if (unshare(CLONE_NEWNET) || system("ip link set lo up"))
		return -1;
	if (capture_new(&settings, &capture))
		return -1;
	return capture_start(capture);
}

static int stop(void **state)
{
	__u32 ids[4], count = ARRAY_SIZE(ids);

	(void)state;
	capture_free(capture);
	capture = NULL;
	if (bpf_prog_query((int)if_nametoindex("lo"), (enum bpf_attach_type)TCX_INGRESS, 0, NULL,
			   ids, &count))
		return -1;
	return count == 0 ? 0 : -1;
}

static void test_connections(void **state)
{
	int listener = listen_make();

	(void)state;
	until_swept(1);
	connections_make(listener, CONNECTIONS);
	drain(true);
	assert_int_equal(tally.syns_sent, CONNECTIONS);
	assert_int_equal(tally.syns_received, CONNECTIONS);
	assert_true(tally.types[REC_STATE] >= 6 * CONNECTIONS);
	assert_true(tally.types[REC_LISTEN] == 1);
	assert_int_equal(tally.types[REC_LOSS], 0);
	assert_accounts_balance();
	assert_int_equal(stats.lost[RING_SEGMENT] + stats.lost[RING_KERNEL], 0);
	assert_int_equal(stats.pending[RING_SEGMENT] + stats.pending[RING_KERNEL], 0);
	assert_int_equal(stats.segments.sent[SEGMENT_SYN], CONNECTIONS);
	assert_int_equal(stats.segments.received[SEGMENT_SYN], CONNECTIONS);
	assert_int_equal(tally.behind, stats.late[RING_SEGMENT] + stats.late[RING_KERNEL]);
	close(listener);
}

static void test_listener_counters(void **state)
{
	int listener = listen_make();
	uint64_t cookie = cookie_of(listener);
	const struct listener_maps *maps = capture_listeners(capture);
	uint64_t now_ns = clock_read(CLOCK_MONOTONIC), latencies = 0;
	struct listener_reading reading;

	(void)state;
	connections_make(listener, CONNECTIONS);
	assert_int_equal(listener_maps_read(maps, cookie, now_ns, &reading), 0);
	assert_int_equal(reading.counters.syns, CONNECTIONS);
	assert_int_equal(reading.counters.synacks, CONNECTIONS);
	assert_int_equal(reading.counters.handshakes, CONNECTIONS);
	assert_int_equal(reading.counters.attempts, CONNECTIONS);
	for (int b = 0; b < LISTENER_LATENCY_BUCKETS; b++)
		latencies += reading.counters.latency[b];
	assert_int_equal(latencies, CONNECTIONS);
	assert_int_equal(reading.syn_peak, 1);
	assert_int_equal(reading.accept_peak, 1);
	/* two windows later they are forgotten */
	now_ns += 2ull << LISTENER_WINDOW_SHIFT;
	assert_int_equal(listener_maps_read(maps, cookie, now_ns, &reading), 0);
	assert_int_equal(reading.accept_peak, 0);
	assert_int_equal(listener_maps_delete(maps, cookie), 0);
	assert_int_equal(listener_maps_read(maps, cookie, now_ns, &reading), -ENOENT);
	assert_int_equal(listener_maps_delete(maps, cookie), -ENOENT);
	close(listener);
}

static void test_look(void **state)
{
	int listener = listen_make(), pair[2];
	struct rec_socket socket;
	struct conn_key key = key_of(listener);

	(void)state;
	assert_int_equal(capture_look(capture, &key, 0, &socket), 0);
	assert_int_equal(socket.hdr.type, REC_LOOK);
	assert_int_equal(socket.snapshot.state, KS_LISTEN);
	assert_int_equal(socket.snapshot.queues.accept_limit, 64);
	pair_make(listener, pair);
	for (int i = 0; i < 2; i++) {
		key = key_of(pair[i]);
		assert_int_equal(capture_look(capture, &key, 0, &socket), 0);
		assert_int_equal(socket.snapshot.state, KS_ESTABLISHED);
		assert_int_equal(socket.snapshot.cookie, cookie_of(pair[i]));
		assert_int_equal(socket.local_port, key.local_port);
		assert_memory_equal(socket.remote_address, key.remote_address, 16);
	}
	key.local_port = 1;
	assert_int_equal(capture_look(capture, &key, 0, &socket), 0);
	assert_int_equal(socket.snapshot.state, KS_NONE);
	assert_true(socket.snapshot.bits & SNAP_LOOKED);
	close(pair[0]);
	close(pair[1]);
	close(listener);
}

/* More sockets than one slice of the iterator holds. */
static void test_sweep(void **state)
{
	enum {
		PAIRS = 450
	};
	int listener = listen_make(), pairs[PAIRS][2];

	(void)state;
	until_swept(1);
	for (int i = 0; i < PAIRS; i++)
		pair_make(listener, pairs[i]);
	capture_sweep(capture);
	until_swept(2);
	assert_int_equal(tally.sockets, 2 * PAIRS + 1);
	for (int i = 0; i < PAIRS; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	close(listener);
}

static void test_hot_plug(void **state)
{
	uint64_t deadline = now() + PATIENCE_NS;
	int found = 0;

	(void)state;
	assert_int_equal(system("ip link add cap-a type veth peer name cap-b &&"
				" ip addr add 10.9.0.1/24 dev cap-a && ip link set cap-a up"),
			 0);
	while (!found) {
		struct pollfd poll_fd = { .fd = capture_fd(capture), .events = POLLIN };

		assert_true(now() < deadline);
		poll(&poll_fd, 1, 20);
		drain(false);
		assert_int_equal(capture_stats(capture, &stats), 0);
		for (uint32_t i = 0; i < stats.nr_interfaces; i++)
			if (!strcmp(stats.interfaces[i].interface, "cap-a") &&
			    !strcmp(stats.interfaces[i].mode, "tcx"))
				found++;
	}
	assert_int_equal(found, 2);
	assert_int_equal(system("ip link del cap-a"), 0);
	while (stats.nr_interfaces > 2) {
		assert_true(now() < deadline);
		drain(false);
		assert_int_equal(capture_stats(capture, &stats), 0);
	}
	assert_string_equal(stats.interfaces[0].interface, "lo");
}

/* Records left in a ring for their age do not keep the fd readable. */
static void test_quiet_fd(void **state)
{
	struct pollfd poll_fd = { .fd = capture_fd(capture), .events = POLLIN };
	int listener = listen_make();

	(void)state;
	connections_make(listener, 1);
	assert_int_equal(capture_drain(capture, 1, false, sink, &tally), 0); /* all are too young */
	assert_int_equal(capture_stats(capture, &stats), 0);
	assert_true(stats.pending[RING_SEGMENT] > 0);
	assert_accounts_balance();
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	drain(true);
	assert_accounts_balance();
	assert_int_equal(stats.pending[RING_SEGMENT], 0);
	close(listener);
}

/* A ring that passes its half wakes who waits, without a timer. */
static void test_half_full_wakes(void **state)
{
	struct pollfd poll_fd = { .fd = capture_fd(capture), .events = POLLIN };
	int listener = listen_make();

	(void)state;
	drain(true);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	connections_make(listener, 20); /* some 1 KB each */
	assert_int_equal(poll(&poll_fd, 1, 1000), 1);
	close(listener);
}

/* Who wants to be woken is, once, by the next record; unless one is there already. */
static void test_first_record_wakes(void **state)
{
	struct pollfd poll_fd = { .fd = capture_fd(capture), .events = POLLIN };
	int listener = listen_make();

	(void)state;
	until_swept(1);
	drain(true);
	assert_true(capture_want_wake(capture, true));
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	connections_make(listener, 1);
	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_int_equal(capture_drain(capture, 1, false, sink, &tally), 0); /* all are too young */
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_false(capture_want_wake(capture, true));
	assert_true(capture_want_wake(capture, false));
	connections_make(listener, 1);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	drain(true);
	assert_true(capture_want_wake(capture, true));
	close(listener);
}

/* A ring's losses, CPU by CPU. */
static uint64_t lost_by_cpu(enum rec_ring ring)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < stats.nr_losses; i++)
		lost += stats.losses[i].lost[ring];
	return lost;
}

/* Losses are told, add up, and are followed by a sweep that began after them. */
static void test_loss(void **state)
{
	int listener = listen_make();

	(void)state;
	until_swept(1);
	assert_int_equal(capture_stats(capture, &stats), 0);
	assert_int_equal(stats.nr_losses, sysconf(_SC_NPROCESSORS_ONLN));
	connections_make(listener, CONNECTIONS);
	drain(false);
	until_swept(2);
	drain(true);
	assert_accounts_balance();
	assert_true(stats.lost[RING_SEGMENT] > 0);
	assert_true(stats.lost[RING_KERNEL] > 0);
	assert_int_equal(tally.lost, stats.lost[RING_SEGMENT] + stats.lost[RING_KERNEL]);
	assert_int_equal(lost_by_cpu(RING_SEGMENT), stats.lost[RING_SEGMENT]);
	assert_int_equal(lost_by_cpu(RING_KERNEL), stats.lost[RING_KERNEL]);
	assert_true(tally.sweep_begin_ns > tally.loss_ns);
	assert_int_equal(stats.segments.sent[SEGMENT_SYN], CONNECTIONS); /* exact all the same */
	close(listener);
}

static void test_unknown_device(void **state)
{
	(void)state;
	memset(&settings, 0, sizeof(settings));
	settings.ring_bytes = RING_BYTES_DEFAULT;
	settings.devices.count = 1;
	settings.devices.at[0] = "nowhere0";
	assert_int_equal(capture_new(&settings, &capture), 0);
	assert_int_equal(capture_start(capture), -ENODEV);
	capture_free(capture);
}

static void test_no_type_information(void **state)
{
	(void)state;
	assert_int_equal(setenv("TCPWITNESS_BTF", "/nonexistent", 1), 0);
	assert_int_equal(capture_new(&settings, &capture), -ENOENT);
	assert_int_equal(unsetenv("TCPWITNESS_BTF"), 0);
}

#define WATCHING(test) cmocka_unit_test_setup_teardown(test, start, stop)
#define TINY_RINGS(test)                                                                           \
	{                                                                                          \
#test, test, start, stop, (void *)"tiny"                                           \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHING(test_connections),
		WATCHING(test_listener_counters),
		WATCHING(test_look),
		WATCHING(test_sweep),
		WATCHING(test_hot_plug),
		WATCHING(test_quiet_fd),
		WATCHING(test_first_record_wakes),
		TINY_RINGS(test_loss),
		TINY_RINGS(test_half_full_wakes),
		cmocka_unit_test(test_unknown_device),
		cmocka_unit_test(test_no_type_information),
	};

	if (geteuid() != 0) {
		puts("needs root");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
