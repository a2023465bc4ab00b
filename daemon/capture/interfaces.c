/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads links, addresses and the local routing table, and reports what is different. */
#include "capture/interfaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/netlink.h"
#include "log.h"
#include "util.h"

/* Link-local addresses sit on every bridge port; their bridge sees the same segments. */
enum address_bit {
	ADDRESS_GLOBAL = 0x01,
	ADDRESS_LINK_LOCAL = 0x02,
};

struct link {
	struct interface interface;
	bool up, is_port;  /* is_port: has a master */
	uint8_t addresses; /* enum address_bit */
};

/* One reading of the tables. */
struct tables {
	struct link *links;
	struct local_prefix *prefixes;
	size_t nr_links, nr_prefixes;
	int err;
};

struct interfaces {
	const struct settings_list *only, *excluded;
	struct interfaces_ops ops;
	struct interface *watched;     /* sorted by ifindex */
	struct local_prefix *prefixes; /* sorted, no two equal */
	size_t nr_watched, nr_prefixes;
};

/* Grows an array to hold one more, in powers of two. NULL: no memory, and the array stands. */
static void *one_more(void *array, size_t count, size_t item)
{
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? 2 * count : 1, item);
}

static void link_add(void *context, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct rtattr *attributes[IFLA_LINKINFO + 1], *kind[IFLA_INFO_KIND + 1] = { NULL };
	struct tables *tables = context;
	struct link *links, *link;

	if (message->nlmsg_type != RTM_NEWLINK)
		return;
	netlink_attributes(message, sizeof(*info), attributes, IFLA_LINKINFO);
	links = one_more(tables->links, tables->nr_links, sizeof(*links));
	if (!links || !attributes[IFLA_IFNAME]) {
		tables->err = -ENOMEM;
		return;
	}
	tables->links = links;
	link = memset(&links[tables->nr_links++], 0, sizeof(*link));
	if (attributes[IFLA_LINKINFO])
		netlink_nested(attributes[IFLA_LINKINFO], kind, IFLA_INFO_KIND);
	link->interface.ifindex = (uint32_t)info->ifi_index;
	link->interface.arphrd = info->ifi_type;
	link->interface.is_virtual = kind[IFLA_INFO_KIND] || info->ifi_type != ARPHRD_ETHER;
	strncpy(link->interface.name, RTA_DATA(attributes[IFLA_IFNAME]), IF_NAMESIZE - 1);
	link->up = info->ifi_flags & IFF_UP;
	link->is_port = attributes[IFLA_MASTER];
}

static void prefix_add(struct tables *tables, int family, const struct rtattr *address,
		       unsigned int bits)
{
	struct local_prefix *prefixes, *prefix;
	size_t size = family == AF_INET ? 4 : 16;

	if (RTA_PAYLOAD(address) < size)
		return;
	prefixes = one_more(tables->prefixes, tables->nr_prefixes, sizeof(*prefixes));
	if (!prefixes) {
		tables->err = -ENOMEM;
		return;
	}
	tables->prefixes = prefixes;
	prefix = memset(&prefixes[tables->nr_prefixes++], 0, sizeof(*prefix));
	if (family == AF_INET)
		memset(prefix->address + 10, 0xff, 2);
	memcpy(prefix->address + 16 - size, RTA_DATA(address), size);
	prefix->bits = bits + (family == AF_INET ? 96 : 0);
}

/* A VRF keeps its local routes in a table of its own: so the addresses count too. */
static void address_add(void *context, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *info = NLMSG_DATA(message);
	const struct rtattr *attributes[IFA_LOCAL + 1], *address;
	struct tables *tables = context;
	bool v4 = info->ifa_family == AF_INET;

	if (message->nlmsg_type != RTM_NEWADDR || (!v4 && info->ifa_family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*info), attributes, IFA_LOCAL);
	address = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
	if (!address)
		return;
	prefix_add(tables, info->ifa_family, address, v4 ? 32 : 128);
	for (size_t i = 0; i < tables->nr_links; i++)
		if (tables->links[i].interface.ifindex == info->ifa_index)
			tables->links[i].addresses |= info->ifa_scope == RT_SCOPE_LINK ?
							      ADDRESS_LINK_LOCAL :
							      ADDRESS_GLOBAL;
}

