/* SPDX-License-Identifier: GPL-2.0-only */
/* Ties the stage together: what is loaded, what is attached, one stream of records. */
#include "capture/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/param.h>
#include <unistd.h>

#include "capture/attach.h"
#include "capture/changes.h"
#include "capture/loader.h"
#include "capture/namespaces.h"
#include "capture/sweep.h"
#include "capture/taps.h"
#include "config.h"
#include "log.h"
#include "util.h"

/* A CPU that fills in a record now may submit it this much later, behind younger ones. */
#define SLACK_NS (2 * NS_PER_MS)

/* The ring that the daemon itself writes: sweeps and losses. */
#define OWN_RING_BYTES (1u << 20)

struct capture {
	const struct settings *settings;
	struct loader *loader;
	struct taps *taps;
	struct namespaces *namespaces;
	struct merge *merge;
	struct ring *own; /* the merge's */
	int epoll_fd;
	int again_fd; /* an eventfd: there is more to do at once */

	bool prefixes_full;
	bool sampled; /* not every flow was followed, at the last drain */

	struct sweeper sweeper;

	uint64_t lost[RING_NR]; /* told in REC_LOSS so far */
	uint64_t decoded[RING_NR], rejected[RING_NR][REJECT_NR];
	struct drop_reasons reasons;
};

/* What merge hands on, through the counters. */
struct delivery {
	struct capture *capture;
	capture_sink sink;
	void *context;
	uint64_t records, swept; /* of these, those of a sweep */
	bool sweep_ended;
};

static struct rec_hdr header_make(const struct capture *capture, enum rec_type type)
{
	return (struct rec_hdr){
		.type = (__u8)type,
		.version = RECORD_VERSION,
		.netns = loader_netns(capture->loader),
		.ts_ns = clock_read(CLOCK_MONOTONIC),
	};
}

static void leftovers_remove(const struct space *space)
{
	unsigned int removed = 0;
	int err = attach_cleanup(&removed);

	if (err == -EBUSY)
		log_info("another tcpwitness uses clsact in network namespace %s", space->name);
	else if (err)
		log_warn("cannot look for leftover clsact filters: %s", strerror(-err));
	else if (removed > 0)
		log_info("removed %u clsact filters that a crash had left", removed);
}

static void space_tell(struct capture *capture, const struct space *space, enum netns_phase phase)
{
	struct rec_netns record = { .hdr = header_make(capture, REC_NETNS), .phase = phase };

	record.hdr.netns = space->netns;
	memcpy(record.name, space->name, sizeof(record.name) - 1);
	ring_write(capture->own, &record, sizeof(record));
}

static int space_appeared(void *context, const struct space *space)
{
	struct capture *capture = context;

	leftovers_remove(space);
	space_tell(capture, space, NETNS_BEGIN);
	return loader_several(capture->loader) ?
		       loader_namespace(capture->loader, space->netns, true) :
		       0;
}

static void space_gone(void *context, const struct space *space)
{
	struct capture *capture = context;

	taps_drop(capture->taps, space);
	space_tell(capture, space, NETNS_END);
	if (loader_several(capture->loader))
		loader_namespace(capture->loader, space->netns, false);
}

static void interface_appeared(void *context, const struct space *space,
			       const struct interface *interface)
{
	struct capture *capture = context;

	taps_open(capture->taps, space, interface);
}

static void interface_gone(void *context, const struct space *space,
			   const struct interface *interface)
{
	struct capture *capture = context;

	taps_close(capture->taps, space, interface);
}

static void interface_renamed(void *context, const struct space *space,
			      const struct interface *interface)
{
	struct capture *capture = context;

	taps_rename(capture->taps, space, interface);
}

static void space_refreshed(void *context, const struct space *space)
{
	struct capture *capture = context;

	taps_check(capture->taps, space);
}

static void prefix_changed(void *context, const struct space *space,
			   const struct local_prefix *prefix, bool added)
{
	struct capture *capture = context;
	int err = loader_prefix(capture->loader, space->netns, prefix, added);

	if (!err || capture->prefixes_full)
		return;
	if (added && err == -ENOSPC) {
		capture->prefixes_full = true;
		log_warn("more than %d local prefixes: segments to the others that find no socket "
			 "count as transit",
			 LOCAL_PREFIXES_MAX);
	} else {
		log_warn("cannot change the table of local prefixes: %s", strerror(-err));
	}
}

