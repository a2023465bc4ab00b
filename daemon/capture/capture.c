/* SPDX-License-Identifier: GPL-2.0-only */
/* Ties the stage together: what is loaded, what is attached, one stream of records. */
#include "capture/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "capture/attach.h"
#include "capture/interfaces.h"
#include "capture/loader.h"
#include "capture/merge.h"
#include "capture/sweep.h"
#include "config.h"
#include "log.h"
#include "util.h"

/* A CPU that fills in a record now may submit it this much later, behind younger ones. */
#define SLACK_NS (2 * NS_PER_MS)

/* The ring that the daemon itself writes: sweeps and losses. */
#define OWN_RING_BYTES (1u << 20)

#define EPOLL_RING 0u
#define EPOLL_INTERFACES 1u

struct watched {
	struct interface interface;
	struct attachment attachment;
};

struct capture {
	const struct settings *settings;
	struct loader *loader;
	struct attacher *attacher;
	struct interfaces *interfaces;
	struct merge *merge;
	struct ring *own; /* the merge's */
	int epoll_fd;

	struct watched watched[INTERFACES_MAX];
	uint32_t nr_watched;
	uint64_t seen[SEGMENT_SLOT_WORDS]; /* slots of `segments` that may hold something */
	int attach_err;			   /* the last failure to attach an interface */
	bool prefixes_full;

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

static void interface_appeared(void *context, const struct interface *interface)
{
	struct capture *capture = context;
	struct watched *watched = &capture->watched[capture->nr_watched];
	uint32_t slot = interface->ifindex;
	int err = -E2BIG;

	if (capture->nr_watched < INTERFACES_MAX)
		err = attacher_attach(capture->attacher, interface, &watched->attachment);
	else
		log_warn("%s: not watched: more than %d interfaces", interface->name,
			 INTERFACES_MAX);
	if (err) {
		capture->attach_err = err;
		return;
	}
	watched->interface = *interface;
	capture->nr_watched++;
	if (slot >= SEGMENT_COUNTERS_MAX)
		slot = SEGMENT_COUNTERS_MAX - 1;
	capture->seen[slot / 64] |= 1ull << (slot % 64);
}

static void interface_gone(void *context, const struct interface *interface)
{
	struct capture *capture = context;

	for (uint32_t i = 0; i < capture->nr_watched; i++) {
		struct watched *watched = &capture->watched[i];

		if (watched->interface.ifindex != interface->ifindex)
			continue;
		attacher_detach(&watched->attachment);
		*watched = capture->watched[--capture->nr_watched];
		log_info("%s: no longer watched", interface->name);
		return;
	}
}

static void prefix_changed(void *context, const struct local_prefix *prefix, bool added)
{
	struct capture *capture = context;
	int err = loader_prefix(capture->loader, prefix, added);

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
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u32 = EPOLL_RING };
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

/* One namespace is watched: that of the daemon. */
static int iterator_open(void *context, uint32_t index)
{
	const struct capture *capture = context;

	return index == 0 ? loader_iterate(capture->loader) : -ENOENT;
}

static void sweeper_open(struct capture *capture)
{
	const struct sweeper_ops ops = { capture, iterator_open };

	sweeper_init(&capture->sweeper, &ops, capture->own, loader_netns(capture->loader),
		     capture->settings->sweep_interval_s * NS_PER_SEC);
}

static int interfaces_open(struct capture *capture)
{
	const struct interfaces_ops ops = {
		.context = capture,
		.appeared = interface_appeared,
		.gone = interface_gone,
		.prefix = prefix_changed,
	};
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = EPOLL_INTERFACES };
	struct attach_programs programs;
	int err;

	loader_hooks(capture->loader, &programs);
	capture->attacher =
		attacher_new(&programs, (enum capture_mode)capture->settings->capture_mode);
	if (!capture->attacher)
		return -ENOMEM;
	err = interfaces_new(&capture->settings->devices, &capture->settings->devices_excluded,
			     &ops, &capture->interfaces);
	if (err)
		return err;
	if (epoll_ctl(capture->epoll_fd, EPOLL_CTL_ADD, interfaces_fd(capture->interfaces), &event))
		return -errno;
	return 0;
}

int capture_new(const struct settings *settings, struct capture **ret_capture)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int err;

	if (!capture)
		return -ENOMEM;
	capture->settings = settings;
	capture->sweeper.fd = -1;
	capture->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = capture->epoll_fd < 0 ? -errno :
				      loader_new((uint32_t)settings->ring_bytes, &capture->loader);
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

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	for (uint32_t i = 0; i < capture->nr_watched; i++)
		attacher_detach(&capture->watched[i].attachment);
	sweeper_fini(&capture->sweeper);
	interfaces_free(capture->interfaces);
	attacher_free(capture->attacher);
	merge_free(capture->merge);
	loader_free(capture->loader);
	if (capture->epoll_fd >= 0)
		close(capture->epoll_fd);
	free(capture);
}

static void leftovers_remove(void)
{
	unsigned int removed = 0;
	int err = attach_cleanup(&removed);

	if (err == -EBUSY)
		log_info("another tcpwitness uses clsact in this network namespace");
	else if (err)
		log_warn("cannot look for leftover clsact filters: %s", strerror(-err));
	else if (removed > 0)
		log_info("removed %u clsact filters that a crash had left", removed);
}

