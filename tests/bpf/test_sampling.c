/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Floods through the loaded programs (BPF_PROG_TEST_RUN): which flows are recorded is what the
 * user-space build of include/sampling.h says, by every program; what is left out is counted to
 * the last record; a flood of one site leaves the others alone; and it ends.
 */
#include "bpf/harness.h"

#include "parse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#define BUDGET 130u /* ten counted records */
#define TOTAL 2600u /* of a crowd of listeners, none of which has a budget of its own */
#define CROWD 16
#define LOOPBACK 1u /* BPF_PROG_TEST_RUN runs as if on the namespace's loopback */
#define FRAMES_MAX 100000u
#define BATCH 64u /* the harness and its rings hold so many at ease */
#define FLOWS 400u
#define PATIENCE_MS 20000
#define QUIET_PORT 6000
#define TWIN_PORT 6001
#define FIRST_PORT 6100 /* of the kinds of floods, one each */
#define CROWD_PORT 6200
#define CLOSED_PORT 20000

static struct harness *harness;
static uint32_t next_flow;

struct flow {
	uint32_t remote[4];
	uint16_t port;
	bool ipv6;
};

/* ---- frames ---------------------------------------------------------------------------------- */

static void put(uint8_t *bytes, uint32_t value, size_t size)
{
	while (size--) {
		bytes[size] = (uint8_t)value;
		value >>= 8;
	}
}

static void local_address(bool ipv6, uint32_t ret[4])
{
	const uint8_t v6[16] = { [15] = 1 }, v4[4] = { 127, 0, 0, 1 };

	memset(ret, 0, 16);
	memcpy(ret, ipv6 ? v6 : v4, ipv6 ? 16 : 4);
}

static struct flow flow_make(bool ipv6)
{
	uint32_t number = next_flow++;
	struct flow flow = { .port = (uint16_t)(1024 + number % 60000), .ipv6 = ipv6 };
	uint8_t bytes[16] = { 0xfd, [8] = 7 };

	if (!ipv6)
		memcpy(bytes, (uint8_t[]){ 10, 7, 0, 0 }, 4);
	put(bytes + (ipv6 ? 12 : 2), number / 60000, ipv6 ? 4 : 2);
	memcpy(flow.remote, bytes, ipv6 ? 16 : 4);
	return flow;
}

static size_t frame_make(const struct flow *flow, uint16_t port, uint8_t flags, bool sent,
			 uint8_t frame[80])
{
	size_t address_bytes = flow->ipv6 ? 16 : 4, ip_bytes = flow->ipv6 ? 40 : 20;
	uint8_t *ip = frame + 14, *tcp = ip + ip_bytes, *source = ip + (flow->ipv6 ? 8 : 12);
	uint32_t local[4];

	memset(frame, 0, 80);
	put(frame + 12, flow->ipv6 ? 0x86dd : 0x0800, 2);
	ip[0] = flow->ipv6 ? 0x60 : 0x45;
	if (flow->ipv6) {
		put(ip + 4, 20, 2);
		ip[6] = IPPROTO_TCP;
	} else {
		put(ip + 2, 40, 2);
		ip[9] = IPPROTO_TCP;
	}
	local_address(flow->ipv6, local);
	memcpy(sent ? source : source + address_bytes, local, address_bytes);
	memcpy(sent ? source + address_bytes : source, flow->remote, address_bytes);
	put(tcp, sent ? port : flow->port, 2);
	put(tcp + 2, sent ? flow->port : port, 2);
	put(tcp + 4, 1000, 4);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	return 14 + ip_bytes + 20;
}

static void run(const struct bpf_program *program, const struct flow *flow, uint16_t port,
		uint8_t flags, bool sent)
{
	uint8_t frame[80];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame,
		    .data_size_in = (__u32)frame_make(flow, port, flags, sent, frame), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
}

/* ---- what BPF makes of them ------------------------------------------------------------------- */

static struct sampling_slot slot_at(const struct sampling_site *site)
{
	uint32_t number = sampling_slot_of(site);
	struct sampling_slot slot;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(harness->skel->maps.sampling_slots),
					     &number, &slot),
			 0);
	return slot;
}

static uint32_t shift_at(const struct sampling_site *site)
{
	const struct sampling_slot slot = slot_at(site);

	return sampling_shift(&slot);
}

