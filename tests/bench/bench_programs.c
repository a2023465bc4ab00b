/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the ingress programs cost: BPF_PROG_TEST_RUN of each over segments that meet sockets in
 * every state, beside a program that does nothing on the same hook. One JSON line a case: the
 * least over all rounds, its difference from the bare program's (`added_ns`), and the median and
 * ninth decile of that difference. Cold: each run meets another of FLOWS connections, so that
 * nothing of it is in any cache. Needs root, and a network namespace of its own, which it makes.
 *
 * What leaves cannot be run so: the skb of BPF_PROG_TEST_RUN has no socket.
 */
#include "bpf/harness.h"
#include "bench_flows.h"

#define ROUNDS 300
#define ROUNDS_XDP 40 /* each waits for a grace period of RCU */
#define REPEAT 200    /* their records fit into half a ring */
#define COLD_RUNS 20000

enum met {
	MET_LISTEN,
	MET_REQUEST,
	MET_ESTABLISHED,
	MET_FIN_WAIT1,
	MET_LAST_ACK,
	MET_TIME_WAIT,
	MET_NOTHING, /* a closed port of ours */
	MET_TRANSIT, /* no address of ours */
	MET_UDP,
	MET_ARP,
	MET_NR
};

static const struct {
	const char *name;
	enum met met;
	uint8_t flags;
	uint16_t payload_bytes;
	bool last_ack; /* acknowledges our FIN */
} cases[] = {
	{ "data", MET_ESTABLISHED, TCPF_ACK | TCPF_PSH, 100, false },
	{ "bare ack", MET_ESTABLISHED, TCPF_ACK, 0, false },
	{ "data on a closing connection", MET_FIN_WAIT1, TCPF_ACK | TCPF_PSH, 100, false },
	{ "transit", MET_TRANSIT, TCPF_ACK | TCPF_PSH, 100, false },
	{ "data without a socket", MET_NOTHING, TCPF_ACK | TCPF_PSH, 100, false },
	{ "udp", MET_UDP, 0, 100, false },
	{ "arp", MET_ARP, 0, 0, false },
	{ "syn on listen", MET_LISTEN, TCPF_SYN, 0, false },
	{ "syn on time_wait", MET_TIME_WAIT, TCPF_SYN, 0, false },
	{ "syn on nothing", MET_NOTHING, TCPF_SYN, 0, false },
	{ "final ack", MET_REQUEST, TCPF_ACK, 0, false },
	{ "fin", MET_ESTABLISHED, TCPF_FIN | TCPF_ACK, 0, false },
	{ "rst", MET_ESTABLISHED, TCPF_RST, 0, false },
	{ "ack of our fin, last_ack", MET_LAST_ACK, TCPF_ACK, 0, true },
	{ "ack of our fin, fin_wait1", MET_FIN_WAIT1, TCPF_ACK, 0, true },
};

#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

static FILE *results; /* stdout; cmocka's messages go to stderr */

/* A program, and the one that does nothing in its place. */
struct hook {
	const char *name;
	int fd, null_fd;
	uint32_t rounds;
};

static int null_program(enum bpf_prog_type type, uint32_t flags, int verdict)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = flags);
	int fd = bpf_prog_load(type, "bench_null", "GPL", code, 2, &options);

	assert_true(fd >= 0);
	return fd;
}

/* ns a run. */
static uint32_t run(int fd, const struct frame *frame, uint32_t repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes,
		    .data_size_in = (uint32_t)frame->size, .repeat = (int)repeat);

	assert_int_equal(bpf_prog_test_run_opts(fd, &options), 0);
	return options.duration;
}

static int by_value(const void *one, const void *two)
{
	const uint32_t *a = one, *b = two;

	return *a < *b ? -1 : *a > *b;
}

static void report(const struct hook *hook, const char *mode, const char *name, size_t records,
		   uint32_t bare, const uint32_t *sorted)
{
	fprintf(results,
		"{\"benchmark\":\"program\",\"hook\":\"%s\",\"mode\":\"%s\",\"case\":\"%s\","
		"\"records\":%.2f,\"bare_ns\":%u,\"ns\":%u,\"added_ns\":%d,\"added_median_ns\":%d,"
		"\"added_p90_ns\":%d}\n",
		hook->name, mode, name, (double)records / (hook->rounds * REPEAT), bare, sorted[0],
		(int)(sorted[0] - bare), (int)(sorted[hook->rounds / 2] - bare),
		(int)(sorted[hook->rounds * 9 / 10] - bare));
	fflush(results);
}

static void measure(struct harness *harness, const struct hook *hook, const char *mode,
		    const char *name, const struct frame *frame)
{
	uint32_t bare[ROUNDS], ours[ROUNDS];
	size_t records = 0;

	harness_count(harness);
	for (uint32_t round = 0; round < hook->rounds; round++) {
		bare[round] = run(hook->null_fd, frame, REPEAT);
		ours[round] = run(hook->fd, frame, REPEAT);
		records += harness_count(harness);
	}
	qsort(bare, hook->rounds, sizeof(*bare), by_value);
	qsort(ours, hook->rounds, sizeof(*ours), by_value);
	report(hook, mode, name, records, bare[0], ours);
}

static uint64_t cold_sum(int fd, const struct frame *frames, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += run(fd, &frames[i], 1);
	return sum;
}

