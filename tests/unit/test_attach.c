/* SPDX-License-Identifier: GPL-2.0-only */
/* The attach ladder, and what it leaves behind, on real devices in a network namespace of their own. */
#include "unit/own_netns.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/attach.h"
#include "capture/interfaces.h"
#include "util.h"

#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define PATIENCE_MS 10000

static int program_load(enum bpf_prog_type type, const char *name, int verdict)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(type, name, "GPL", insns, ARRAY_SIZE(insns), NULL);

	assert_true(fd >= 0);
	return fd;
}

static struct attach_programs programs;

static int programs_load(void **state)
{
	(void)state;
	programs.xdp_ingress = program_load(BPF_PROG_TYPE_XDP, "xdp_ingress", XDP_PASS);
	programs.tc_ingress_eth = program_load(BPF_PROG_TYPE_SCHED_CLS, "tc_ingress_eth", -1);
	programs.tc_ingress_ip = program_load(BPF_PROG_TYPE_SCHED_CLS, "tc_ingress_ip", -1);
	programs.tc_egress_eth = program_load(BPF_PROG_TYPE_SCHED_CLS, "tc_egress_eth", -1);
	programs.tc_egress_ip = program_load(BPF_PROG_TYPE_SCHED_CLS, "tc_egress_ip", -1);
	return 0;
}

static struct interface device(const char *name, uint16_t arphrd, bool is_virtual)
{
	struct interface interface = { .ifindex = if_nametoindex(name),
				       .arphrd = arphrd,
				       .is_virtual = is_virtual };

	strcpy(interface.name, name);
	return interface;
}

/* Programs on a tcx hook. */
static uint32_t tcx_count(const char *name, unsigned int hook)
{
	__u32 ids[8], count = ARRAY_SIZE(ids);

	assert_int_equal(bpf_prog_query((int)if_nametoindex(name), (enum bpf_attach_type)hook, 0,
					NULL, ids, &count),
			 0);
	return count;
}

static uint32_t xdp_id(const char *name)
{
	uint32_t id = 0;

	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex(name), 0, &id), 0);
	return id;
}

static void attach_and_check(enum capture_mode mode, struct interface interface,
			     enum hook_mode ingress, enum hook_mode egress)
{
	struct attacher *attacher = attacher_new(&programs, mode);
	struct attachment attachment;

	assert_int_equal(attacher_attach(attacher, &interface, "", &attachment), 0);
	assert_string_equal(hook_mode_name(attachment.hooks[ATTACH_INGRESS].mode),
			    hook_mode_name(ingress));
	assert_string_equal(hook_mode_name(attachment.hooks[ATTACH_EGRESS].mode),
			    hook_mode_name(egress));
	assert_int_equal(tcx_count(interface.name, TCX_INGRESS), ingress == MODE_TCX);
	assert_int_equal(tcx_count(interface.name, TCX_EGRESS), egress == MODE_TCX);
	attacher_detach(&attachment);
	assert_int_equal(tcx_count(interface.name, TCX_INGRESS), 0);
	assert_int_equal(tcx_count(interface.name, TCX_EGRESS), 0);
	attacher_free(attacher);
}

static void test_ladder(void **state)
{
	const struct interface veth = device("cap-a", ARPHRD_ETHER, true);
	const struct interface hardware = device("cap-a", ARPHRD_ETHER, false);
	const struct interface lo = device("lo", ARPHRD_LOOPBACK, true);

	(void)state;
	attach_and_check(CAPTURE_AUTO, veth, MODE_TCX, MODE_TCX);
	attach_and_check(CAPTURE_AUTO, hardware, MODE_XDP_NATIVE, MODE_TCX);
	attach_and_check(CAPTURE_AUTO, lo, MODE_TCX, MODE_TCX);
	attach_and_check(CAPTURE_XDP, veth, MODE_XDP_NATIVE, MODE_TCX);
	attach_and_check(CAPTURE_XDP, lo, MODE_TCX, MODE_TCX); /* no native XDP there */
	attach_and_check(CAPTURE_XDP_GENERIC, lo, MODE_XDP_GENERIC, MODE_TCX);
	attach_and_check(CAPTURE_TCX, hardware, MODE_TCX, MODE_TCX);
	attach_and_check(CAPTURE_CLSACT, veth, MODE_CLSACT, MODE_CLSACT);
	assert_int_equal(xdp_id("cap-a"), 0);
	assert_int_equal(xdp_id("lo"), 0);
}