static struct sampling_site port_site(uint16_t port)
{
	return (struct sampling_site){ .netns = harness->netns, .port = port };
}

static struct sampling_site stray_site(void)
{
	return (struct sampling_site){ .netns = harness->netns, .ifindex = LOOPBACK };
}

static uint64_t suppressed_at(const struct sampling_site *site)
{
	struct sampling_counters sum = { { 0 }, 0 };
	__u64 *values = calloc(harness->cpus, sizeof(sum));

	assert_non_null(values);
	if (!bpf_map_lookup_elem(bpf_map__fd(harness->skel->maps.sampling_counts), site, values))
		harness_sum(harness, harness->skel->maps.sampling_counts, site, &sum, sizeof(sum));
	free(values);
	return sum.suppressed[SAMPLING_SEGMENT];
}

static uint32_t hash_of(const struct flow *flow, uint16_t port)
{
	uint32_t local[4];

	local_address(flow->ipv6, local);
	return sampling_hash(flow->remote, flow->port, local, port, flow->ipv6,
			     HARNESS_SAMPLING_SEED);
}

struct heard {
	uint64_t segments, raised, lowered;
};

/* Takes over what is in the rings. Each record must be of a flow that its own shift takes. */
static void hear(struct heard *heard)
{
	harness->count = 0;
	harness_drain(harness);
	for (size_t i = 0; i < harness->count; i++) {
		const struct harness_record *record = &harness->records[i];
		const struct rec_segment *segment = &record->segment;
		struct flow flow = { .ipv6 = record->hdr.flags & REC_F_IPV6,
				     .port = segment->remote_port };

		if (record->hdr.type == REC_SAMPLING) {
			if (record->sampling.to > record->sampling.from)
				heard->raised++;
			else
				heard->lowered++;
			assert_int_equal(record->sampling.seed, HARNESS_SAMPLING_SEED);
			continue;
		}
		assert_int_equal(record->hdr.type, REC_SEGMENT);
		memcpy(flow.remote, segment->addresses + (flow.ipv6 ? 16 : 4), flow.ipv6 ? 16 : 4);
		assert_true(sampling_takes(hash_of(&flow, segment->local_port),
					   REC_SHIFT(record->hdr.flags)));
		heard->segments++;
	}
}

/* ---- floods ----------------------------------------------------------------------------------- */

struct kind {
	const char *name;
	uint8_t flags;
	bool closed; /* the ports count up, and nobody listens there */
};

static const struct kind kinds[] = {
	{ "syn", TCPF_SYN, false },
	{ "ack", TCPF_ACK, false },
	{ "rst", TCPF_RST, false },
	{ "fin", TCPF_FIN | TCPF_ACK, false },
	{ "syn to closed ports", TCPF_SYN, true },
	{ "rst to closed ports", TCPF_RST, true },
	{ "syn-ack to closed ports", TCPF_SYN | TCPF_ACK, true },
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int listen_at(uint16_t port)
{
	const struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* Until its site has a shift, and for as many frames again; returns how many that took. */
static uint64_t flood(const struct kind *kind, uint16_t port, bool ipv6,
		      const struct sampling_site *site, struct heard *heard)
{
	uint64_t sent = 0, end = FRAMES_MAX;

	while (sent < end) {
		struct flow flow = flow_make(ipv6);

		run(harness->skel->progs.xdp_ingress, &flow,
		    kind->closed ? (uint16_t)(CLOSED_PORT + sent % 20000) : port, kind->flags,
		    false);
		if (++sent % BATCH)
			continue;
		hear(heard);
		if (end == FRAMES_MAX && shift_at(site))
			end = 2 * sent;
	}
	hear(heard);
	assert_true(end < FRAMES_MAX);
	return sent;
}

static void every_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++) {
		uint16_t port = (uint16_t)(FIRST_PORT + i);
		int listener = kinds[i].closed ? -1 : listen_at(port);
		struct sampling_site site = kinds[i].closed ? stray_site() : port_site(port);
		struct segment_counters before = harness_segments(harness, LOOPBACK), after;
		uint64_t sent, left_out = suppressed_at(&site);
		struct heard heard = { 0 };
		enum segment_kind counted = parse_kind(kinds[i].flags, 0);

		print_message("  %s\n", kinds[i].name);
		sent = flood(&kinds[i], port, false, &site, &heard);
		sent += flood(&kinds[i], port, true, &site, &heard);
		after = harness_segments(harness, LOOPBACK);
		assert_int_equal(after.received[counted] - before.received[counted], sent);
		left_out = suppressed_at(&site) - left_out;
		assert_true(left_out > 0);
		assert_int_equal(heard.segments + left_out, sent);
		if (listener >= 0)
			close(listener);
	}
}

