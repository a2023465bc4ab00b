/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows in mid-life (bpf/quiet.h): which are remembered, that none is when a segment of it matters
 * again, and that flows which meet in a slot lose nothing but the place. The sockets are the
 * kernel's, behind a tun device whose far end is this test.
 */
#include "bpf/harness.h"

#include "bench/bench_flows.h"
#include "quiet_hash.h"

#define FIRST_PORT 20000 /* of the peer's */

/* By what it is noticed that a socket leaves ESTABLISHED. */
enum notice {
	BY_EGRESS = 1,
	BY_STATE = 2,
};

static struct {
	struct harness *harness;
	int links[2];
	struct bpf_link *states;
	uint16_t next_port;
	bool ipv6, several;
} world = { .links = { -1, -1 }, .next_port = FIRST_PORT };

/* ---- what BPF remembers ---------------------------------------------------------------------- */

static uint64_t hash_of(const struct flow *flow)
{
	uint8_t v6[16] = { 0xfd, [15] = 1 }, v4[4] = { 10, 0, 0, 1 };
	uint8_t local[16];
	uint32_t words[4] = { 0 }, remote[4] = { 0 };
	const struct quiet_flow key = { words,	    remote,	     world.harness->netns,
					FLOWS_PORT, flow->peer_port, flow->ipv6 };

	flows_local(flow->ipv6, local);
	memcpy(words, flow->ipv6 ? local : local + 12, flow->ipv6 ? 16 : 4);
	memcpy(remote, flow->ipv6 ? v6 : v4, flow->ipv6 ? 16 : 4);
	return quiet_hash(&key, HARNESS_SAMPLING_SEED);
}

static bool is_remembered(const struct flow *flow)
{
	uint64_t hash = hash_of(flow), value;
	uint32_t slot = quiet_slot(hash);

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(world.harness->skel->maps.quiet_flows),
					     &slot, &value),
			 0);
	return value == hash;
}

static void remember(const struct flow *flow)
{
	uint64_t hash = hash_of(flow);
	uint32_t slot = quiet_slot(hash);

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.harness->skel->maps.quiet_flows),
					     &slot, &hash, BPF_ANY),
			 0);
}

/* ---- segments -------------------------------------------------------------------------------- */

static struct flow flow_new(void)
{
	return (struct flow){ .ipv6 = world.ipv6, .peer_port = world.next_port++, .fd = -1 };
}

static uint64_t counted(void)
{
	uint32_t slot = if_nametoindex("tun0");
	struct segment_counters counters;

	if (!world.harness->skel->rodata->config.netns)
		slot = SEGMENT_SLOT_SHARED;
	counters = harness_segments(world.harness, slot);
	return counters.received[SEGMENT_ACK];
}

static void forget_records(void)
{
	harness_drain(world.harness);
	world.harness->count = 0;
}

/* What arrived of that flow with these flags, since the last forget_records(). */
static size_t arrived(const struct flow *flow, uint8_t flags)
{
	size_t count = 0;

	harness_drain(world.harness);
	for (size_t i = 0; i < world.harness->count; i++) {
		const struct harness_record *record = &world.harness->records[i];

		count += record->hdr.type == REC_SEGMENT && !(record->hdr.flags & REC_F_SENT) &&
			 record->segment.remote_port == flow->peer_port &&
			 record->segment.tcp_flags == flags;
	}
	return count;
}

/* Bare ACKs of the peer, which are counted; says how many of them were recorded. */
static size_t acks(const struct flow *flow, uint64_t count)
{
	uint64_t before = counted();

	forget_records();
	for (uint64_t i = 0; i < count; i++)
		flows_send(flow, TCPF_ACK);
	assert_int_equal(counted() - before, count);
	return arrived(flow, TCPF_ACK);
}

/* One that is remembered. */
static struct flow flow_quiet(void)
{
	struct flow flow = flow_new();

	flows_establish(&flow);
	assert_false(is_remembered(&flow));
	assert_int_equal(acks(&flow, 1), 0);
	assert_true(is_remembered(&flow));
	return flow;
}

