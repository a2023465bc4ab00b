/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixtures through the loaded programs (BPF_PROG_TEST_RUN): what they count and record is what
 * the user-space build of the parser makes of the same bytes. And the verifier takes every
 * program, within a bound; its instruction counts and the cost of the hot paths are printed.
 */
#include "bpf/harness.h"

#include <sched.h>

#include "bpf/fixtures.h"

#define LOOPBACK 1u /* BPF_PROG_TEST_RUN runs as if on the namespace's loopback */
#define SHORTEST_FRAME 14u
#define VERIFIED_INSTRUCTIONS_MAX 100000u

static struct harness *harness;

/* One run. 0, or -EINVAL where the kernel takes no such frame (shorter than Ethernet's header). */
static int run(const struct bpf_program *program, const struct fixture *fixture,
	       uint32_t *ret_answer)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = fixture->bytes,
		    .data_size_in = (__u32)fixture->size, .repeat = 1);

	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options))
		return -errno;
	*ret_answer = options.retval;
	return 0;
}

/* ---- what a frame must leave behind ----------------------------------------------------------- */

struct pass {
	const struct bpf_program *program;
	uint32_t answer;
	uint8_t hook;
	bool sent, has_link_layer;
};

static void check_counters(const struct segment_counters *before,
			   const struct segment_counters *after, enum parse_result result,
			   const struct parsed_segment *segment, bool sent)
{
	struct segment_counters expected = *before;
	enum segment_kind kind = parse_kind(segment->tcp_flags, segment->payload_bytes);

	if (result == PARSE_TCP && sent)
		expected.sent[kind]++;
	else if (result == PARSE_TCP)
		expected.received[kind]++;
	else if (result != PARSE_OTHER)
		expected.ignored[parse_ignored_reason(result)]++;
	assert_memory_equal(after, &expected, sizeof(expected));
}

static void check_addresses(const struct rec_segment *record, const struct parsed_segment *segment,
			    bool sent)
{
	const __u32 *local = sent ? segment->source : segment->destination;
	const __u32 *remote = sent ? segment->destination : segment->source;
	size_t bytes = segment->ipv6 ? 16 : 4;

	assert_memory_equal(record->addresses, local, bytes);
	assert_memory_equal(record->addresses + bytes, remote, bytes);
	assert_int_equal(record->local_port,
			 sent ? segment->source_port : segment->destination_port);
	assert_int_equal(record->remote_port,
			 sent ? segment->destination_port : segment->source_port);
}

/* No socket is there, and that is what the snapshot says. */
static void check_record(const struct harness_record *record, const struct pass *pass,
			 const struct parsed_segment *segment, const struct tcp_options *options)
{
	const struct rec_segment *seen = &record->segment;
	struct rec_snapshot nobody = { .bits = SNAP_LOOKED };

	assert_int_equal(record->hdr.type, REC_SEGMENT);
	assert_int_equal(record->hdr.version, RECORD_VERSION);
	assert_int_equal(record->hdr.netns, harness->netns);
	assert_int_equal(record->hdr.flags,
			 (segment->ipv6 ? REC_F_IPV6 : 0) | (pass->sent ? REC_F_SENT : 0));
	assert_int_equal(record->size,
			 segment->ipv6 ? REC_SIZE_V6(rec_segment) : REC_SIZE_V4(rec_segment));
	assert_memory_equal(&seen->snapshot, &nobody, sizeof(nobody));
	assert_int_equal(seen->ifindex, LOOPBACK);
	assert_int_equal(seen->hook, pass->hook);
	assert_int_equal(seen->gso_segs, 1);
	assert_int_equal(seen->tcp_flags, segment->tcp_flags);
	assert_int_equal(seen->seq, segment->seq);
	assert_int_equal(seen->ack, segment->ack);
	assert_int_equal(seen->payload_bytes, segment->payload_bytes);
	assert_int_equal(seen->window, segment->window);
	assert_int_equal(seen->ip_id, segment->ip_id);
	assert_int_equal(seen->options, options->present);
	assert_int_equal(seen->mss, options->mss);
	assert_int_equal(seen->wscale, options->wscale);
	assert_int_equal(seen->tsval, options->tsval);
	assert_int_equal(seen->tsecr, options->tsecr);
	check_addresses(seen, segment, pass->sent);
}