static void test_tun_takes_the_ip_programs(void **state)
{
	struct attacher *attacher = attacher_new(&programs, CAPTURE_XDP);
	struct attachment attachment;
	struct interface tun;

	(void)state;
	shell("ip tuntap add cap-tun mode tun");
	tun = device("cap-tun", ARPHRD_NONE, true);
	assert_int_equal(attacher_attach(attacher, &tun, "", &attachment), 0);
	assert_true(attachment.bare_ip);
	assert_int_equal(attachment.hooks[ATTACH_INGRESS].mode, MODE_TCX); /* XDP wants Ethernet */
	attacher_detach(&attachment);
	attacher_free(attacher);
}

static void test_unknown_link_type(void **state)
{
	struct attacher *attacher = attacher_new(&programs, CAPTURE_AUTO);
	struct interface can = device("cap-a", ARPHRD_CAN, true);
	struct attachment attachment;

	(void)state;
	assert_int_equal(attacher_attach(attacher, &can, "", &attachment), -EOPNOTSUPP);
	assert_int_equal(tcx_count("cap-a", TCX_INGRESS), 0);
	attacher_free(attacher);
}

static void test_foreign_xdp_stays(void **state)
{
	int foreign = program_load(BPF_PROG_TYPE_XDP, "foreign", XDP_PASS);
	const struct interface veth = device("cap-a", ARPHRD_ETHER, false);
	int ifindex = (int)veth.ifindex, link;
	uint32_t id;

	(void)state;
	assert_int_equal(bpf_xdp_attach(ifindex, foreign, 0, NULL), 0);
	id = xdp_id("cap-a");
	assert_int_not_equal(id, 0);
	attach_and_check(CAPTURE_AUTO, veth, MODE_TCX, MODE_TCX);
	assert_int_equal(xdp_id("cap-a"), id);
	attach_and_check(CAPTURE_XDP_GENERIC, veth, MODE_TCX, MODE_TCX);
	assert_int_equal(xdp_id("cap-a"), id);
	assert_int_equal(bpf_xdp_detach(ifindex, 0, NULL), 0);

	link = bpf_link_create(foreign, ifindex, BPF_XDP, NULL);
	assert_true(link >= 0);
	attach_and_check(CAPTURE_XDP, veth, MODE_TCX, MODE_TCX);
	assert_int_equal(xdp_id("cap-a"), id);
	close(link);
	close(foreign);
}

/* ---- clsact, which outlives its process ------------------------------------------------------ */

#define HAS_QDISC "tc qdisc show dev cap-a | grep -q clsact"
#define HAS_OURS                                                                                   \
	"tc filter show dev cap-a ingress | grep -q tc_ingress_eth &&"                             \
	" tc filter show dev cap-a egress | grep -q tc_egress_eth"
#define HAS_ANY_OF_OURS                                                                            \
	"{ tc filter show dev cap-a ingress; tc filter show dev cap-a egress; } |"                 \
	" grep -q 'tc_.*gress_eth'"
#define HAS_FOREIGN "tc filter show dev cap-a ingress | grep -q foreign"

/* Somebody else's filter; makes the qdisc where there is none. */
static void foreign_filter_add(uint32_t ifindex, uint32_t priority)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .priority = priority);
	int err = bpf_tc_hook_create(&hook);

	assert_true(err == 0 || err == -EEXIST);
	opts.prog_fd = program_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", -1);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	close(opts.prog_fd);
}

static void test_clsact_cleans_up(void **state)
{
	struct attacher *attacher = attacher_new(&programs, CAPTURE_CLSACT);
	struct interface veth = device("cap-a", ARPHRD_ETHER, true);
	struct attachment attachment;

	(void)state;
	assert_int_equal(attacher_attach(attacher, &veth, "", &attachment), 0);
	assert_true(shell_says(HAS_OURS));
	attacher_detach(&attachment);
	assert_false(shell_says(HAS_QDISC));
	attacher_free(attacher);
}