/* The listener's own counters know nothing of it. */
static void counters_stay_exact(void **state)
{
	static const struct kind syns = { "syn", TCPF_SYN, false };
	struct sampling_site site = port_site(TWIN_PORT);
	struct listener_cell *cells = calloc(harness->cpus, sizeof(*cells));
	socklen_t size = sizeof(uint64_t);
	struct heard heard = { 0 };
	uint64_t cookie, sent, syns_counted = 0;
	int listener = listen_at(TWIN_PORT);

	(void)state;
	assert_non_null(cells);
	assert_int_equal(getsockopt(listener, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	sent = flood(&syns, TWIN_PORT, true, &site, &heard);
	assert_true(heard.segments < sent);
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(harness->skel->maps.listeners), &cookie, cells), 0);
	for (unsigned int cpu = 0; cpu < harness->cpus; cpu++)
		syns_counted += cells[cpu].counters.syns;
	assert_int_equal(syns_counted, sent);
	free(cells);
	close(listener);
}

/* One flow by all programs that see it, in both directions: all or none of its records. */
static void programs_agree(bool ipv6)
{
	static const struct kind syns = { "syn", TCPF_SYN, false };
	struct sampling_site site = port_site(TWIN_PORT);
	uint64_t whole = 0, none = 0;
	struct heard heard = { 0 };
	int listener = listen_at(TWIN_PORT);

	for (uint32_t i = 0; i < FLOWS; i++) {
		uint32_t before;
		struct flow flow;

		if (!shift_at(&site)) /* at first, or time has passed */
			flood(&syns, TWIN_PORT, ipv6, &site, &heard);
		before = slot_at(&site).control & 0xff;
		flow = flow_make(ipv6);
		heard = (struct heard){ 0 };
		run(harness->skel->progs.xdp_ingress, &flow, TWIN_PORT, TCPF_SYN, false);
		run(harness->skel->progs.tc_egress_eth, &flow, TWIN_PORT, TCPF_SYN | TCPF_ACK,
		    true);
		run(harness->skel->progs.tc_ingress_eth, &flow, TWIN_PORT, TCPF_ACK, false);
		run(harness->skel->progs.tc_ingress_eth, &flow, TWIN_PORT, TCPF_RST, false);
		hear(&heard);
		if (heard.raised || heard.lowered || before != shift_at(&site))
			continue; /* not one shift for all */
		assert_int_equal(heard.segments,
				 sampling_takes(hash_of(&flow, TWIN_PORT), before) ? 4 : 0);
		whole += heard.segments == 4;
		none += !heard.segments;
	}
	assert_true(whole > 0 && none > 0);
	close(listener);
}

static void programs_agree_v4(void **state)
{
	(void)state;
	programs_agree(false);
}

static void programs_agree_v6(void **state)
{
	(void)state;
	programs_agree(true);
}

/* Between the frames of a flood, of a port and of none, one in eleven goes to another listener. */
static void others_are_left_alone(void **state)
{
	struct sampling_site quiet = port_site(QUIET_PORT), loud = port_site(TWIN_PORT);
	struct sampling_site strays = stray_site();
	int listeners[2] = { listen_at(QUIET_PORT), listen_at(TWIN_PORT) };
	struct heard heard = { 0 };
	uint64_t quiet_sent = 0, sent = 0;
	uint64_t left_out = suppressed_at(&loud) + suppressed_at(&strays);

	(void)state;
	while (sent < 40 * BATCH || !shift_at(&loud) || !shift_at(&strays)) {
		struct flow flow = flow_make(false);
		uint16_t port = sent % 2 ? TWIN_PORT : (uint16_t)(CLOSED_PORT + sent % 20000);

		assert_true(sent < FRAMES_MAX);
		run(harness->skel->progs.xdp_ingress, &flow, port, TCPF_SYN, false);
		if (++sent % 200 == 0) {
			flow = flow_make(false);
			run(harness->skel->progs.xdp_ingress, &flow, QUIET_PORT, TCPF_SYN, false);
			quiet_sent++;
		}
		if (sent % BATCH == 0)
			hear(&heard);
	}
	hear(&heard);
	left_out = suppressed_at(&loud) + suppressed_at(&strays) - left_out;
	assert_int_equal(heard.segments + left_out, sent + quiet_sent);
	assert_int_equal(shift_at(&quiet), 0);
	assert_int_equal(suppressed_at(&quiet), 0);
	close(listeners[0]);
	close(listeners[1]);
}