/* One run each of a sample of all flows; the clock's own cost is in the bare program's too. */
static void measure_cold(struct harness *harness, const struct hook *hook, uint32_t flows,
			 const char *name, uint8_t flags)
{
	static struct frame frames[COLD_RUNS];
	uint64_t bare, ours = 0;
	size_t records = 0;

	for (uint32_t i = 0; i < COLD_RUNS; i++)
		frames[i] = flows_cold_frame((uint32_t)((uint64_t)i * 2654435761u % flows), flags);
	harness_count(harness);
	bare = cold_sum(hook->null_fd, frames, COLD_RUNS);
	for (size_t i = 0; i < COLD_RUNS; i += REPEAT) {
		ours += cold_sum(hook->fd, frames + i, REPEAT);
		records += harness_count(harness);
	}
	fprintf(results,
		"{\"benchmark\":\"program_cold\",\"hook\":\"%s\",\"flows\":%u,\"case\":\"%s\","
		"\"records\":%.2f,\"bare_ns\":%.0f,\"ns\":%.0f,\"added_ns\":%.0f}\n",
		hook->name, flows, name, (double)records / COLD_RUNS, (double)bare / COLD_RUNS,
		(double)ours / COLD_RUNS, (double)((int64_t)(ours - bare)) / COLD_RUNS);
	fflush(results);
}

/* The segment that a case is about, from the peer to us. */
static struct frame case_frame(size_t i, bool ipv6, const struct flow met[MET_NR])
{
	struct segment segment = {
		.ipv6 = ipv6,
		.peer_port = met[cases[i].met].peer_port,
		.port = FLOWS_PORT,
		.flags = cases[i].flags,
		.seq = met[cases[i].met].seq,
		.ack = met[cases[i].met].ack + cases[i].last_ack,
		.payload_bytes = cases[i].payload_bytes,
	};

	if (cases[i].met == MET_NOTHING)
		segment.port = FLOWS_PORT + 1;
	if (cases[i].met == MET_TRANSIT)
		segment.elsewhere = true;
	if (cases[i].met == MET_UDP)
		segment.protocol = IPPROTO_UDP;
	if (cases[i].met == MET_ARP)
		segment.ethertype = 0x0806;
	return flows_frame(&segment);
}

static void meet_all(struct flow met[MET_NR], bool ipv6, uint16_t port)
{
	for (int i = 0; i < MET_NR; i++)
		met[i] = (struct flow){ .ipv6 = ipv6, .peer_port = port++ };
	flows_establish(&met[MET_ESTABLISHED]);
	flows_establish(&met[MET_FIN_WAIT1]);
	flows_close(&met[MET_FIN_WAIT1]);
	flows_establish(&met[MET_LAST_ACK]);
	flows_peer_fin(&met[MET_LAST_ACK], false);
	flows_close(&met[MET_LAST_ACK]);
	flows_establish(&met[MET_TIME_WAIT]);
	flows_close(&met[MET_TIME_WAIT]);
	flows_peer_fin(&met[MET_TIME_WAIT], true);
}

static void measure_family(struct harness *harness, const char *mode, bool ipv6, bool xdp,
			   uint16_t first_port)
{
	const struct hook hooks[] = {
		{ "tc ingress", bpf_program__fd(harness->skel->progs.tc_ingress_eth),
		  null_program(BPF_PROG_TYPE_SCHED_CLS, 0, -1), ROUNDS },
		{ "xdp", bpf_program__fd(harness->skel->progs.xdp_ingress),
		  null_program(BPF_PROG_TYPE_XDP, BPF_F_XDP_HAS_FRAGS, XDP_PASS), ROUNDS_XDP },
	};
	struct flow met[MET_NR];
	char name[64];

	meet_all(met, ipv6, first_port);
	for (size_t h = 0; h < 1 + (size_t)xdp; h++) {
		for (size_t i = 0; i < NR_CASES; i++) {
			struct frame frame;

			if (cases[i].met == MET_REQUEST) { /* before a SYN-ACK is repeated */
				met[MET_REQUEST].peer_port += MET_NR;
				flows_request(&met[MET_REQUEST]);
			}
			frame = case_frame(i, ipv6, met);
			snprintf(name, sizeof(name), "%s%s", cases[i].name, ipv6 ? ", ipv6" : "");
			measure(harness, &hooks[h], mode, name, &frame);
		}
	}
	close(hooks[0].null_fd);
	close(hooks[1].null_fd);
}

static void measure_all_cold(struct harness *harness, uint32_t flows)
{
	const struct hook tc = { "tc ingress", bpf_program__fd(harness->skel->progs.tc_ingress_eth),
				 null_program(BPF_PROG_TYPE_SCHED_CLS, 0, -1), ROUNDS };

	if (!flows)
		return;
	flows_cold_open(flows);
	for (int i = 0; i < 3; i++) {
		measure_cold(harness, &tc, flows, "data", TCPF_ACK | TCPF_PSH);
		measure_cold(harness, &tc, flows, "fin", TCPF_ACK | TCPF_FIN);
	}
	close(tc.null_fd);
}

static struct harness *open_for(bool several)
{
	struct harness *harness = harness_open_for(several);

	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		uint8_t address[16];

		flows_local(ipv6, address);
		harness_local(harness, address);
	}
	return harness;
}

static void bench(void **state)
{
	const char *text = getenv("FLOWS");
	uint32_t flows = text ? (uint32_t)strtoul(text, NULL, 10) : 1000000;
	struct harness *harness;

	(void)state;
	flows_world();
	harness = open_for(false);
	measure_family(harness, "one namespace", false, true, 40000);
	measure_family(harness, "one namespace", true, false, 41000);
	harness_close(harness);
	harness = open_for(true);
	measure_family(harness, "several namespaces", false, false, 42000);
	harness_close(harness);
	harness = open_for(false);
	measure_all_cold(harness, flows);
	harness_close(harness);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(bench) };

	if (geteuid()) {
		fprintf(stderr, "bench_programs: needs root\n");
		return 1;
	}
	results = fdopen(dup(STDOUT_FILENO), "w");
	if (!results || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
		perror("bench_programs");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