static int ring_add(struct capture *capture, enum rec_ring family, unsigned int cpu)
{
	/* Edge-triggered: records that are left in a ring for their age must not wake us. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int fd = loader_ring_fd(capture->loader, family, cpu);
	struct ring *ring;
	int err = ring_open(fd, loader_ring_bytes(capture->loader, cpu), &ring);

	if (err)
		return err;
	merge_add(capture->merge, ring, family);
	return epoll_ctl(capture->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int rings_open(struct capture *capture)
{
	unsigned int cpus = loader_cpus(capture->loader);
	int err;

	capture->merge = merge_new(2 * (size_t)cpus + 1, SLACK_NS);
	if (!capture->merge)
		return -ENOMEM;
	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		err = ring_add(capture, RING_SEGMENT, cpu);
		if (!err)
			err = ring_add(capture, RING_KERNEL, cpu);
		if (err)
			return err;
	}
	err = ring_open_memory(OWN_RING_BYTES, &capture->own);
	if (!err)
		merge_add(capture->merge, capture->own, CAPTURE_RING_NONE);
	return err;
}

/* An iterator covers the namespace it is made in, and keeps it alive as long as it is open. */
static int iterator_open(void *context, uint32_t index)
{
	const struct capture *capture = context;
	const struct space *space;
	int fd;

	if (index >= namespaces_count(capture->namespaces))
		return -ENOENT;
	space = namespaces_at(capture->namespaces, index);
	if (namespaces_enter(space))
		return -ESRCH;
	fd = loader_iterate(capture->loader);
	namespaces_leave(space);
	return fd;
}

static void sweeper_open(struct capture *capture)
{
	const struct sweeper_ops ops = { capture, iterator_open };

	sweeper_init(&capture->sweeper, &ops, capture->own, loader_netns(capture->loader),
		     capture->settings->sweep_interval_s * NS_PER_SEC);
}

static int interfaces_open(struct capture *capture)
{
	const struct namespaces_ops ops = {
		.context = capture,
		.appeared = space_appeared,
		.gone = space_gone,
		.interface_appeared = interface_appeared,
		.interface_gone = interface_gone,
		.interface_renamed = interface_renamed,
		.prefix = prefix_changed,
		.refreshed = space_refreshed,
	};
	struct epoll_event event = { .events = EPOLLIN };
	int err;

	capture->taps =
		taps_new(capture->loader, (enum capture_mode)capture->settings->capture_mode);
	if (!capture->taps)
		return -ENOMEM;
	err = namespaces_new(capture->settings, &ops, &capture->namespaces);
	if (err)
		return err;
	capture->again_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (capture->again_fd < 0 ||
	    epoll_ctl(capture->epoll_fd, EPOLL_CTL_ADD, capture->again_fd, &event) ||
	    epoll_ctl(capture->epoll_fd, EPOLL_CTL_ADD, namespaces_fd(capture->namespaces), &event))
		return -errno;
	return 0;
}

int capture_new(const struct settings *settings, struct capture **ret_capture)
{
	const struct loader_settings loading = {
		.ring_bytes = (uint32_t)settings->ring_bytes,
		.several = !namespaces_is_own_only(settings),
		.sampling_budget = settings->flood_budget,
		.sampling_total = settings->flood_total,
	};
	struct capture *capture = calloc(1, sizeof(*capture));
	int err;

	if (!capture)
		return -ENOMEM;
	capture->settings = settings;
	sweep_reader_init(&capture->sweeper.reader);
	capture->again_fd = -1;
	capture->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = capture->epoll_fd < 0 ? -errno : loader_new(&loading, &capture->loader);
	if (err)
		goto fail;
	err = rings_open(capture);
	if (err) {
		log_err("cannot open the rings: %s", strerror(-err));
		goto fail;
	}
	sweeper_open(capture);
	err = interfaces_open(capture);
	if (err)
		goto fail;
	kernel_facts_drop_reasons(loader_facts(capture->loader), &capture->reasons);
	*ret_capture = capture;
	return 0;
fail:
	capture_free(capture);
	return err;
}

static void taps_down(struct capture *capture)
{
	for (size_t i = 0; capture->namespaces && i < namespaces_count(capture->namespaces); i++) {
		const struct space *space = namespaces_at(capture->namespaces, i);

		if (namespaces_enter(space)) {
			taps_drop(capture->taps, space);
			continue;
		}
		taps_close_all(capture->taps, space);
		namespaces_leave(space);
	}
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	sweeper_fini(&capture->sweeper);
	taps_down(capture);
	taps_free(capture->taps);
	namespaces_free(capture->namespaces);
	merge_free(capture->merge);
	loader_free(capture->loader);
	if (capture->again_fd >= 0)
		close(capture->again_fd);
	if (capture->epoll_fd >= 0)
		close(capture->epoll_fd);
	free(capture);
}

int capture_start(struct capture *capture)
{
	int err;

	err = loader_attach(capture->loader);
	if (!err)
		err = namespaces_start(capture->namespaces);
	/* Nothing is recorded yet that could wait: all at once. */
	while (!err && taps_attach_next(capture->taps))
		;
	if (!err && capture->settings->devices.count > 0)
		err = taps_last_error(capture->taps);
	if (err)
		return err;
	if (taps_count(capture->taps) == 0)
		log_warn("no interface is watched yet: none is up with a local address");
	loader_log_lacks(capture->loader);
	capture_sweep(capture);
	return 0;
}

int capture_fd(const struct capture *capture)
{
	return capture->epoll_fd;
}

bool capture_want_wake(const struct capture *capture, bool wanted)
{
	loader_want_wake(capture->loader, wanted);
	return !wanted || merge_is_empty(capture->merge);
}

unsigned int capture_fill(const struct capture *capture)
{
	return merge_fill(capture->merge);
}

bool capture_is_busy(const struct capture *capture, uint64_t now_ns)
{
	return capture->sampled || sweeper_is_busy(&capture->sweeper) ||
	       namespaces_is_busy(capture->namespaces, now_ns);
}

/* Tells of new losses. Returns whether there were any, or -errno. */
static int losses_tell(struct capture *capture)
{
	struct total_counters totals;
	int told = 0;
	int err = loader_totals(capture->loader, &totals);

	for (uint32_t ring = 0; !err && ring < RING_NR; ring++) {
		struct rec_loss loss = { .lost = totals.lost[ring] - capture->lost[ring],
					 .ring = ring };

		if (!loss.lost)
			continue;
		loss.hdr = header_make(capture, REC_LOSS);
		err = ring_write(capture->own, &loss, sizeof(loss));
		capture->lost[ring] = totals.lost[ring];
		sweeper_want(&capture->sweeper);
		told = 1;
	}
	return err ? err : told;
}

/* What woke us is looked at in any case; here it is only taken from the list. */
static int events_take(struct capture *capture, uint64_t now_ns)
{
	struct epoll_event events[32];
	eventfd_t again;
	int err;

	epoll_wait(capture->epoll_fd, events, ARRAY_SIZE(events), 0);
	eventfd_read(capture->again_fd, &again);
	err = namespaces_turn(capture->namespaces, now_ns);
	if (taps_attach_next(capture->taps))
		eventfd_write(capture->again_fd, 1);
	return err;
}

/* The daemon's own records are well-formed. */
static void note_own(struct delivery *delivery, const void *bytes)
{
	const struct rec_sweep *record = bytes;

	if (record->hdr.type == REC_SOCKET)
		delivery->swept++;
	if (record->hdr.type == REC_SWEEP && record->phase == SWEEP_END)
		delivery->sweep_ended = true;
}

static void deliver(void *context, const struct merged_record *records, size_t count)
{
	struct delivery *delivery = context;
	struct capture *capture = delivery->capture;
	uint8_t verdicts[MERGE_BATCH];

	delivery->sink(delivery->context, records, count, verdicts);
	delivery->records += count;
	for (size_t i = 0; i < count; i++) {
		uint32_t family = records[i].family;

		if (family == CAPTURE_RING_NONE)
			note_own(delivery, records[i].bytes);
		else if (verdicts[i] == 0)
			capture->decoded[family]++;
		else
			capture->rejected[family][verdicts[i] - 1]++;
	}
}

/* While a sweep is under way its records' share of the round is a part of what it costs. */
static void drain(struct delivery *delivery, uint64_t now_ns, bool flush)
{
	struct capture *capture = delivery->capture;
	uint64_t cpu_ns;

	if (!sweeper_is_busy(&capture->sweeper)) {
		merge_drain(capture->merge, now_ns, flush, deliver, delivery);
		return;
	}
	cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID);
	merge_drain(capture->merge, now_ns, flush, deliver, delivery);
	cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	if (delivery->records)
		sweeper_charge(&capture->sweeper, cpu_ns * delivery->swept / delivery->records,
			       delivery->sweep_ended);
}

