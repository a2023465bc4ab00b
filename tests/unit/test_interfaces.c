/* SPDX-License-Identifier: GPL-2.0-only */
/* The interface watcher and the attach ladder, on real devices in a network namespace of their own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/attach.h"
#include "capture/changes.h"
#include "capture/interfaces.h"
#include "util.h"

#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define PATIENCE_MS 10000

/* ---- what the watcher reported --------------------------------------------------------------- */

#define SEEN_MAX 1024

struct seen {
	struct interface interfaces[16];
	size_t nr_interfaces, nr_renamed;
	struct local_prefix prefixes[SEEN_MAX];
	size_t nr_prefixes;
};

static struct seen seen;
static struct settings_list none;

static void appeared(void *context, const struct interface *interface)
{
	struct seen *to = context;

	assert_true(to->nr_interfaces < ARRAY_SIZE(to->interfaces));
	to->interfaces[to->nr_interfaces++] = *interface;
}

static void gone(void *context, const struct interface *interface)
{
	struct seen *to = context;
	size_t at = 0;

	while (at < to->nr_interfaces && strcmp(to->interfaces[at].name, interface->name))
		at++;
	assert_true(at < to->nr_interfaces);
	to->interfaces[at] = to->interfaces[--to->nr_interfaces];
}

static void renamed(void *context, const struct interface *interface)
{
	struct seen *to = context;
	size_t at = 0;

	while (at < to->nr_interfaces && to->interfaces[at].ifindex != interface->ifindex)
		at++;
	assert_true(at < to->nr_interfaces);
	to->interfaces[at] = *interface;
	to->nr_renamed++;
}

static void prefix(void *context, const struct local_prefix *changed, bool added)
{
	struct seen *to = context;
	size_t at = 0;

	while (at < to->nr_prefixes && memcmp(&to->prefixes[at], changed, sizeof(*changed)))
		at++;
	assert_true(added == (at == to->nr_prefixes)); /* neither twice, nor what is not there */
	if (added) {
		assert_true(at < SEEN_MAX);
		to->prefixes[to->nr_prefixes++] = *changed;
	} else {
		to->prefixes[at] = to->prefixes[--to->nr_prefixes];
	}
}

static const struct interface *find(const char *name)
{
	for (size_t i = 0; i < seen.nr_interfaces; i++)
		if (!strcmp(seen.interfaces[i].name, name))
			return &seen.interfaces[i];
	return NULL;
}

static bool has_prefix(const char *mapped, uint32_t bits)
{
	struct local_prefix wanted = { .bits = bits };

	memcpy(wanted.address, mapped, 16);
	for (size_t i = 0; i < seen.nr_prefixes; i++)
		if (!memcmp(&seen.prefixes[i], &wanted, sizeof(wanted)))
			return true;
	return false;
}

/* ---- the namespace --------------------------------------------------------------------------- */