int capture_start(struct capture *capture)
{
	int err;

	leftovers_remove();
	err = loader_attach(capture->loader);
	if (!err)
		err = interfaces_start(capture->interfaces);
	if (!err && capture->settings->devices.count > 0)
		err = capture->attach_err;
	if (err)
		return err;
	if (capture->nr_watched == 0)
		log_warn("no interface is watched yet: none is up with a local address");
	capture_sweep(capture);
	return 0;
}

int capture_fd(const struct capture *capture)
{
	return capture->epoll_fd;
}

static struct rec_hdr header_make(const struct capture *capture, enum rec_type type)
{
	return (struct rec_hdr){
		.type = (__u8)type,
		.version = RECORD_VERSION,
		.netns = loader_netns(capture->loader),
		.ts_ns = clock_read(CLOCK_MONOTONIC),
	};
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

static int events_take(struct capture *capture)
{
	struct epoll_event events[32];
	int count = epoll_wait(capture->epoll_fd, events, ARRAY_SIZE(events), 0);
	int err = 0;

	for (int i = 0; i < count; i++)
		if (events[i].data.u32 == EPOLL_INTERFACES)
			err = interfaces_handle(capture->interfaces);
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

static void deliver(void *context, const void *bytes, size_t size, uint32_t family)
{
	struct delivery *delivery = context;
	struct capture *capture = delivery->capture;
	int verdict = delivery->sink(delivery->context, bytes, size, family);

	delivery->records++;
	if (family == CAPTURE_RING_NONE) {
		note_own(delivery, bytes);
		return;
	}
	if (verdict == 0)
		capture->decoded[family]++;
	else
		capture->rejected[family][verdict - 1]++;
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

int capture_drain(struct capture *capture, uint64_t now_ns, bool flush, capture_sink sink,
		  void *context)
{
	struct delivery delivery = { .capture = capture, .sink = sink, .context = context };
	int err = events_take(capture);
	int losing = losses_tell(capture);
	int swept = flush ? 0 : sweeper_step(&capture->sweeper, now_ns, losing != 0);

	/* What failed above is no reason to leave the records where they are. */
	drain(&delivery, now_ns, flush);
	if (!err)
		err = losing < 0 ? losing : swept;
	return err;
}

int capture_look(struct capture *capture, const struct conn_key *key, struct rec_socket *ret_look)
{
	return loader_look(capture->loader, key, ret_look);
}

void capture_sweep(struct capture *capture)
{
	sweeper_want(&capture->sweeper);
}

static const char *hook_program(const struct attachment *attachment, int direction)
{
	enum hook_mode mode = attachment->hooks[direction].mode;

	if (mode == MODE_XDP_NATIVE || mode == MODE_XDP_GENERIC)
		return "xdp_ingress";
	if (direction == ATTACH_INGRESS)
		return attachment->bare_ip ? "tc_ingress_ip" : "tc_ingress_eth";
	return attachment->bare_ip ? "tc_egress_ip" : "tc_egress_eth";
}

static void hooks_list(const struct capture *capture, struct capture_stats *stats)
{
	for (uint32_t i = 0; i < capture->nr_watched; i++) {
		const struct watched *watched = &capture->watched[i];

		for (int direction = 0; direction < ATTACH_DIRECTIONS; direction++) {
			struct interface_row *row = &stats->interfaces[stats->nr_interfaces++];
			struct program_row *program = &stats->programs[stats->nr_programs++];

			strcpy(row->interface, watched->interface.name);
			strcpy(row->hook, direction == ATTACH_INGRESS ? "ingress" : "egress");
			strcpy(row->mode,
			       hook_mode_name(watched->attachment.hooks[direction].mode));
			strcpy(program->program, hook_program(&watched->attachment, direction));
			strcpy(program->interface, watched->interface.name);
			program->attached = 1;
		}
	}
}

int capture_stats(struct capture *capture, struct capture_stats *stats)
{
	int err;

	memset(stats, 0, sizeof(*stats));
	err = loader_totals(capture->loader, &stats->totals);
	if (!err)
		err = loader_segments(capture->loader, capture->seen, &stats->segments);
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
	stats->nr_losses = loader_losses(capture->loader, stats->losses, LOSS_ROWS_MAX);
	stats->nr_programs = loader_tracepoints(capture->loader, stats->programs, PROGRAMS_MAX);
	stats->nr_costs = loader_costs(capture->loader, stats->costs, PROGRAMS_MAX);
	hooks_list(capture, stats);
	return err;
}

int capture_listener_get(struct capture *capture, uint64_t cookie,
			 struct listener_counters *ret_counters)
{
	return loader_listener(capture->loader, cookie, ret_counters);
}

int capture_listener_delete(struct capture *capture, uint64_t cookie)
{
	return loader_listener_delete(capture->loader, cookie);
}

uint32_t capture_netns(const struct capture *capture)
{
	return loader_netns(capture->loader);
}

const struct drop_reasons *capture_drop_reasons(const struct capture *capture)
{
	return &capture->reasons;
}