static void check_fixture(const struct pass *pass, const struct fixture *fixture)
{
	struct segment_counters before = harness_segments(harness, LOOPBACK), after;
	struct parsed_segment segment;
	struct tcp_options options;
	enum parse_result result = fixture_parse(fixture, &segment, &options);
	uint32_t answer;
	bool recorded;
	int err;

	err = run(pass->program, fixture, &answer);
	if (fixture->size < SHORTEST_FRAME && err)
		return;
	assert_int_equal(err, 0);
	assert_int_equal(answer, pass->answer);
	after = harness_segments(harness, LOOPBACK);
	check_counters(&before, &after, result, &segment, pass->sent);
	harness->count = 0;
	harness_drain(harness);
	recorded = result == PARSE_TCP && segment.tcp_flags & (TCPF_SYN | TCPF_FIN | TCPF_RST);
	assert_int_equal(harness->count, recorded);
	if (recorded)
		check_record(&harness->records[0], pass, &segment, &options);
}

static void check_fixtures(const struct pass *pass)
{
	size_t done = 0;

	for (size_t i = 0; i < NR_FIXTURES; i++) {
		if (fixtures[i].has_link_layer != pass->has_link_layer)
			continue;
		print_message("  %s\n", fixtures[i].name);
		check_fixture(pass, &fixtures[i]);
		done++;
	}
	assert_true(done > 0);
}

static void xdp(void **state)
{
	const struct pass pass = { harness->skel->progs.xdp_ingress, XDP_PASS, HOOK_XDP_NATIVE,
				   false, true };

	(void)state;
	check_fixtures(&pass);
}

static void tc_ingress_eth(void **state)
{
	const struct pass pass = { harness->skel->progs.tc_ingress_eth, (uint32_t)-1,
				   HOOK_TC_INGRESS, false, true };

	(void)state;
	check_fixtures(&pass);
}

static void tc_ingress_ip(void **state)
{
	const struct pass pass = { harness->skel->progs.tc_ingress_ip, (uint32_t)-1,
				   HOOK_TC_INGRESS, false, false };

	(void)state;
	check_fixtures(&pass);
}

static void tc_egress_eth(void **state)
{
	const struct pass pass = { harness->skel->progs.tc_egress_eth, (uint32_t)-1, HOOK_TC_EGRESS,
				   true, true };

	(void)state;
	check_fixtures(&pass);
}

static void tc_egress_ip(void **state)
{
	const struct pass pass = { harness->skel->progs.tc_egress_ip, (uint32_t)-1, HOOK_TC_EGRESS,
				   true, false };

	(void)state;
	check_fixtures(&pass);
}

/* Neither end ours: counted as transit, no record. */
static void transit(void **state)
{
	const uint8_t frame[] = { ETHERNET(0x0800),
				  0x45,
				  0,
				  B16(40),
				  0,
				  0,
				  0,
				  0,
				  64,
				  6,
				  0,
				  0,
				  192,
				  0,
				  2,
				  1,
				  192,
				  0,
				  2,
				  2,
				  TCP(5, SYN) };
	const struct fixture fixture = { .bytes = frame, .size = sizeof(frame) };
	const struct bpf_program *const programs[] = { harness->skel->progs.xdp_ingress,
						       harness->skel->progs.tc_ingress_eth,
						       harness->skel->progs.tc_egress_eth };
	struct segment_counters expected = harness_segments(harness, LOOPBACK), after;
	uint32_t answer;

	(void)state;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		harness->count = 0;
		assert_int_equal(run(programs[i], &fixture, &answer), 0);
		after = harness_segments(harness, LOOPBACK);
		expected.ignored[IGNORED_TRANSIT]++;
		assert_memory_equal(&after, &expected, sizeof(after));
		harness_drain(harness);
		assert_int_equal(harness->count, 0);
	}
}