static void shell(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static bool shell_says(const char *command)
{
	return system(command) == 0;
}

static int changes_fd; /* of the namespace that this test made */

/* A fresh namespace for each test; the last one's devices vanish with it. */
static int enter(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	if (unshare(CLONE_NEWNET))
		return -1;
	return system("ip link set lo up && ip link add cap-a type veth peer name cap-b");
}

static struct interfaces *watch(const struct settings_list *only,
				const struct settings_list *excluded)
{
	const struct interfaces_ops ops = { &seen, appeared, gone, renamed, prefix };
	struct interfaces *interfaces;

	if (changes_fd > 0)
		close(changes_fd);
	assert_int_equal(changes_open(false, &changes_fd), 0);
	assert_int_equal(interfaces_new(only, excluded, &ops, &interfaces), 0);
	assert_int_equal(interfaces_start(interfaces), 0);
	return interfaces;
}

static void note_change(void *context, int32_t nsid)
{
	bool *changed = context;

	assert_int_equal(nsid, NSID_OWN);
	*changed = true;
}

static void note_overrun(void *context)
{
	*(bool *)context = true;
}

/* Handles what comes until it has led to `done`. */
static void until(struct interfaces *interfaces, bool (*done)(void))
{
	struct pollfd poll_fd = { .fd = changes_fd, .events = POLLIN };

	while (!done()) {
		bool changed = false;
		const struct changes_ops ops = { &changed, note_change, note_change, note_overrun };

		assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
		assert_int_equal(changes_read(changes_fd, &ops), 0);
		if (changed)
			assert_int_equal(interfaces_refresh(interfaces), 0);
	}
}

static void test_loopback(void **state)
{
	struct interfaces *interfaces = watch(&none, &none);

	(void)state;
	assert_int_equal(seen.nr_interfaces, 1); /* the veths are down and have no address */
	assert_non_null(find("lo"));
	assert_int_equal(find("lo")->arphrd, ARPHRD_LOOPBACK);
	assert_true(find("lo")->is_virtual);
	assert_true(has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\0", 104));
	assert_true(has_prefix("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 128));
	interfaces_free(interfaces);
}

static bool a_is_there(void)
{
	return find("cap-a");
}

static bool a_is_gone(void)
{
	return !find("cap-a");
}

static bool a_has_address(void)
{
	return has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x09\0\1", 128);
}

static bool a_lost_address(void)
{
	return !a_has_address() && !find("cap-a");
}

static void test_hot_plug(void **state)
{
	struct interfaces *interfaces = watch(&none, &none);

	(void)state;
	shell("ip addr add 10.9.0.1/24 dev cap-a");
	until(interfaces, a_has_address);
	assert_null(find("cap-a")); /* down */
	shell("ip link set cap-a up");
	until(interfaces, a_is_there);
	assert_int_equal(find("cap-a")->ifindex, if_nametoindex("cap-a"));
	assert_int_equal(find("cap-a")->arphrd, ARPHRD_ETHER);
	assert_true(find("cap-a")->is_virtual);
	shell("ip link del cap-a");
	until(interfaces, a_lost_address);
	interfaces_free(interfaces);
}

static bool marker_is_there(void)
{
	return has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\xff", 128);
}

/* Down is no reason to stop looking; no address is. */
static void test_down_stays_and_addressless_goes(void **state)
{
	struct interfaces *interfaces;

	(void)state;
	shell("ip addr add 10.9.0.1/24 dev cap-a && ip link set cap-a up");
	interfaces = watch(&none, &none);
	assert_non_null(find("cap-a"));
	shell("ip link set cap-a down && ip addr add 192.0.2.255/32 dev lo");
	until(interfaces, marker_is_there);
	assert_non_null(find("cap-a"));
	shell("ip addr del 10.9.0.1/24 dev cap-a");
	until(interfaces, a_is_gone);
	interfaces_free(interfaces);
}

static bool c_is_there(void)
{
	return find("cap-c") && !find("cap-a");
}

static void test_rename(void **state)
{
	struct interfaces *interfaces;

	(void)state;
	shell("ip addr add 10.9.0.1/24 dev cap-a && ip link set cap-a up");
	interfaces = watch(&none, &none);
	assert_non_null(find("cap-a"));
	shell("ip link set cap-a down && ip link set cap-a name cap-c && ip link set cap-c up");
	until(interfaces, c_is_there);
	assert_int_equal(seen.nr_renamed, 1); /* what hangs there stays */
	interfaces_free(interfaces);
}

static void test_only_and_excluded(void **state)
{
	struct settings_list only = { 1, { "cap-b" } }, excluded = { 1, { "lo" } };
	struct interfaces *interfaces;

	(void)state;
	shell("ip addr add 10.9.0.1/24 dev cap-a && ip link set cap-a up && ip link set cap-b up");
	interfaces = watch(&only, &none);
	assert_int_equal(seen.nr_interfaces, 1);
	assert_non_null(find("cap-b")); /* named, so it needs no address */
	interfaces_free(interfaces);

	memset(&seen, 0, sizeof(seen));
	interfaces = watch(&none, &excluded);
	assert_null(find("lo"));
	assert_non_null(find("cap-a"));
	assert_true(
		has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\0", 104)); /* local all the same */
	interfaces_free(interfaces);
}

static void test_missing_device(void **state)
{
	struct settings_list only = { 2, { "lo", "nowhere0" } };
	const struct interfaces_ops ops = { &seen, appeared, gone, renamed, prefix };
	struct interfaces *interfaces;

	(void)state;
	assert_int_equal(interfaces_new(&only, &none, &ops, &interfaces), 0);
	assert_int_equal(interfaces_start(interfaces), -ENODEV);
	assert_int_equal(seen.nr_interfaces, 0);
	interfaces_free(interfaces);
}

static void test_bridge_port(void **state)
{
	struct interfaces *interfaces;

	(void)state;
	shell("ip link add cap-br type bridge && ip link set cap-a master cap-br &&"
	      " ip addr add 10.9.0.1/24 dev cap-br && ip addr add fe80::1234/64 dev cap-a nodad &&"
	      " ip link set cap-br up && ip link set cap-a up");
	interfaces = watch(&none, &none);
	assert_non_null(find("cap-br"));
	assert_null(find("cap-a")); /* its link-local address alone is no reason */
	interfaces_free(interfaces);
}

static bool any_ip_is_there(void)
{
	return has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\0", 120);
}

static bool any_ip_is_gone(void)
{
	return !any_ip_is_there();
}

static void test_local_routes(void **state)
{
	struct interfaces *interfaces = watch(&none, &none);

	(void)state;
	/* That of another table is for packets with a mark: it makes no address local. */
	shell("ip route add local 0.0.0.0/0 dev lo table 100 &&"
	      " ip route add local 198.51.100.0/24 dev lo");
	until(interfaces, any_ip_is_there);
	assert_false(has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0", 96));
	shell("ip route del local 198.51.100.0/24 dev lo");
	until(interfaces, any_ip_is_gone);
	interfaces_free(interfaces);
}

/* A router's unicast routes come and go without our being woken. */
static void test_other_routes_are_quiet(void **state)
{
	struct interfaces *interfaces = watch(&none, &none);
	struct pollfd poll_fd = { .fd = changes_fd, .events = POLLIN };

	(void)state;
	shell("ip route add 203.0.113.0/24 dev lo && ip -6 route add 2001:db8::/64 dev lo &&"
	      " ip route del 203.0.113.0/24 dev lo");
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	shell("ip route add local 198.51.100.0/24 dev lo");
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	interfaces_free(interfaces);
}

static bool last_of_many_is_there(void)
{
	return has_prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x0a\1\xff", 128);
}

/* Notifications that no longer fit are lost; the state that they announced is not. */
static void test_overrun(void **state)
{
	struct interfaces *interfaces = watch(&none, &none);
	int small = 1;
	char byte;

	(void)state;
	assert_int_equal(setsockopt(changes_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	shell("for i in 0 1; do for j in $(seq 0 255); do echo addr add 10.10.$i.$j/32 dev lo;"
	      " done; done | ip -batch -");
	assert_int_equal(recv(changes_fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ENOBUFS);
	shell("ip addr add 192.0.2.255/32 dev lo");
	until(interfaces, last_of_many_is_there);
	assert_true(seen.nr_prefixes > 512);
	interfaces_free(interfaces);
}

/* ---- the ladder ------------------------------------------------------------------------------ */

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

#define IN_NAMESPACE(test) cmocka_unit_test_setup(test, enter)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NAMESPACE(test_loopback),
		IN_NAMESPACE(test_hot_plug),
		IN_NAMESPACE(test_down_stays_and_addressless_goes),
		IN_NAMESPACE(test_rename),
		IN_NAMESPACE(test_only_and_excluded),
		IN_NAMESPACE(test_missing_device),
		IN_NAMESPACE(test_bridge_port),
		IN_NAMESPACE(test_local_routes),
		IN_NAMESPACE(test_other_routes_are_quiet),
		IN_NAMESPACE(test_overrun),
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