static void route_add(void *context, const struct nlmsghdr *message)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct rtattr *attributes[RTA_DST + 1];

	/* Of type local there are others, for packets with a mark: they make no address ours. */
	if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_LOCAL ||
	    route->rtm_table != RT_TABLE_LOCAL)
		return;
	netlink_attributes(message, sizeof(*route), attributes, RTA_DST);
	if (attributes[RTA_DST])
		prefix_add(context, route->rtm_family, attributes[RTA_DST], route->rtm_dst_len);
}

static int links_dump(int fd, struct tables *tables)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK },
	};

	return netlink_dump(fd, &request.head, link_add, tables);
}

static int addresses_dump(int fd, struct tables *tables)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg info;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETADDR },
	};

	return netlink_dump(fd, &request.head, address_add, tables);
}

static int routes_dump(int fd, unsigned char family, struct tables *tables)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETROUTE },
		.route = { .rtm_family = family,
			   .rtm_table = RT_TABLE_LOCAL,
			   .rtm_type = RTN_LOCAL },
	};

	return netlink_dump(fd, &request.head, route_add, tables);
}

static void tables_clear(struct tables *tables)
{
	free(tables->links);
	free(tables->prefixes);
	memset(tables, 0, sizeof(*tables));
}

static int tables_read_once(int fd, struct tables *tables)
{
	int err = links_dump(fd, tables);

	if (!err)
		err = addresses_dump(fd, tables);
	if (!err)
		err = routes_dump(fd, AF_INET, tables);
	if (!err)
		err = routes_dump(fd, AF_INET6, tables);
	/* A kernel booted with ipv6.disable=1 has no such table. */
	if (err == -EOPNOTSUPP || err == -EAFNOSUPPORT)
		err = 0;
	return err ? err : tables->err;
}

/* A busy machine changes its tables while they are read: then they are read again. */
static int tables_read(int fd, struct tables *tables)
{
	int err = -EINTR;

	for (int attempt = 0; attempt < 16 && err == -EINTR; attempt++) {
		tables_clear(tables);
		err = tables_read_once(fd, tables);
	}
	return err;
}

static bool named(const struct settings_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->at[i], name))
			return true;
	return false;
}

static const struct interface *watched_find(const struct interfaces *interfaces, uint32_t ifindex)
{
	for (size_t i = 0; i < interfaces->nr_watched; i++)
		if (interfaces->watched[i].ifindex == ifindex)
			return &interfaces->watched[i];
	return NULL;
}

/* One that goes down stays watched: nothing is missed when it comes up again. */
static bool wanted(const struct interfaces *interfaces, const struct link *link)
{
	if (named(interfaces->excluded, link->interface.name))
		return false;
	if (!link->up && !watched_find(interfaces, link->interface.ifindex))
		return false;
	if (interfaces->only->count > 0)
		return named(interfaces->only, link->interface.name);
	return link->addresses & ADDRESS_GLOBAL || (link->addresses && !link->is_port);
}

static int watched_update(struct interfaces *interfaces, const struct tables *tables)
{
	struct interface *now = calloc(tables->nr_links + 1, sizeof(*now)), *before;
	size_t nr_now = 0, nr_before;

	if (!now)
		return -ENOMEM;
	for (size_t i = 0; i < tables->nr_links; i++)
		if (wanted(interfaces, &tables->links[i]))
			now[nr_now++] = tables->links[i].interface;
	before = interfaces->watched;
	nr_before = interfaces->nr_watched;
	interfaces->watched = now;
	interfaces->nr_watched = nr_now;
	for (size_t i = 0; i < nr_before; i++)
		if (!watched_find(interfaces, before[i].ifindex))
			interfaces->ops.gone(interfaces->ops.context, &before[i]);
	for (size_t i = 0; i < nr_now; i++) {
		size_t old = 0;

		while (old < nr_before && before[old].ifindex != now[i].ifindex)
			old++;
		if (old == nr_before)
			interfaces->ops.appeared(interfaces->ops.context, &now[i]);
		else if (strcmp(before[old].name, now[i].name))
			interfaces->ops.renamed(interfaces->ops.context, &now[i]);
	}
	free(before);
	return 0;
}