/* A full ring refuses, and each refusal is counted; nothing else is lost with it. */
static void full_ring(void **state)
{
	struct total_counters before = harness_totals(harness), after;
	const size_t runs = 2 * HARNESS_RING_BYTES / sizeof(struct rec_segment);
	struct segment_counters counted = harness_segments(harness, LOOPBACK);
	uint32_t answer;
	size_t kept = 0;

	(void)state;
	for (size_t i = 0; i < runs; i++)
		assert_int_equal(run(harness->skel->progs.xdp_ingress, &fixtures[0], &answer), 0);
	after = harness_totals(harness);
	assert_int_equal(after.attempted[RING_SEGMENT] - before.attempted[RING_SEGMENT], runs);
	assert_true(after.lost[RING_SEGMENT] > before.lost[RING_SEGMENT]);
	assert_int_equal(harness_segments(harness, LOOPBACK).received[SEGMENT_SYN],
			 counted.received[SEGMENT_SYN] + runs);
	kept = harness_count(harness);
	assert_int_equal(kept + (after.lost[RING_SEGMENT] - before.lost[RING_SEGMENT]), runs);
}

/* The program that takes what the other missed must be met, and so attached, after it. */
static void nested_comes_second(void **state)
{
	struct bpf_program *program;
	bool first_seen = false;

	(void)state;
	bpf_object__for_each_program(program, harness->skel->obj) {
		if (program == harness->skel->progs.on_set_state)
			first_seen = true;
		if (program == harness->skel->progs.on_set_state_nested)
			assert_true(first_seen);
	}
	assert_true(first_seen);
}

/* ---- what it costs ---------------------------------------------------------------------------- */

/* Nanoseconds a run, the least of five; reported, not judged: the machine is shared. */
static uint32_t cost_ns(const struct bpf_program *program, const struct fixture *fixture)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = fixture->bytes,
		    .data_size_in = (__u32)fixture->size, .repeat = 20000);
	uint32_t least = UINT32_MAX;

	for (int i = 0; i < 5; i++) {
		options.repeat = 20000;
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
		if (options.duration < least)
			least = options.duration;
	}
	return least;
}

static const struct fixture *fixture_named(const char *name)
{
	for (size_t i = 0; i < NR_FIXTURES; i++)
		if (!strcmp(fixtures[i].name, name))
			return &fixtures[i];
	fail_msg("no fixture \"%s\"", name);
	return NULL;
}

static void costs(void **state)
{
	static const char *const names[] = { "arp", "data", "syn with the usual options",
					     "fin with data", "ipv6" };
	const struct bpf_program *const programs[] = { harness->skel->progs.xdp_ingress,
						       harness->skel->progs.tc_ingress_eth,
						       harness->skel->progs.tc_egress_eth };

	(void)state;
	for (size_t p = 0; p < sizeof(programs) / sizeof(programs[0]); p++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			print_message("  %-15s %-28s %u ns\n", bpf_program__name(programs[p]),
				      names[i], cost_ns(programs[p], fixture_named(names[i])));
	harness_count(harness);
}

static void verified_instructions(void **state)
{
	struct bpf_program *program;

	(void)state;
	bpf_object__for_each_program(program, harness->skel->obj) {
		struct bpf_prog_info info = { 0 };
		__u32 size = sizeof(info);

		if (!bpf_program__autoload(program))
			continue;
		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
		print_message("  %-22s %u instructions walked, %u bytes\n",
			      bpf_program__name(program), info.verified_insns, info.jited_prog_len);
		assert_true(info.verified_insns < VERIFIED_INSTRUCTIONS_MAX);
	}
}

/* ---- the programs, loaded --------------------------------------------------------------------- */

static int setup(void **state)
{
	const uint8_t v4[2][16] = { { [10] = 0xff, [11] = 0xff, [12] = 10, 0, 0, 1 },
				    { [10] = 0xff, [11] = 0xff, [12] = 10, 0, 0, 2 } };
	const uint8_t v6[2][16] = { { NET6(1) }, { NET6(2) } };

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	harness = harness_open();
	for (int i = 0; i < 2; i++) {
		harness_local(harness, v4[i]);
		harness_local(harness, v6[i]);
	}
	return 0;
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
		cmocka_unit_test(verified_instructions),
		cmocka_unit_test(xdp),
		cmocka_unit_test(tc_ingress_eth),
		cmocka_unit_test(tc_ingress_ip),
		cmocka_unit_test(tc_egress_eth),
		cmocka_unit_test(tc_egress_ip),
		cmocka_unit_test(transit),
		cmocka_unit_test(full_ring),
		cmocka_unit_test(nested_comes_second),
		cmocka_unit_test(costs),
	};

	if (geteuid())
		return harness_skip();
	return cmocka_run_group_tests(tests, setup, teardown);
}
