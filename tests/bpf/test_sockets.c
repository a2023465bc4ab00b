/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A listener with a full queue, made by a peer that is only a raw socket: what the per-listener
 * counters say, what the snapshots say, and what the iterator and the look program answer.
 */
#include "bpf/harness.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#define PATIENCE_MS 5000
#define PORT 7002
#define PEER_PORT 40000 /* of the first peer */
#define PEER_ISN 1000u

static const uint8_t server_address[4] = { 10, 94, 0, 1 };
static const uint8_t peer_address[4] = { 10, 95, 0, 9 }; /* routed to a device that eats all */

static struct {
	struct harness *harness;
	int raw, listener;
	int links[2];
	uint64_t cookie;     /* of the listener */
	uint32_t isn[4];     /* the server's, of each peer */
	uint64_t cookies[4]; /* of each peer's connection */
} world;

/* ---- the peer -------------------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put(uint8_t *bytes, uint32_t value, size_t size)
{
	while (size--) {
		bytes[size] = (uint8_t)value;
		value >>= 8;
	}
}

static void send_segment(int peer, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint8_t pseudo[32] = { 0 }, *tcp = pseudo + 12,
		packet[40] = { 0x45, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_TCP };

	memcpy(pseudo, peer_address, 4);
	memcpy(pseudo + 4, server_address, 4);
	put(pseudo + 8, IPPROTO_TCP, 2);
	put(pseudo + 10, 20, 2);
	put(tcp, (uint32_t)(PEER_PORT + peer), 2);
	put(tcp + 2, PORT, 2);
	put(tcp + 4, seq, 4);
	put(tcp + 8, ack, 4);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	put(tcp + 14, 64000, 2);
	put(tcp + 16, checksum(pseudo, sizeof(pseudo)), 2);
	memcpy(packet + 12, pseudo, 8);
	memcpy(packet + 20, tcp, 20);
	memcpy(&to.sin_addr, server_address, 4);
	assert_int_equal(sendto(world.raw, packet, sizeof(packet), 0, (struct sockaddr *)&to,
				sizeof(to)),
			 sizeof(packet));
}

/* ---- records --------------------------------------------------------------------------------- */

/* The next segment of that peer, that direction and those flags; waits for it. */
static const struct rec_segment *wait_segment(int peer, bool sent, uint8_t flags)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		harness_drain(world.harness);
		for (size_t i = 0; i < world.harness->count; i++) {
			const struct harness_record *record = &world.harness->records[i];

			if (record->hdr.type == REC_SEGMENT &&
			    record->segment.remote_port == PEER_PORT + peer &&
			    !!(record->hdr.flags & REC_F_SENT) == sent &&
			    record->segment.tcp_flags == flags)
				return &record->segment;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start.tv_sec) * 1000 > PATIENCE_MS)
			fail_msg("no segment of peer %d with flags %#x", peer, flags);
		poll(NULL, 0, 1);
	}
}

static void forget(void)
{
	harness_drain(world.harness);
	world.harness->count = 0;
}

static struct rec_snapshot send_syn(int peer, uint32_t seq)
{
	forget();
	send_segment(peer, TCPF_SYN, seq, 0);
	return wait_segment(peer, false, TCPF_SYN)->snapshot;
}

/* SYN and its SYN-ACK: the request sock is there. */
static void request(int peer)
{
	const struct rec_segment *answer;
	struct rec_snapshot snap = send_syn(peer, PEER_ISN);

	assert_int_equal(snap.state, KS_LISTEN);
	assert_int_equal(snap.cookie, world.cookie);
	answer = wait_segment(peer, true, TCPF_SYN | TCPF_ACK);
	assert_int_equal(answer->snapshot.state, KS_NEW_SYN_RECV);
	assert_int_not_equal(answer->snapshot.cookie, 0);
	world.isn[peer] = answer->seq;
	world.cookies[peer] = answer->snapshot.cookie;
}

static struct rec_snapshot final_ack(int peer)
{
	forget();
	send_segment(peer, TCPF_ACK, PEER_ISN + 1, world.isn[peer] + 1);
	return wait_segment(peer, false, TCPF_ACK)->snapshot;
}

static struct listener_counters counters(void)
{
	struct listener_cell sum;

	harness_sum(world.harness, world.harness->skel->maps.listeners, &world.cookie, &sum,
		    sizeof(sum));
	return sum.counters;
}

static void check_counters(uint64_t syns, uint64_t syn_refused, uint64_t ack_refused)
{
	struct listener_counters seen = counters();

	assert_int_equal(seen.syns, syns);
	assert_int_equal(seen.drops[LISTENER_DROP_ACCEPT_QUEUE_FULL], syn_refused);
	assert_int_equal(seen.drops[LISTENER_DROP_FINAL_ACK_REFUSED], ack_refused);
	assert_int_equal(seen.drops[LISTENER_DROP_SYN_QUEUE_FULL], 0);
}