/* When a flood is over, a sweep finds the connections that nobody followed. */
static void sampling_watch(struct capture *capture, uint64_t now_ns)
{
	bool sampled;

	sampling_maps_pass_time(loader_sampling(capture->loader), now_ns);
	sampled = capture_sampled(capture);
	if (capture->sampled && !sampled)
		sweeper_want(&capture->sweeper);
	capture->sampled = sampled;
}

int capture_drain(struct capture *capture, uint64_t now_ns, bool flush, capture_sink sink,
		  void *context)
{
	struct delivery delivery = { .capture = capture, .sink = sink, .context = context };
	int err = events_take(capture, now_ns);
	int losing = losses_tell(capture);
	int swept = flush ? 0 : sweeper_step(&capture->sweeper, now_ns, losing != 0);

	sampling_watch(capture, now_ns);
	/* What failed above is no reason to leave the records where they are. */
	drain(&delivery, now_ns, flush);
	if (!err)
		err = losing < 0 ? losing : swept;
	return err;
}

int capture_look(struct capture *capture, const struct conn_key *key, uint32_t ifindex,
		 struct rec_socket *ret_look)
{
	const struct space *space = namespaces_find(capture->namespaces, key->netns);
	int err;

	if (!space)
		return -ESRCH; /* it has ended, and every socket in it */
	err = loader_look(capture->loader, key, space->nsid, ifindex, ret_look);
	/* What is bound to an interface is found by one of that number; ours may have none such. */
	if (err || ret_look->snapshot.state || !ifindex || space->nsid == NSID_OWN)
		return err;
	if (namespaces_enter(space))
		return 0;
	err = loader_look(capture->loader, key, NSID_OWN, ifindex, ret_look);
	namespaces_leave(space);
	return err;
}

