/* SPDX-License-Identifier: GPL-2.0-only */
/* Namespaces' counters and sockets' owners, a little at a time: see listening.h. */
#include "cli/listening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "capture/diag.h"
#include "listen/owners.h"
#include "listen/spaces.h"
#include "log.h"
#include "util.h"

/* A namespace is read again after this time, and when somebody asks; so many are at one turn. Its
 * /proc/net/netstat costs the kernel a walk over all counters of all CPUs. */
#define SPACE_AGE_NS (10 * NS_PER_SEC)
/* Where there are more than that, it must be older than this to be read for who asks. */
#define SPACE_AGE_ASKED_NS NS_PER_SEC
#define SPACES_PER_TURN 4

/* Owners are sought so often where some are missing: a read of a link takes about 1 us. */
#define OWNERS_EVERY_NS (10 * NS_PER_SEC)
#define LINKS_PER_TURN 1000

struct listening {
	struct capture *capture;
	struct pipeline *pipeline;
	struct listen_spaces spaces;
	struct owner_search *search;
	uint64_t sought_ns; /* when owners were last asked for; 0 = not before the first sweep */
	uint64_t now_ns;
	bool seeded, no_diag;
	bool spaces_due; /* more than one turn reads */
};

struct listening *listening_new(struct capture *capture, struct pipeline *pipeline)
{
	struct listening *listening = calloc(1, sizeof(*listening));

	if (!listening)
		return NULL;
	listening->capture = capture;
	listening->pipeline = pipeline;
	listening->search = owner_search_new();
	if (listening->search)
		return listening;
	free(listening);
	return NULL;
}

void listening_free(struct listening *listening)
{
	if (!listening)
		return;
	owner_search_free(listening->search);
	free(listening);
}

/* ---- namespaces ---- */

void listening_begin(struct listening *listening)
{
	listen_spaces_add(&listening->spaces, capture_netns(listening->capture));
}

struct visit {
	struct listening *listening;
	uint32_t netns;
	struct listener_counters sum;
	int err;
};

static void read_space(void *context)
{
	const struct visit *visit = context;
	struct listen_spaces *spaces = &visit->listening->spaces;
	struct listen_space *space = listen_spaces_find(spaces, visit->netns);

	if (!space)
		space = listen_spaces_add(spaces, visit->netns);
	if (space)
		listen_space_read(space, &visit->sum, visit->listening->now_ns);
}

static bool is_due(struct listening *listening, uint32_t netns, uint64_t age_ns)
{
	const struct listen_space *space = listen_spaces_find(&listening->spaces, netns);

	return !space || listening->now_ns - space->read_ns >= age_ns;
}

static void read_spaces(struct listening *listening, uint64_t age_ns)
{
	uint32_t all[NAMESPACES_MAX];
	size_t count = capture_spaces(listening->capture, all, NAMESPACES_MAX), due = 0;

	for (size_t i = 0; i < count && due <= SPACES_PER_TURN; i++) {
		struct visit visit = { .listening = listening, .netns = all[i] };

		if (!is_due(listening, all[i], age_ns) || ++due > SPACES_PER_TURN)
			continue;
		listeners_sum(listening->pipeline->listeners, all[i], &visit.sum);
		capture_inside(listening->capture, all[i], read_space, &visit);
	}
	listening->spaces_due = due > SPACES_PER_TURN;
}

void listening_forget(struct listening *listening, uint32_t netns)
{
	listen_spaces_remove(&listening->spaces, netns);
}

void listening_fill(struct listening *listening, struct export_view *view)
{
	read_spaces(listening, view->capture.nr_spaces > SPACES_PER_TURN ? SPACE_AGE_ASKED_NS : 0);
	view->syn_queue_test = listeners_syn_queue_test(listening->pipeline->listeners);
	for (uint32_t i = 0; i < view->capture.nr_spaces; i++) {
		const struct listen_space *space =
			listen_spaces_find(&listening->spaces, view->capture.spaces[i].netns);
		struct listen_view *listen = &view->listens[i];

		*listen = (struct listen_view){ 0 };
		if (!space)
			continue;
		listen->sysctls = space->sysctls;
		memcpy(listen->unexplained, space->unexplained, sizeof(listen->unexplained));
	}
}

/* ---- owners ---- */

void listening_seeded(struct listening *listening)
{
	listening->seeded = true;
}

static void want(void *context, const struct diag_socket *socket)
{
	const struct visit *visit = context;

	if (listeners_seek_owner(visit->listening->pipeline->listeners, socket->cookie))
		owner_search_want(visit->listening->search, socket, visit->netns);
}

static void ask_space(void *context)
{
	struct visit *visit = context;

	visit->err = diag_listening(want, visit);
}

static void seek(struct listening *listening)
{
	uint32_t all[NAMESPACES_MAX];
	size_t count = capture_spaces(listening->capture, all, NAMESPACES_MAX);

	for (size_t i = 0; i < count && !listening->no_diag; i++) {
		struct visit visit = { .listening = listening, .netns = all[i] };

		if (!listeners_ownerless(listening->pipeline->listeners, all[i]))
			continue;
		capture_inside(listening->capture, all[i], ask_space, &visit);
		listening->no_diag = visit.err == -EOPNOTSUPP;
	}
	if (listening->no_diag)
		log_warn("this kernel has no tcp_diag: owners of older listeners stay unknown");
}

static bool is_mapped(const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, mapped, sizeof(mapped));
}

static void tell_owner(void *context, const struct owner_found *owner)
{
	struct listening *listening = context;
	const struct diag_socket *socket = &owner->socket;
	bool ipv6 = !is_mapped(socket->local_address);
	struct {
		struct rec_listen head;
		uint8_t addresses[32];
	} record = {
		.head = {
			.hdr = { .type = REC_LISTEN,
				 .version = RECORD_VERSION,
				 .flags = ipv6 ? REC_F_IPV6 : 0,
				 .netns = owner->netns,
				 .ts_ns = listening->now_ns },
			.cookie = socket->cookie,
			.cgroup_id = socket->cgroup_id,
			.pid = owner->pid,
			.accept_limit = socket->accept_limit,
			.local_port = socket->local_port,
		},
	};
	size_t size = sizeof(record.head) + (ipv6 ? 32 : 8);

	memcpy(record.head.comm, owner->comm, sizeof(record.head.comm));
	memcpy(record.addresses, socket->local_address + (ipv6 ? 0 : 12), ipv6 ? 16 : 4);
	pipeline_feed(listening->pipeline, &record, size, RING_NR);
}

static void seek_owners(struct listening *listening)
{
	if (owner_search_busy(listening->search)) {
		owner_search_step(listening->search, LINKS_PER_TURN, tell_owner, listening);
		return;
	}
	if (!listening->seeded ||
	    (listening->sought_ns && listening->now_ns - listening->sought_ns < OWNERS_EVERY_NS))
		return;
	listening->sought_ns = listening->now_ns;
	seek(listening);
}

void listening_turn(struct listening *listening, uint64_t now_ns)
{
	listening->now_ns = now_ns;
	read_spaces(listening, SPACE_AGE_NS);
	seek_owners(listening);
}

bool listening_is_busy(const struct listening *listening)
{
	return listening->spaces_due || owner_search_busy(listening->search);
}
