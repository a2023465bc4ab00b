/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Real sockets, two network namespaces, one veth pair: the exact list of records that the watched
 * end makes, with the kernel's state in each. Each scenario runs over IPv4 and IPv6, with the
 * segments taken in by XDP and by tc.
 */
#include "bpf/harness.h"
#include "bpf/record_text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#define PATIENCE_MS 5000
#define PORT 7001

/* A is watched, B is its peer. One thread owns both ends' sockets. */
struct world {
	int space_a, space_b; /* network namespaces */
	struct harness *harness;
	int links[2]; /* of the segment programs */
	struct bpf_link *tracepoints[16];
	size_t nr_tracepoints;
	int family;
	int listener, one, other; /* sockets of the scenario; `one` is A's */
};

static struct world world;

/* ---- the two ends ---------------------------------------------------------------------------- */

static void enter(int space)
{
	assert_int_equal(setns(space, CLONE_NEWNET), 0);
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command))
		fail_msg("failed: %s", command);
}

static socklen_t address(char end, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	char text[32];

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)world.family;
	if (world.family == AF_INET) {
		snprintf(text, sizeof(text), "10.93.0.%d", end == 'a' ? 1 : 2);
		v4->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
		return sizeof(*v4);
	}
	snprintf(text, sizeof(text), "fd93::%d", end == 'a' ? 1 : 2);
	v6->sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	return sizeof(*v6);
}