static void check_queues(const struct rec_snapshot *snap, uint32_t accept_length,
			 uint32_t syn_length)
{
	assert_true(snap->bits & SNAP_QUEUES);
	assert_int_equal(snap->queues.accept_limit, 1);
	assert_int_equal(snap->queues.accept_length, accept_length);
	assert_int_equal(snap->queues.syn_length, syn_length);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void map_v4(const uint8_t v4[4], uint8_t ret[16])
{
	memset(ret, 0, 10);
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, v4, 4);
}

static struct rec_socket look(int peer)
{
	struct rec_socket query = { .hdr.netns = world.harness->netns,
				    .ifindex = (uint32_t)-1, /* in our own namespace */
				    .local_port = PORT },
			  answer;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &query, .data_size_in = sizeof(query),
		    .data_out = &answer, .data_size_out = sizeof(answer), .repeat = 1);

	map_v4(server_address, query.local_address);
	if (peer >= 0) {
		map_v4(peer_address, query.remote_address);
		query.remote_port = (uint16_t)(PEER_PORT + peer);
	}
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(world.harness->skel->progs.look),
						&options),
			 0);
	assert_int_equal(options.retval, XDP_PASS);
	assert_int_equal(options.data_size_out, sizeof(answer));
	assert_int_equal(answer.hdr.type, REC_LOOK);
	assert_int_equal(answer.hdr.version, RECORD_VERSION);
	assert_int_equal(answer.hdr.netns, world.harness->netns);
	assert_true(answer.hdr.ts_ns > 0);
	assert_true(answer.snapshot.bits & SNAP_LOOKED);
	assert_memory_equal(answer.local_address, query.local_address, 16);
	assert_memory_equal(answer.remote_address, query.remote_address, 16);
	assert_int_equal(answer.local_port, query.local_port);
	assert_int_equal(answer.remote_port, query.remote_port);
	return answer;
}

/* All sockets the iterator shows; returns how many. */
static size_t sweep(struct rec_socket *ret_sockets, size_t max)
{
	struct bpf_link *link =
		bpf_program__attach_iter(world.harness->skel->progs.iter_sockets, NULL);
	size_t bytes = 0;
	ssize_t n;
	int fd;

	assert_non_null(link);
	fd = bpf_iter_create(bpf_link__fd(link));
	assert_true(fd >= 0);
	while ((n = read(fd, (char *)ret_sockets + bytes, max * sizeof(*ret_sockets) - bytes)) > 0)
		bytes += (size_t)n;
	assert_int_equal(n, 0);
	close(fd);
	bpf_link__destroy(link);
	assert_int_equal(bytes % sizeof(*ret_sockets), 0);
	return bytes / sizeof(*ret_sockets);
}

/* ---- tests, each beginning where the one before ended ------------------------------------------ */

/* Backlog 1: two children fit, the third's final ACK is refused, and then the next SYN. */
static void full_accept_queue(void **state)
{
	struct rec_snapshot snap;

	(void)state;
	request(0);
	request(1);
	snap = final_ack(0);
	check_queues(&snap, 0, 2);
	request(2);
	snap = final_ack(1);
	check_queues(&snap, 1, 2);
	check_counters(3, 0, 0);

	snap = final_ack(2);
	assert_int_equal(snap.state, KS_NEW_SYN_RECV);
	assert_int_equal(snap.cookie, world.cookies[2]);
	assert_false(snap.bits & SNAP_ACKED);
	check_queues(&snap, 2, 1);
	check_counters(3, 0, 1);

	snap = final_ack(2); /* refused again, as ListenOverflows counts it */
	assert_true(snap.bits & SNAP_ACKED);
	check_counters(3, 0, 2);

	snap = send_syn(3, PEER_ISN);
	assert_int_equal(snap.state, KS_LISTEN);
	check_queues(&snap, 2, 1);
	check_counters(4, 1, 2);
}

static void look_answers(void **state)
{
	struct rec_socket answer = look(-1);

	(void)state;
	assert_int_equal(answer.snapshot.state, KS_LISTEN);
	assert_int_equal(answer.snapshot.cookie, world.cookie);
	check_queues(&answer.snapshot, 2, 1);
	answer = look(0);
	assert_int_equal(answer.snapshot.state, KS_ESTABLISHED);
	assert_int_equal(answer.snapshot.cookie, world.cookies[0]);
	assert_int_equal(answer.snapshot.vars.rcv_nxt, PEER_ISN + 1);
	assert_int_equal(answer.snapshot.vars.write_seq, world.isn[0] + 1);
	answer = look(2);
	assert_int_equal(answer.snapshot.state, KS_NEW_SYN_RECV);
	assert_int_equal(answer.snapshot.cookie, world.cookies[2]);
	assert_true(answer.snapshot.bits & SNAP_ACKED);
	check_queues(&answer.snapshot, 2, 1);
	answer = look(3); /* refused: its SYN would meet the listener */
	assert_int_equal(answer.snapshot.state, KS_LISTEN);
}