static int prefix_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct local_prefix));
}

static size_t prefixes_sort(struct local_prefix *prefixes, size_t count)
{
	size_t kept = 0;

	if (count > 0)
		qsort(prefixes, count, sizeof(*prefixes), prefix_compare);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || prefix_compare(&prefixes[kept - 1], &prefixes[i]))
			prefixes[kept++] = prefixes[i];
	return kept;
}

/* Reports those in `a` that are not in `b`; both sorted. */
static void prefixes_report(const struct interfaces *interfaces, const struct local_prefix *a,
			    size_t nr_a, const struct local_prefix *b, size_t nr_b, bool added)
{
	for (size_t i = 0; i < nr_a; i++)
		if (nr_b == 0 || !bsearch(&a[i], b, nr_b, sizeof(*b), prefix_compare))
			interfaces->ops.prefix(interfaces->ops.context, &a[i], added);
}

static void prefixes_update(struct interfaces *interfaces, struct tables *tables)
{
	size_t count = prefixes_sort(tables->prefixes, tables->nr_prefixes);

	prefixes_report(interfaces, tables->prefixes, count, interfaces->prefixes,
			interfaces->nr_prefixes, true);
	prefixes_report(interfaces, interfaces->prefixes, interfaces->nr_prefixes, tables->prefixes,
			count, false);
	free(interfaces->prefixes);
	interfaces->prefixes = tables->prefixes;
	interfaces->nr_prefixes = count;
	tables->prefixes = NULL;
}

static int devices_check(const struct interfaces *interfaces, const struct tables *tables)
{
	for (size_t i = 0; i < interfaces->only->count; i++) {
		size_t at = 0;

		while (at < tables->nr_links &&
		       strcmp(tables->links[at].interface.name, interfaces->only->at[i]))
			at++;
		if (at == tables->nr_links) {
			log_err("interface '%s' does not exist", interfaces->only->at[i]);
			return -ENODEV;
		}
	}
	return 0;
}

static int read_and_report(struct interfaces *interfaces, bool first)
{
	struct tables tables = { 0 };
	int fd, err;

	/* Not kept: a socket holds its network namespace alive. */
	err = netlink_open(&fd);
	if (!err) {
		err = tables_read(fd, &tables);
		close(fd);
	}
	if (err) {
		log_err("cannot read interfaces and addresses: %s", strerror(-err));
		goto out;
	}
	if (first)
		err = devices_check(interfaces, &tables);
	if (err)
		goto out;
	prefixes_update(interfaces, &tables); /* first: programs ask for it once attached */
	err = watched_update(interfaces, &tables);
out:
	tables_clear(&tables);
	return err;
}

int interfaces_new(const struct settings_list *only, const struct settings_list *excluded,
		   const struct interfaces_ops *ops, struct interfaces **ret_interfaces)
{
	struct interfaces *interfaces = calloc(1, sizeof(*interfaces));

	if (!interfaces)
		return -ENOMEM;
	interfaces->only = only;
	interfaces->excluded = excluded;
	interfaces->ops = *ops;
	*ret_interfaces = interfaces;
	return 0;
}

void interfaces_free(struct interfaces *interfaces)
{
	if (!interfaces)
		return;
	free(interfaces->watched);
	free(interfaces->prefixes);
	free(interfaces);
}

int interfaces_start(struct interfaces *interfaces)
{
	return read_and_report(interfaces, true);
}

int interfaces_refresh(struct interfaces *interfaces)
{
	return read_and_report(interfaces, false);
}

void interfaces_forget(struct interfaces *interfaces)
{
	struct tables none = { 0 };

	watched_update(interfaces, &none);
	prefixes_update(interfaces, &none);
}