/* Our side closes: the FIN ends the memory, and its acknowledgment is recorded. */
static void closes(struct flow *flow)
{
	flows_close(flow);
	assert_false(is_remembered(flow));
	assert_int_equal(acks(flow, 2), 0); /* of what came before the FIN */
	assert_false(is_remembered(flow));
	flow->ack++;
	assert_int_equal(acks(flow, 1), 1);
	assert_false(is_remembered(flow));
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void passes_by_itself(void)
{
	struct flow flow = flow_quiet();

	assert_int_equal(acks(&flow, 20), 0);
	assert_true(is_remembered(&flow));
	close(flow.fd);
}

static void peer_ends_it(void)
{
	struct flow flow = flow_quiet();

	forget_records();
	flows_peer_fin(&flow, false);
	assert_int_equal(arrived(&flow, TCPF_FIN | TCPF_ACK), 1);
	assert_int_equal(acks(&flow, 2), 0);
	assert_false(is_remembered(&flow));
	close(flow.fd);
}

static void we_end_it(void)
{
	struct flow flow = flow_quiet();

	closes(&flow);
	close(flow.fd);
}

static void peer_resets_it(void)
{
	struct flow flow = flow_quiet();

	forget_records();
	flows_send(&flow, TCPF_RST | TCPF_ACK);
	assert_int_equal(arrived(&flow, TCPF_RST | TCPF_ACK), 1);
	assert_false(is_remembered(&flow));
	close(flow.fd);
}

/* The next connection of the same ports, when the last one's memory has not ended with it. */
static void port_is_used_again(void)
{
	struct flow flow = flow_quiet();

	flows_send(&flow, TCPF_RST | TCPF_ACK);
	close(flow.fd);
	remember(&flow);
	forget_records();
	flows_request(&flow);
	assert_int_equal(arrived(&flow, TCPF_SYN), 1);
	assert_false(is_remembered(&flow));
	assert_int_equal(acks(&flow, 1), 1); /* completes the handshake */
	assert_false(is_remembered(&flow));
	assert_int_equal(acks(&flow, 1), 0);
	assert_true(is_remembered(&flow));
	flow.fd = accept(flows_at.listener[flow.ipv6], NULL, NULL);
	assert_true(flow.fd >= 0);
	closes(&flow);
	close(flow.fd);
}

/* Two flows whose hashes name the same slot: of ports that have not been used. */
static void find_pair(struct flow ret_pair[2])
{
	static uint16_t ports[QUIET_FLOWS];
	uint32_t slot;

	memset(ports, 0, sizeof(ports));
	for (;;) {
		assert_true(world.next_port >= FIRST_PORT); /* it has not come round */
		ret_pair[1] = flow_new();
		slot = quiet_slot(hash_of(&ret_pair[1]));
		if (ports[slot])
			break;
		ports[slot] = ret_pair[1].peer_port;
	}
	ret_pair[0] = ret_pair[1];
	ret_pair[0].peer_port = ports[slot];
	assert_true(hash_of(&ret_pair[0]) != hash_of(&ret_pair[1]));
}

static void two_share_a_slot(void)
{
	struct flow pair[2];

	find_pair(pair);
	for (int i = 0; i < 2; i++)
		flows_establish(&pair[i]);
	for (int i = 0; i < 4; i++) { /* in turns: whoever comes last has it */
		assert_int_equal(acks(&pair[i & 1], 1), 0);
		assert_true(is_remembered(&pair[i & 1]));
		assert_false(is_remembered(&pair[!(i & 1)]));
	}
	closes(&pair[0]); /* while the other has the slot, and does not lose it */
	assert_true(is_remembered(&pair[1]));
	closes(&pair[1]);
	for (int i = 0; i < 2; i++)
		close(pair[i].fd);
}

/* Like addresses and ports in unlike namespaces are unlike flows. */
static void namespaces_are_apart(void)
{
	const struct flow flow = flow_new();
	uint64_t hash = hash_of(&flow);

	world.harness->netns++;
	assert_true(hash_of(&flow) != hash);
	world.harness->netns--;
}

/* ---- the scenes ------------------------------------------------------------------------------ */

static const struct scene {
	const char *name;
	bool ipv6, several;
	int notice; /* enum notice */
} scenes[] = {
	{ "ipv4", false, false, BY_EGRESS | BY_STATE },
	{ "ipv6", true, false, BY_EGRESS | BY_STATE },
	{ "noticed by egress alone", false, false, BY_EGRESS },
	{ "noticed by the state alone", false, false, BY_STATE },
	{ "several namespaces", false, true, BY_EGRESS | BY_STATE },
	{ "several namespaces, ipv6", true, true, BY_EGRESS | BY_STATE },
};

static void attach(const struct witness *skel, int notice)
{
	world.links[0] = harness_hook(skel->progs.tc_ingress_ip, "tun0", false);
	if (notice & BY_EGRESS)
		world.links[1] = harness_hook(skel->progs.tc_egress_ip, "tun0", true);
	if (notice & BY_STATE) {
		world.states = bpf_program__attach(skel->progs.on_set_state);
		assert_non_null(world.states);
	}
}

static void detach(void)
{
	uint32_t ifindex = if_nametoindex("tun0");

	bpf_link__destroy(world.states);
	world.states = NULL;
	for (int i = 0; i < 2; i++) {
		if (world.links[i] >= 0)
			close(world.links[i]);
		else if (clsact_is_attached(ifindex, i))
			assert_true(clsact_detach(ifindex, i) >= 0);
		world.links[i] = -1;
	}
}

/* Loading takes far longer than a test: once for each of the two modes. */
static void load(bool several)
{
	if (world.harness && world.several == several)
		return;
	if (world.harness)
		harness_close(world.harness);
	world.harness = harness_open_for(several);
	world.several = several;
}

static void in_scene(const struct scene *scene, void (*test)(void))
{
	world.ipv6 = scene->ipv6;
	load(scene->several);
	if (scene->several && !world.harness->skel->rodata->config.casts) {
		print_message("skipped: this kernel has no bpf_rdonly_cast()\n");
		skip();
	}
	attach(world.harness->skel, scene->notice);
	test();
	detach();
}

#define TESTS(X)                                                                                   \
	X(passes_by_itself)                                                                        \
	X(peer_ends_it)                                                                            \
	X(we_end_it)                                                                               \
	X(peer_resets_it)                                                                          \
	X(port_is_used_again)                                                                      \
	X(two_share_a_slot)                                                                        \
	X(namespaces_are_apart)

#define X(test)                                                                                    \
	static void test##_in(void **state)                                                        \
	{                                                                                          \
		in_scene(*state, test);                                                            \
	}
TESTS(X)
#undef X

static const struct {
	const char *name;
	CMUnitTestFunction run;
} tests[] = {
#define X(test) { #test, test##_in },
	TESTS(X)
#undef X
};

#define NR_TESTS (sizeof(tests) / sizeof(tests[0]))
#define NR_SCENES (sizeof(scenes) / sizeof(scenes[0]))

static int world_make(void **state)
{
	(void)state;
	flows_world();
	return 0;
}

static int world_end(void **state)
{
	(void)state;
	if (world.harness)
		harness_close(world.harness);
	return 0;
}

int main(void)
{
	static struct CMUnitTest all[NR_TESTS * NR_SCENES];
	static char names[NR_TESTS * NR_SCENES][80];

	if (geteuid())
		return harness_skip();
	for (size_t i = 0; i < NR_TESTS * NR_SCENES; i++) {
		const struct scene *scene = &scenes[i / NR_TESTS];

		snprintf(names[i], sizeof(names[i]), "%s, %s", tests[i % NR_TESTS].name,
			 scene->name);
		all[i] = (struct CMUnitTest){ names[i], tests[i % NR_TESTS].run, NULL, NULL,
					      (void *)scene };
	}
	return cmocka_run_group_tests(all, world_make, world_end);
}