static int socket_at(char end)
{
	int fd;

	enter(end == 'a' ? world.space_a : world.space_b);
	fd = socket(world.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static int listen_at(char end)
{
	struct sockaddr_storage at;
	socklen_t length = address(end, PORT, &at);
	int fd = socket_at(end), on = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int connect_from(char end, int expected_errno)
{
	struct sockaddr_storage to;
	socklen_t length = address(end == 'a' ? 'b' : 'a', PORT, &to);
	int fd = socket_at(end);
	int err = connect(fd, (struct sockaddr *)&to, length) ? errno : 0;

	assert_int_equal(err, expected_errno);
	return fd;
}

static int accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void shut(int *fd)
{
	assert_int_equal(close(*fd), 0);
	*fd = -1;
}

static void reset(int *fd)
{
	struct linger linger = { .l_onoff = 1 };

	assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	shut(fd);
}

/* ---- waiting -------------------------------------------------------------------------------------- */

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until there are that many records. */
static void wait_records(size_t count)
{
	long deadline = now_ms() + PATIENCE_MS;

	for (;;) {
		harness_drain(world.harness);
		if (world.harness->count >= count)
			return;
		if (now_ms() > deadline) {
			print_records(world.harness);
			fail_msg("%zu records, waited for %zu", world.harness->count, count);
		}
		poll(NULL, 0, 1);
	}
}

/* ---- what must hold for every record ---------------------------------------------------------- */

static void check_address(const uint8_t *bytes, char end)
{
	struct sockaddr_storage at;

	address(end, 0, &at);
	if (world.family == AF_INET)
		assert_memory_equal(bytes, &((struct sockaddr_in *)&at)->sin_addr, 4);
	else
		assert_memory_equal(bytes, &((struct sockaddr_in6 *)&at)->sin6_addr, 16);
}

/* Size, namespace, and the one tuple of the scenario, A's end first. */
static void check_record(const struct harness_record *record, uint16_t local, uint16_t remote)
{
	size_t fixed = 0, address_bytes = world.family == AF_INET ? 4 : 16;
	uint16_t local_port = 0, remote_port = 0;
	const uint8_t *tail = record_tail(record, &fixed, &local_port, &remote_port);

	assert_int_equal(record->hdr.version, RECORD_VERSION);
	assert_int_equal(record->hdr.netns, world.harness->netns);
	assert_int_equal(record->size, fixed + 2 * address_bytes);
	assert_int_equal(!!(record->hdr.flags & REC_F_IPV6), world.family == AF_INET6);
	assert_false(record->hdr.flags & REC_F_TRANSLATED);
	if (record->hdr.type == REC_STATE && record->state.bits & STATE_NO_TUPLE) {
		assert_int_not_equal(record->state.cookie, 0);
		assert_int_equal(remote_port, remote);
		return;
	}
	assert_int_equal(local_port, local);
	check_address(tail, 'a');
	if (!remote_port) { /* the listener's own */
		assert_int_equal(local, PORT);
		return;
	}
	assert_int_equal(remote_port, remote);
	check_address(tail + address_bytes, 'b');
}

/* The client's port: whichever in the records is not the listener's. */
static uint16_t other_port(void)
{
	for (size_t i = 0; i < world.harness->count; i++) {
		const struct harness_record *record = &world.harness->records[i];

		if (record->hdr.type == REC_SEGMENT)
			return record->segment.local_port == PORT ? record->segment.remote_port :
								    record->segment.local_port;
	}
	return 0;
}

/* One connection, one cookie: in all its states and, once it exists, in its segments. */
static void check_cookies(void)
{
	uint64_t cookie = 0;

	for (size_t i = 0; i < world.harness->count; i++) {
		const struct harness_record *record = &world.harness->records[i];
		uint64_t seen = 0;

		if (record->hdr.type == REC_STATE && record->state.remote_port)
			seen = record->state.cookie;
		else if (record->hdr.type == REC_SEGMENT &&
			 record->segment.snapshot.state != KS_LISTEN)
			seen = record->segment.snapshot.cookie;
		if (!seen)
			continue;
		if (!cookie)
			cookie = seen;
		assert_int_equal(seen, cookie);
	}
}

/* Lines of some kernels only: those that tell of resets without a socket (and give reasons), and
 * those that do not tell who received a segment, so that what TIME_WAIT took in looks dropped. */
#define IF_RESET_REASON "+"
#define IF_NO_DROP_RECEIVER "-"
#define LINES_MAX 32

/* The line as it is here; NULL: not on this kernel. */
static const char *line_here(const char *line)
{
	if (*line == *IF_RESET_REASON)
		return world.harness->has_reset_reason ? line + 1 : NULL;
	if (*line == *IF_NO_DROP_RECEIVER)
		return world.harness->has_drop_receiver ? NULL : line + 1;
	return line;
}

/* The records are these lines, in this order, and no others. NULL ends the list. */
static void expect(bool client, const char *const *all_lines)
{
	const char *lines[LINES_MAX];
	char text[LINE_MAX_BYTES];
	size_t count = 0;
	uint16_t other;

	for (; *all_lines; all_lines++) {
		assert_true(count < LINES_MAX);
		lines[count] = line_here(*all_lines);
		count += lines[count] != NULL;
	}
	wait_records(count);
	for (size_t i = 0; i < world.harness->count; i++) {
		record_text(&world.harness->records[i], text);
		if (i < count && !strcmp(text, lines[i]))
			continue;
		print_records(world.harness);
		fail_msg("record %zu is \"%s\", not \"%s\"", i, text, i < count ? lines[i] : "-");
	}
	other = other_port();
	for (size_t i = 0; i < world.harness->count; i++)
		check_record(&world.harness->records[i], client ? other : PORT,
			     client ? PORT : other);
	check_cookies();
}

#define EXPECT(client, ...) expect(client, (const char *const[]){ __VA_ARGS__, NULL })

/* ---- scenarios ------------------------------------------------------------------------------- */

#define ACTIVE_OPEN                                                                                \
	"CLOSE>SYN_SENT no-tuple", "out SYN SYN_SENT", "in SYN+ACK SYN_SENT",                      \
		"SYN_SENT>ESTABLISHED", "out ACK ESTABLISHED"
#define ACTIVE_OPEN_RECORDS 5

#define LISTEN_AT "CLOSE>LISTEN", "listen 7001 limit 16"
#define PASSIVE_OPEN                                                                               \
	LISTEN_AT, "in SYN LISTEN queues", "out SYN+ACK NEW_SYN_RECV queues",                      \
		"in ACK NEW_SYN_RECV queues", "SYN_RECV>ESTABLISHED"
#define PASSIVE_OPEN_RECORDS 6

static void open_active(void)
{
	world.listener = listen_at('b');
	world.one = connect_from('a', 0);
	world.other = accept_one(world.listener);
	wait_records(ACTIVE_OPEN_RECORDS);
}

static void open_passive(void)
{
	world.listener = listen_at('a');
	world.other = connect_from('b', 0);
	world.one = accept_one(world.listener);
	wait_records(PASSIVE_OPEN_RECORDS);
}

static void active_open_active_close(void **state)
{
	(void)state;
	open_active();
	shut(&world.one);
	wait_records(ACTIVE_OPEN_RECORDS + 5);
	shut(&world.other);
	EXPECT(true, ACTIVE_OPEN, "ESTABLISHED>FIN_WAIT1", "out FIN+ACK FIN_WAIT1",
	       "in ACK FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "FIN_WAIT2>CLOSE",
	       "in FIN+ACK TIME_WAIT/FIN_WAIT2", "out ACK TIME_WAIT/TIME_WAIT",
	       IF_NO_DROP_RECEIVER "drop FIN+ACK");
}

static void passive_open_passive_close(void **state)
{
	(void)state;
	open_passive();
	shut(&world.other);
	wait_records(PASSIVE_OPEN_RECORDS + 3);
	shut(&world.one);
	wait_records(PASSIVE_OPEN_RECORDS + 7);
	shut(&world.listener);
	EXPECT(false, PASSIVE_OPEN, "in FIN+ACK ESTABLISHED", "ESTABLISHED>CLOSE_WAIT done",
	       "out ACK CLOSE_WAIT done", "CLOSE_WAIT>LAST_ACK done", "out FIN+ACK LAST_ACK done",
	       "in ACK LAST_ACK done", "LAST_ACK>CLOSE done", "LISTEN>CLOSE");
}

static void passive_open_active_close(void **state)
{
	(void)state;
	open_passive();
	shut(&world.one);
	wait_records(PASSIVE_OPEN_RECORDS + 5);
	shut(&world.other);
	wait_records(PASSIVE_OPEN_RECORDS + 7);
	shut(&world.listener);
	EXPECT(false, PASSIVE_OPEN, "ESTABLISHED>FIN_WAIT1", "out FIN+ACK FIN_WAIT1",
	       "in ACK FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "FIN_WAIT2>CLOSE",
	       "in FIN+ACK TIME_WAIT/FIN_WAIT2", "out ACK TIME_WAIT/TIME_WAIT",
	       IF_NO_DROP_RECEIVER "drop FIN+ACK", "LISTEN>CLOSE");
}

static void move_bytes(int from, int to, size_t bytes)
{
	static uint8_t buffer[1 << 16];
	size_t sent = 0, received = 0;
	ssize_t n;

	while (received < bytes) {
		if (sent < bytes) {
			n = send(from, buffer,
				 bytes - sent < sizeof(buffer) ? bytes - sent : sizeof(buffer),
				 MSG_DONTWAIT);
			assert_true(n > 0 || errno == EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
		}
		n = recv(to, buffer, sizeof(buffer), MSG_DONTWAIT);
		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		received += n > 0 ? (size_t)n : 0;
	}
}

/* Data both ways leaves no record, only counts. */
static void data_exchange(void **state)
{
	struct segment_counters before, after;
	uint32_t ifindex;

	(void)state;
	open_passive();
	enter(world.space_a);
	ifindex = if_nametoindex("bpfa");
	before = harness_segments(world.harness, ifindex);
	move_bytes(world.other, world.one, 10);
	move_bytes(world.one, world.other, 200000);
	after = harness_segments(world.harness, ifindex);
	assert_int_equal(after.received[SEGMENT_DATA] - before.received[SEGMENT_DATA], 1);
	assert_in_range(after.sent[SEGMENT_DATA] - before.sent[SEGMENT_DATA], 200000 / 1448, 400);
	assert_true(after.received[SEGMENT_ACK] > before.received[SEGMENT_ACK]);
	shut(&world.other);
	wait_records(PASSIVE_OPEN_RECORDS + 3);
	shut(&world.one);
	wait_records(PASSIVE_OPEN_RECORDS + 7);
	shut(&world.listener);
	EXPECT(false, PASSIVE_OPEN, "in FIN+ACK ESTABLISHED", "ESTABLISHED>CLOSE_WAIT done",
	       "out ACK CLOSE_WAIT done", "CLOSE_WAIT>LAST_ACK done", "out FIN+ACK LAST_ACK done",
	       "in ACK LAST_ACK done", "LAST_ACK>CLOSE done", "LISTEN>CLOSE");
}

static void connect_closed_port_out(void **state)
{
	(void)state;
	world.one = connect_from('a', ECONNREFUSED);
	shut(&world.one);
	EXPECT(true, "CLOSE>SYN_SENT no-tuple", "out SYN SYN_SENT", "in RST+ACK SYN_SENT",
	       "reset received SYN_SENT", "SYN_SENT>CLOSE err 111");
}

static void connect_closed_port_in(void **state)
{
	(void)state;
	world.other = connect_from('b', ECONNREFUSED);
	shut(&world.other);
	EXPECT(false, "in SYN none", IF_RESET_REASON "reset sent none", "out RST+ACK none",
	       "drop SYN");
}

static void rst_received_estab(void **state)
{
	(void)state;
	open_passive();
	reset(&world.other);
	wait_records(PASSIVE_OPEN_RECORDS + 3);
	shut(&world.one);
	shut(&world.listener);
	EXPECT(false, PASSIVE_OPEN, "in RST+ACK ESTABLISHED", "reset received ESTABLISHED",
	       "ESTABLISHED>CLOSE err 104", "LISTEN>CLOSE");
}

static void linger0_close(void **state)
{
	(void)state;
	open_passive();
	reset(&world.one);
	wait_records(PASSIVE_OPEN_RECORDS + 3);
	shut(&world.listener);
	EXPECT(false, PASSIVE_OPEN, "ESTABLISHED>CLOSE", "out RST+ACK CLOSE", "reset sent CLOSE",
	       "LISTEN>CLOSE");
}

static void half_close(void **state)
{
	(void)state;
	open_passive();
	assert_int_equal(shutdown(world.one, SHUT_WR), 0);
	wait_records(PASSIVE_OPEN_RECORDS + 4);
	move_bytes(world.other, world.one, 4000);
	shut(&world.other);
	wait_records(PASSIVE_OPEN_RECORDS + 7);
	shut(&world.one);
	shut(&world.listener);
	EXPECT(false, PASSIVE_OPEN, "ESTABLISHED>FIN_WAIT1", "out FIN+ACK FIN_WAIT1",
	       "in ACK FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "in FIN+ACK FIN_WAIT2",
	       "out ACK FIN_WAIT2 done", "FIN_WAIT2>CLOSE done", "LISTEN>CLOSE");
}

/* ---- the world ------------------------------------------------------------------------------- */

static int new_space(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	run("ip link set lo up");
	return fd;
}

/* A busy machine may answer late: nothing is retransmitted for longer than we wait. */
static void make_end(const char *device, int number)
{
	run("ip addr add 10.93.0.%d/24 dev %s && ip addr add fd93::%d/64 dev %s nodad", number,
	    device, number, device);
	run("ip link set %s up && ip route add 10.93.0.%d/32 dev %s rto_min 10s && "
	    "ip -6 route add fd93::%d/128 dev %s rto_min 10s",
	    device, 3 - number, device, 3 - number, device);
}

static void make_network(void)
{
	world.space_a = new_space();
	world.space_b = new_space();
	run("ip link add bpfb type veth peer name bpfa");
	run("ip link set bpfa netns /proc/%d/fd/%d", getpid(), world.space_a);
	make_end("bpfb", 2);
	enter(world.space_a);
	make_end("bpfa", 1);
}

static void add_local(struct harness *harness)
{
	uint8_t v4[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, 93, 0, 1 };
	uint8_t v6[16] = { 0xfd, 0x93, [15] = 1 };

	harness_local(harness, v4);
	harness_local(harness, v6);
}

/* Attaches in A: tracepoints, tc egress, and the ingress that is being tested. */
static void attach(bool by_xdp)
{
	struct witness *skel = world.harness->skel;
	struct bpf_program *program;

	bpf_object__for_each_program(program, skel->obj) {
		if (bpf_program__type(program) != BPF_PROG_TYPE_TRACING ||
		    bpf_program__expected_attach_type(program) != BPF_TRACE_RAW_TP ||
		    !bpf_program__autoload(program))
			continue;
		assert_true(world.nr_tracepoints < 16);
		world.tracepoints[world.nr_tracepoints] = bpf_program__attach(program);
		assert_non_null(world.tracepoints[world.nr_tracepoints++]);
	}
	world.links[0] = harness_hook(skel->progs.tc_egress_eth, "bpfa", true);
	if (!by_xdp) {
		world.links[1] = harness_hook(skel->progs.tc_ingress_eth, "bpfa", false);
		return;
	}
	world.links[1] = bpf_link_create(bpf_program__fd(skel->progs.xdp_ingress),
					 (int)if_nametoindex("bpfa"), BPF_XDP, NULL);
	assert_true(world.links[1] >= 0);
}

static int group_setup(bool by_xdp)
{
	make_network();
	world.harness = harness_open();
	add_local(world.harness);
	attach(by_xdp);
	return 0;
}

static int setup_tc(void **state)
{
	(void)state;
	return group_setup(false);
}

static int setup_xdp(void **state)
{
	(void)state;
	return group_setup(true);
}

static int teardown(void **state)
{
	(void)state;
	close(world.links[0]);
	close(world.links[1]);
	while (world.nr_tracepoints)
		bpf_link__destroy(world.tracepoints[--world.nr_tracepoints]);
	harness_close(world.harness);
	close(world.space_a);
	close(world.space_b);
	return 0;
}

static int begin(int family)
{
	world.family = family;
	world.listener = world.one = world.other = -1;
	world.harness->count = 0;
	return 0;
}

static int begin_v4(void **state)
{
	(void)state;
	return begin(AF_INET);
}

static int begin_v6(void **state)
{
	(void)state;
	return begin(AF_INET6);
}

/* Resets what a failed scenario left open, and forgets its records. */
static int end(void **state)
{
	(void)state;
	if (world.one >= 0)
		reset(&world.one);
	if (world.other >= 0)
		reset(&world.other);
	if (world.listener >= 0)
		shut(&world.listener);
	harness_drain(world.harness);
	return 0;
}

#define BOTH(test)                                                                                 \
	{ #test "_v4", test, begin_v4, end, NULL },                                                \
	{                                                                                          \
#test "_v6", test, begin_v6, end, NULL                                             \
	}

int main(void)
{
	static const struct CMUnitTest scenarios[] = {
		BOTH(active_open_active_close),
		BOTH(passive_open_passive_close),
		BOTH(passive_open_active_close),
		BOTH(data_exchange),
		BOTH(connect_closed_port_out),
		BOTH(connect_closed_port_in),
		BOTH(rst_received_estab),
		BOTH(linger0_close),
		BOTH(half_close),
	};
	int failed;

	if (geteuid())
		return harness_skip();
	failed = cmocka_run_group_tests_name("timelines by tc", scenarios, setup_tc, teardown);
	failed += cmocka_run_group_tests_name("timelines by xdp", scenarios, setup_xdp, teardown);
	return failed;
}