void capture_sweep(struct capture *capture)
{
	sweeper_want(&capture->sweeper);
}

int capture_stats(struct capture *capture, struct capture_stats *stats)
{
	int err;

	memset(stats, 0, sizeof(*stats));
	err = loader_totals(capture->loader, &stats->totals);
	for (uint32_t ring = 0; ring < RING_NR; ring++) {
		const struct merge_stats *merged = merge_stats(capture->merge, ring);

		stats->attempted[ring] = stats->totals.attempted[ring];
		stats->lost[ring] = stats->totals.lost[ring];
		stats->pending[ring] = merge_pending(capture->merge, ring);
		stats->decoded[ring] = capture->decoded[ring];
		memcpy(stats->rejected[ring], capture->rejected[ring],
		       sizeof(stats->rejected[ring]));
		stats->late[ring] = merged->late;
		stats->last_record_ns[ring] = merged->last_record_ns;
		stats->lag_ns[ring] = merged->lag_ns;
	}
	stats->sweeps = capture->sweeper.stats;
	stats->sampling.budget = capture->settings->flood_budget;
	stats->sampling.total = capture->settings->flood_total;
	sampling_maps_read(loader_sampling(capture->loader), &stats->sampling);
	stats->nr_losses = loader_losses(capture->loader, stats->losses, LOSS_ROWS_MAX);
	stats->nr_programs = loader_tracepoints(capture->loader, stats->programs, PROGRAMS_MAX);
	stats->nr_costs = loader_costs(capture->loader, stats->costs, PROGRAMS_MAX);
	for (size_t i = 0; i < namespaces_count(capture->namespaces); i++) {
		const struct space *space = namespaces_at(capture->namespaces, i);
		struct space_row *row = &stats->spaces[stats->nr_spaces++];

		row->netns = space->netns;
		strcpy(row->name, space->name);
	}
	return err ? err : taps_stats(capture->taps, stats);
}

const struct listener_maps *capture_listeners(const struct capture *capture)
{
	return loader_listeners(capture->loader);
}

size_t capture_spaces(const struct capture *capture, uint32_t *ret_netns, size_t max)
{
	size_t count = MIN(namespaces_count(capture->namespaces), max);

	for (size_t i = 0; i < count; i++)
		ret_netns[i] = namespaces_at(capture->namespaces, i)->netns;
	return count;
}

int capture_inside(const struct capture *capture, uint32_t netns, void (*visit)(void *context),
		   void *context)
{
	const struct space *space = namespaces_find(capture->namespaces, netns);
	int err = space ? namespaces_enter(space) : -ESRCH;

	if (err)
		return err;
	visit(context);
	namespaces_leave(space);
	return 0;
}

uint32_t capture_sampling_shift(const struct capture *capture, const struct conn_key *listener)
{
	const struct sampling_site site = { .netns = listener->netns,
					    .port = listener->local_port };

	return sampling_maps_shift(loader_sampling(capture->loader), &site);
}

uint64_t capture_lost(const struct capture *capture, enum rec_ring family)
{
	return capture->lost[family];
}

uint32_t capture_sampled(const struct capture *capture)
{
	return sampling_maps_active(loader_sampling(capture->loader));
}

uint32_t capture_netns(const struct capture *capture)
{
	return loader_netns(capture->loader);
}

const struct drop_reasons *capture_drop_reasons(const struct capture *capture)
{
	return &capture->reasons;
}