static void iterator_shows_all(void **state)
{
	static const uint8_t states[] = { KS_ESTABLISHED, KS_ESTABLISHED, KS_NEW_SYN_RECV };
	struct rec_socket sockets[16], listener = look(-1);
	size_t count = sweep(sockets, 16), found = 0;

	(void)state;
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		const struct rec_socket *seen = &sockets[i];
		int peer = seen->remote_port - PEER_PORT;

		assert_int_equal(seen->hdr.type, REC_SOCKET);
		assert_int_equal(seen->hdr.netns, world.harness->netns);
		assert_int_equal(seen->local_port, PORT);
		assert_memory_equal(seen->local_address, listener.local_address, 16);
		if (!seen->remote_port) {
			assert_int_equal(seen->snapshot.state, KS_LISTEN);
			assert_int_equal(seen->snapshot.cookie, world.cookie);
			check_queues(&seen->snapshot, 2, 1);
			continue;
		}
		assert_in_range(peer, 0, 2);
		assert_int_equal(seen->snapshot.state, states[peer]);
		assert_int_equal(seen->snapshot.cookie, world.cookies[peer]);
		found |= 1u << peer;
	}
	assert_int_equal(found, 7);
}

/* A SYN that lands on TIME_WAIT counts for the listener behind, and shows its queues. */
static void syn_over_time_wait(void **state)
{
	struct listener_counters before = counters();
	const uint32_t seq = PEER_ISN + 1, ack = world.isn[0] + 2;
	struct rec_snapshot snap, answer;
	int child = accept4(world.listener, NULL, NULL, SOCK_CLOEXEC);

	(void)state;
	assert_true(child >= 0);
	forget();
	close(child);
	wait_segment(0, true, TCPF_FIN | TCPF_ACK);
	send_segment(0, TCPF_FIN | TCPF_ACK, seq, ack);
	wait_segment(0, false, TCPF_FIN | TCPF_ACK);
	answer = wait_segment(0, true, TCPF_ACK)
			 ->snapshot; /* it leaves before the minisock is there */
	assert_int_equal(answer.state, KS_FIN_WAIT2);
	assert_true(answer.bits & SNAP_DONE);
	for (int ms = 0; look(0).snapshot.substate != KS_TIME_WAIT; ms++) {
		assert_true(ms < PATIENCE_MS);
		poll(NULL, 0, 1);
	}

	snap = send_syn(0, seq + 100000);
	assert_int_equal(snap.state, KS_TIME_WAIT);
	assert_int_equal(snap.substate, KS_TIME_WAIT);
	assert_int_equal(snap.cookie, world.cookies[0]);
	check_queues(&snap, 1, 1);
	assert_int_equal(counters().syns, before.syns + 1);
}

/* ---- the world ------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct witness *skel;
	uint8_t local[16];
	struct bpf_link *states;
	int on = 1;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(
		system("ip link set lo up && ip link add eater type veth peer name eaten && "
		       "ip addr add 10.94.0.1/24 dev eater && ip link set eater up && "
		       "ip link set eaten up && ip route add 10.95.0.0/24 dev eater && "
		       "ip neigh add 10.95.0.9 lladdr 02:00:00:00:00:09 dev eater"),
		0);
	world.harness = harness_open();
	skel = world.harness->skel;
	map_v4(server_address, local);
	harness_local(world.harness, local);
	world.links[0] = harness_hook(skel->progs.tc_ingress_eth, "lo", false);
	world.links[1] = harness_hook(skel->progs.tc_egress_eth, "eater", true);
	states = bpf_program__attach(skel->progs.on_set_state);
	assert_non_null(states);

	world.raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	assert_true(world.raw >= 0);
	world.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(world.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	memcpy(&at.sin_addr, server_address, 4);
	assert_int_equal(bind(world.listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(world.listener, 1), 0);
	harness_drain(world.harness);
	bpf_link__destroy(states);
	assert_int_equal(world.harness->count, 2);
	assert_int_equal(world.harness->records[1].hdr.type, REC_LISTEN);
	assert_int_equal(world.harness->records[1].listen.pid, getpid());
	world.cookie = world.harness->records[1].listen.cookie;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(world.listener);
	close(world.raw);
	close(world.links[0]);
	close(world.links[1]);
	harness_close(world.harness);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_accept_queue),
		cmocka_unit_test(look_answers),
		cmocka_unit_test(iterator_shows_all),
		cmocka_unit_test(syn_over_time_wait),
	};

	if (geteuid())
		return harness_skip();
	return cmocka_run_group_tests(tests, setup, teardown);
}