static uint32_t shift_of_shares(void)
{
	return harness->skel->bss->sampling_all.control & 0xff;
}

/* So many listeners that they are beyond the total, and one that is quiet: it is left alone. */
static void many_listeners(void **state)
{
	struct sampling_site quiet = port_site(QUIET_PORT), loud = port_site(CROWD_PORT);
	int listeners[CROWD + 1] = { listen_at(QUIET_PORT) };
	struct heard heard = { 0 };
	uint64_t sent = 0;

	(void)state;
	for (uint16_t i = 0; i < CROWD; i++)
		listeners[1 + i] = listen_at(CROWD_PORT + i);
	while (sent < 12000 || !shift_of_shares() || !shift_at(&loud)) {
		struct flow flow = flow_make(sent % 2);

		assert_true(sent < FRAMES_MAX);
		run(harness->skel->progs.xdp_ingress, &flow, (uint16_t)(CROWD_PORT + sent % CROWD),
		    TCPF_SYN, false);
		if (++sent % 4000 == 0)
			run(harness->skel->progs.xdp_ingress, &flow, QUIET_PORT, TCPF_SYN, false);
		if (sent % BATCH == 0)
			hear(&heard);
	}
	hear(&heard);
	assert_true(heard.raised > 0);
	assert_int_equal(shift_at(&quiet), 0);
	for (int i = 0; i <= CROWD; i++)
		close(listeners[i]);
}

static void pass_time(uint32_t slot)
{
	const uint32_t question[4] = { slot };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = question,
		    .data_size_in = sizeof(question));

	assert_int_equal(
		bpf_prog_test_run_opts(bpf_program__fd(harness->skel->progs.sampling_pass_time),
				       &options),
		0);
}

/* Nothing comes any more: time alone, which the daemon tells, lowers every shift to 0. */
static void recovery(void **state)
{
	struct heard heard = { 0 };
	struct timespec start, now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_true(harness->skel->bss->sampling_active > 0);
	do {
		for (uint32_t i = 0; i < SAMPLING_SLOTS; i++) {
			struct sampling_slot slot;

			assert_int_equal(
				bpf_map_lookup_elem(bpf_map__fd(harness->skel->maps.sampling_slots),
						    &i, &slot),
				0);
			if (sampling_shift(&slot))
				pass_time(i);
		}
		pass_time(SAMPLING_SLOTS); /* of all */
		hear(&heard);
		clock_gettime(CLOCK_MONOTONIC, &now);
		assert_true((now.tv_sec - start.tv_sec) * 1000 < PATIENCE_MS);
	} while (harness->skel->bss->sampling_active || shift_of_shares());
	assert_true(heard.lowered > 0);
	assert_int_equal(heard.raised, 0);
}

static int open_with(uint32_t budget, uint32_t total)
{
	const uint8_t v4[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
	const uint8_t v6[16] = { [15] = 1 };

	if (unshare(CLONE_NEWNET) || system("ip link set lo up"))
		return -1;
	harness_sampling_budget = budget;
	harness_sampling_total = total;
	harness = harness_open();
	harness_local(harness, v4);
	harness_local(harness, v6);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return open_with(BUDGET, 0);
}

static int setup_crowd(void **state)
{
	(void)state;
	return open_with(0, TOTAL);
}

static int teardown(void **state)
{
	(void)state;
	harness_close(harness);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind),	     cmocka_unit_test(counters_stay_exact),
		cmocka_unit_test(programs_agree_v4), cmocka_unit_test(programs_agree_v6),
		cmocka_unit_test(recovery),	     cmocka_unit_test(others_are_left_alone),
	};
	static const struct CMUnitTest crowd_tests[] = {
		cmocka_unit_test(many_listeners),
		cmocka_unit_test(recovery),
	};

	if (geteuid())
		return harness_skip();
	return cmocka_run_group_tests(tests, setup, teardown) |
	       cmocka_run_group_tests(crowd_tests, setup_crowd, teardown);
}
