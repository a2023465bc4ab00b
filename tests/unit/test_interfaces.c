/* SPDX-License-Identifier: GPL-2.0-only */
/* The interface watcher, on real devices in a network namespace of their own. */
#include "unit/own_netns.h"

#include <errno.h>
#include <net/if.h>
#include <linux/if_arp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture/changes.h"
#include "capture/interfaces.h"
#include "util.h"

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

static int changes_fd; /* of the namespace that this test made */

static int enter(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	return enter_netns();
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
	};

	if (geteuid() != 0) {
		puts("needs root");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