static void test_clsact_leaves_foreign(void **state)
{
	struct attacher *attacher = attacher_new(&programs, CAPTURE_CLSACT);
	struct interface veth = device("cap-a", ARPHRD_ETHER, true);
	struct attachment attachment;
	unsigned int removed = 99;

	(void)state;
	foreign_filter_add(veth.ifindex, 1); /* at our own priority, even */
	assert_int_equal(attacher_attach(attacher, &veth, "", &attachment), 0);
	assert_true(shell_says(HAS_OURS));
	assert_int_equal(attach_cleanup(&removed), -EBUSY); /* ours live */
	assert_int_equal(removed, 99);
	attacher_detach(&attachment);
	assert_false(shell_says(HAS_ANY_OF_OURS));
	assert_true(shell_says(HAS_FOREIGN));
	attacher_free(attacher);

	/* A qdisc that we made, and somebody else moved into. */
	shell("tc qdisc del dev cap-a clsact");
	attacher = attacher_new(&programs, CAPTURE_CLSACT);
	assert_int_equal(attacher_attach(attacher, &veth, "", &attachment), 0);
	foreign_filter_add(veth.ifindex, 7);
	attacher_detach(&attachment);
	assert_false(shell_says(HAS_ANY_OF_OURS));
	assert_true(shell_says(HAS_FOREIGN));
	attacher_free(attacher);
}

/* A child attaches and says so; then it waits to be killed. */
static pid_t attach_in_child(enum capture_mode mode)
{
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		struct attacher *attacher = attacher_new(&programs, mode);
		struct interface veth = device("cap-a", ARPHRD_ETHER, false);
		struct attachment attachment;

		if (attacher_attach(attacher, &veth, "", &attachment))
			_exit(1);
		byte = 'r';
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(child > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void child_kill(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_kill_leaves_nothing(void **state)
{
	pid_t child = attach_in_child(CAPTURE_XDP);

	(void)state;
	assert_int_not_equal(xdp_id("cap-a"), 0);
	assert_int_equal(tcx_count("cap-a", TCX_EGRESS), 1);
	child_kill(child);
	/* The kernel lets links go from a work queue. */
	for (int i = 0; i < PATIENCE_MS && (xdp_id("cap-a") || tcx_count("cap-a", TCX_EGRESS)); i++)
		poll(NULL, 0, 1);
	assert_int_equal(xdp_id("cap-a"), 0);
	assert_int_equal(tcx_count("cap-a", TCX_EGRESS), 0);
}

static void test_leftovers_are_removed(void **state)
{
	pid_t child = attach_in_child(CAPTURE_CLSACT);
	unsigned int removed = 99;

	(void)state;
	assert_int_equal(attach_cleanup(&removed), -EBUSY); /* not while it lives */
	assert_true(shell_says(HAS_OURS));
	child_kill(child);
	assert_true(shell_says(HAS_OURS)); /* that is why there is a cleanup */
	assert_int_equal(attach_cleanup(&removed), 0);
	assert_int_equal(removed, 2);
	assert_false(shell_says(HAS_QDISC));
	assert_int_equal(attach_cleanup(&removed), 0);
	assert_int_equal(removed, 0);
}

static void test_leftovers_beside_foreign(void **state)
{
	unsigned int removed = 99;
	pid_t child;

	(void)state;
	foreign_filter_add(if_nametoindex("cap-a"), 7);
	child = attach_in_child(CAPTURE_CLSACT);
	child_kill(child);
	assert_int_equal(attach_cleanup(&removed), 0);
	assert_int_equal(removed, 2);
	assert_false(shell_says(HAS_ANY_OF_OURS));
	assert_true(shell_says(HAS_FOREIGN));
}

static int enter(void **state)
{
	(void)state;
	return enter_netns();
}

#define IN_NAMESPACE(test) cmocka_unit_test_setup(test, enter)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NAMESPACE(test_ladder),
		IN_NAMESPACE(test_tun_takes_the_ip_programs),
		IN_NAMESPACE(test_unknown_link_type),
		IN_NAMESPACE(test_foreign_xdp_stays),
		IN_NAMESPACE(test_clsact_cleans_up),
		IN_NAMESPACE(test_clsact_leaves_foreign),
		IN_NAMESPACE(test_kill_leaves_nothing),
		IN_NAMESPACE(test_leftovers_are_removed),
		IN_NAMESPACE(test_leftovers_beside_foreign),
	};

	if (geteuid() != 0) {
		puts("needs root");
		return 77;
	}
	return cmocka_run_group_tests(tests, programs_load, NULL);
}
