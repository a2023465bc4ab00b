/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How fast user space is by itself: made-up records of whole connections through
 * merge → decode → listen and track → compare → history, while so many connections are live.
 *
 *	bench_pipeline [--live=N] [--rounds=N] [--records=N] [--stage=merge|decode|all]
 *
 * A connection is what the daemon sees of one that a client opens, uses and closes: six segments
 * and four state changes. 64 of them are under way at any time; those that close are any of the
 * live ones, so that with many of them every close begins with cold memory. Records lie in
 * per-CPU rings, as many as 20 ms of 600,000 a second; writing them is not measured, only what
 * the daemon's thread does. One JSON line; cache misses are null where the machine does not count
 * them.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/merge.h"
#include "cli/pipeline.h"
#include "tcp_defs.h"
#include "util.h"

#define CPUS 2
#define RING_BYTES (1u << 20)
#define BATCH 12000u	      /* records that one turn of the loop finds */
#define RECORD_NS 1600u	      /* between two of them */
#define SLACK_NS NS_PER_MS    /* the youngest of a batch is older than that */
#define WORKERS 64u	      /* connections under way at a time */
#define FLOWS_MAX (1u << 20)  /* as --flows.max */
#define HISTORY_EVENTS 65536u /* as --history.events */
#define ROUNDS_MAX 64
#define LISTENER_COOKIE 5
#define NETNS 1

enum stage {
	STAGE_MERGE,
	STAGE_DECODE,
	STAGE_ALL,
	STAGE_NR
};

static const char *const stage_names[STAGE_NR] = { "merge", "decode", "all" };

struct options {
	uint32_t live, rounds;
	uint64_t records; /* a round */
	enum stage stage;
};

/* What one connection's records are, in order: it opens in OPEN_STEPS and closes in the rest. */
static const struct step {
	bool is_state; /* a state change; else a segment */
	bool sent;
	uint8_t flags;	  /* of a segment */
	uint8_t from, to; /* a segment finds its socket in `from` */
	uint32_t seq, ack, rcv_nxt, snd_una,
		snd_nxt; /* from the initial ones; the peer's: its own */
} steps[] = {
	{ .flags = TCPF_SYN, .from = KS_LISTEN },
	{ .sent = true, .flags = TCPF_SYN | TCPF_ACK, .from = KS_NEW_SYN_RECV, .ack = 1 },
	{ .flags = TCPF_ACK, .from = KS_NEW_SYN_RECV, .seq = 1, .ack = 1 },
	{ true, .from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 1, .snd_una = 1,
	  .snd_nxt = 1 },
#define OPEN_STEPS 4
	{ .flags = TCPF_FIN | TCPF_ACK,
	  .from = KS_ESTABLISHED,
	  .seq = 101,
	  .ack = 1001,
	  .rcv_nxt = 101,
	  .snd_una = 1001,
	  .snd_nxt = 1001 },
	{ true, .from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .rcv_nxt = 102, .snd_una = 1001,
	  .snd_nxt = 1001 },
	{ true, .from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .rcv_nxt = 102, .snd_una = 1001,
	  .snd_nxt = 1001 },
	{ .sent = true,
	  .flags = TCPF_FIN | TCPF_ACK,
	  .from = KS_LAST_ACK,
	  .seq = 1001,
	  .ack = 102,
	  .rcv_nxt = 102,
	  .snd_una = 1001,
	  .snd_nxt = 1002 },
	{ .flags = TCPF_ACK,
	  .from = KS_LAST_ACK,
	  .seq = 102,
	  .ack = 1002,
	  .rcv_nxt = 102,
	  .snd_una = 1001,
	  .snd_nxt = 1002 },
	{ true, .from = KS_LAST_ACK, .to = KS_CLOSE, .rcv_nxt = 102, .snd_una = 1002,
	  .snd_nxt = 1002 },
};

#define STEPS ((uint32_t)ARRAY_SIZE(steps))

/* One at a time closes the connection of its place, then opens a new one there. */
struct worker {
	uint32_t place;
	uint32_t step; /* STEPS: it looks for a place */
};

struct bench {
	struct options options;
	struct pipeline pipeline;
	struct merge *merge;
	struct ring *rings[CPUS][RING_NR];
	struct drop_reasons reasons;
	uint32_t *places; /* serial numbers of the connections that live */
	struct worker workers[WORKERS];
	uint64_t now_ns, random;
	uint32_t serial; /* of the newest connection */
	uint64_t opened, closed, rejected, taken, looks, sum;
};

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* --- making records --- */

struct ends {
	uint8_t addresses[8];
	uint16_t port;
	uint32_t isn, peer_isn;
};

static struct ends ends_of(uint32_t serial)
{
	uint32_t host = serial / 60000;
	uint64_t isns = mix(serial);

	return (struct ends){
		.addresses = { 192, 0, 2, 1, 10, (uint8_t)(host >> 16), (uint8_t)(host >> 8),
			       (uint8_t)host },
		.port = (uint16_t)(1024 + serial % 60000),
		.isn = (uint32_t)isns,
		.peer_isn = (uint32_t)(isns >> 32),
	};
}

static struct rec_hdr header(const struct bench *bench, enum rec_type type, bool sent)
{
	return (struct rec_hdr){
		.type = (uint8_t)type,
		.version = RECORD_VERSION,
		.flags = sent ? REC_F_SENT : 0,
		.netns = NETNS,
		.ts_ns = bench->now_ns,
	};
}

static void put(struct bench *bench, uint32_t cpu, enum rec_ring ring, const void *record,
		size_t size)
{
	if (ring_write(bench->rings[cpu][ring], record, size)) {
		fputs("bench_pipeline: a batch has no room in its rings\n", stderr);
		exit(1);
	}
}

static void fill_snapshot(struct rec_snapshot *snapshot, const struct step *step,
			  const struct ends *ends, uint32_t serial)
{
	snapshot->state = step->from;
	snapshot->bits = SNAP_LOOKED;
	snapshot->cookie = step->from == KS_LISTEN ? LISTENER_COOKIE : serial + 1000;
	if (step->from == KS_LISTEN || step->from == KS_NEW_SYN_RECV) {
		snapshot->bits |= SNAP_QUEUES;
		snapshot->queues.accept_limit = 4096;
		snapshot->queues.syn_length = step->from == KS_NEW_SYN_RECV;
		return;
	}
	snapshot->vars.rcv_nxt = ends->peer_isn + step->rcv_nxt;
	snapshot->vars.snd_una = ends->isn + step->snd_una;
	snapshot->vars.snd_nxt = ends->isn + step->snd_nxt;
	snapshot->vars.write_seq = snapshot->vars.snd_nxt;
}

static void put_segment(struct bench *bench, uint32_t cpu, const struct step *step, uint32_t serial)
{
	uint64_t room[REC_SIZE_V4(rec_segment) / 8] = { 0 };
	struct rec_segment *rec = (struct rec_segment *)room;
	struct ends ends = ends_of(serial);
	bool syn = step->flags & TCPF_SYN;

	rec->hdr = header(bench, REC_SEGMENT, step->sent);
	fill_snapshot(&rec->snapshot, step, &ends, serial);
	rec->ifindex = 2;
	rec->local_port = 443;
	rec->remote_port = ends.port;
	rec->seq = (step->sent ? ends.isn : ends.peer_isn) + step->seq;
	if (step->flags & TCPF_ACK)
		rec->ack = (step->sent ? ends.peer_isn : ends.isn) + step->ack;
	rec->window = 64240;
	rec->ip_id = (uint16_t)(serial + step->seq);
	rec->gso_segs = 1;
	rec->mss = syn ? 1460 : 0;
	rec->wscale = syn ? 7 : 0;
	rec->options = TCPO_TIMESTAMP | (syn ? TCPO_MSS | TCPO_WSCALE | TCPO_SACK_PERMITTED : 0);
	rec->tsval = rec->tsecr = (uint32_t)(bench->now_ns / NS_PER_MS);
	rec->tcp_flags = step->flags;
	rec->hook = step->sent ? HOOK_TC_EGRESS : HOOK_TC_INGRESS;
	memcpy(rec->addresses, ends.addresses, sizeof(ends.addresses));
	put(bench, cpu, RING_SEGMENT, rec, REC_SIZE_V4(rec_segment));
}

static void put_state(struct bench *bench, uint32_t cpu, const struct step *step, uint32_t serial)
{
	uint64_t room[REC_SIZE_V4(rec_state) / 8] = { 0 };
	struct rec_state *rec = (struct rec_state *)room;
	struct ends ends = ends_of(serial);

	rec->hdr = header(bench, REC_STATE, false);
	rec->cookie = serial + 1000;
	rec->rcv_nxt = ends.peer_isn + step->rcv_nxt;
	rec->snd_una = ends.isn + step->snd_una;
	rec->snd_nxt = ends.isn + step->snd_nxt;
	rec->write_seq = rec->snd_nxt + (step->to == KS_LAST_ACK);
	rec->local_port = 443;
	rec->remote_port = ends.port;
	rec->old_state = step->from;
	rec->new_state = step->to;
	if (step->rcv_nxt == 102)
		rec->bits = STATE_DONE;
	if (step->to == KS_CLOSE)
		rec->bits |= STATE_DEAD;
	rec->shutdown = step->to == KS_CLOSE_WAIT ? 1 : step->rcv_nxt == 102 ? 3 : 0;
	memcpy(rec->addresses, ends.addresses, sizeof(ends.addresses));
	put(bench, cpu, RING_KERNEL, rec, REC_SIZE_V4(rec_state));
}

static void put_step(struct bench *bench, uint32_t cpu, uint32_t step, uint32_t serial)
{
	bench->now_ns += RECORD_NS;
	(steps[step].is_state ? put_state : put_segment)(bench, cpu, &steps[step], serial);
}

static void put_listener(struct bench *bench)
{
	uint64_t room[REC_SIZE_V4(rec_state) / 8] = { 0 };
	struct rec_state *rec = (struct rec_state *)room;

	rec->hdr = header(bench, REC_STATE, false);
	rec->cookie = LISTENER_COOKIE;
	rec->local_port = 443;
	rec->old_state = KS_CLOSE;
	rec->new_state = KS_LISTEN;
	memcpy(rec->addresses, (uint8_t[]){ 192, 0, 2, 1 }, 4);
	put(bench, 0, RING_KERNEL, rec, REC_SIZE_V4(rec_state));
}

/* A place that no other worker has. */
static uint32_t choose_place(struct bench *bench)
{
	for (;;) {
		uint32_t place =
			(uint32_t)(((mix(++bench->random) >> 32) * bench->options.live) >> 32);
		bool taken = false;

		for (uint32_t i = 0; i < WORKERS; i++)
			taken |= bench->workers[i].step < STEPS && bench->workers[i].place == place;
		if (!taken)
			return place;
	}
}

/* The next record of a worker: close what is in the place, then open there anew. */
static void work(struct bench *bench, uint32_t index)
{
	struct worker *worker = &bench->workers[index];
	uint32_t step;

	if (worker->step == STEPS) {
		worker->place = choose_place(bench);
		worker->step = 0;
	}
	step = (worker->step + OPEN_STEPS) % STEPS;
	if (step == 0)
		bench->places[worker->place] = ++bench->serial;
	put_step(bench, index % CPUS, step, bench->places[worker->place]);
	worker->step++;
	bench->opened += step == OPEN_STEPS - 1;
	bench->closed += step == STEPS - 1;
}

/* --- taking them --- */

static void take(void *context, const struct merged_record *records, size_t count)
{
	struct bench *bench = context;
	struct observation observation;
	uint8_t verdicts[MERGE_BATCH] = { 0 };
	enum reject_reason reason;

	bench->taken += count;
	if (bench->options.stage == STAGE_ALL)
		pipeline_feed_batch(&bench->pipeline, records, count, verdicts);
	for (size_t i = 0; i < count; i++) {
		const struct merged_record *record = &records[i];

		bench->rejected += verdicts[i] != 0;
		if (bench->options.stage == STAGE_MERGE)
			bench->sum += ((const struct rec_hdr *)record->bytes)->type;
		if (bench->options.stage != STAGE_DECODE)
			continue;
		bench->rejected += decode(record->bytes, record->size, &observation, &reason) != 0;
		bench->sum += observation.key.remote_port;
	}
}

static void drain(struct bench *bench)
{
	bench->now_ns += SLACK_NS;
	merge_drain(bench->merge, bench->now_ns, false, take, bench);
	if (bench->options.stage == STAGE_ALL)
		pipeline_tick(&bench->pipeline, bench->now_ns);
}

static int look(void *context, const struct conn_key *key, uint32_t ifindex, struct rec_socket *ret)
{
	struct bench *bench = context;

	(void)key;
	(void)ifindex;
	(void)ret;
	bench->looks++;
	return -EOPNOTSUPP;
}

/* --- measuring --- */

static int open_cache_misses(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CACHE_MISSES,
		.disabled = 1,
		.exclude_kernel = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* Resident bytes of this process. */
static uint64_t resident(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Everything live has opened once; returns the bytes that this took. */
static uint64_t populate(struct bench *bench)
{
	uint64_t before = resident();
	uint32_t batch = BATCH / OPEN_STEPS;

	put_listener(bench);
	for (uint32_t done = 0; done < bench->options.live;) {
		uint32_t first = done, end = MIN(done + batch, bench->options.live);

		for (uint32_t step = 0; step < OPEN_STEPS; step++) {
			for (done = first; done < end; done++) {
				if (step == 0)
					bench->places[done] = ++bench->serial;
				put_step(bench, done % CPUS, step, bench->places[done]);
			}
		}
		drain(bench);
	}
	bench->opened += bench->options.live;
	return resident() - before;
}

/* One round: nanoseconds of this thread's time a record. */
static double measure(struct bench *bench, int misses)
{
	uint64_t begin = bench->taken, spent_ns = 0, start_ns;

	while (bench->taken - begin < bench->options.records) {
		for (uint32_t i = 0; i < BATCH; i++)
			work(bench, i % WORKERS);
		if (misses >= 0)
			ioctl(misses, PERF_EVENT_IOC_ENABLE, 0);
		start_ns = clock_read(CLOCK_THREAD_CPUTIME_ID);
		drain(bench);
		spent_ns += clock_read(CLOCK_THREAD_CPUTIME_ID) - start_ns;
		if (misses >= 0)
			ioctl(misses, PERF_EVENT_IOC_DISABLE, 0);
	}
	return (double)spent_ns / (double)(bench->taken - begin);
}

/* Did the daemon see what was done, and nothing else? */
static bool is_right(const struct bench *bench)
{
	const struct tracker_stats *stats;
	uint64_t odd = bench->rejected + bench->looks, ended = 0;

	if (bench->options.stage != STAGE_ALL)
		return !bench->rejected;
	stats = tracker_stats(bench->pipeline.tracker);
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		odd += stats->divergences[kind];
	for (int why = 0; why < UNOBSERVABLE_NR; why++)
		odd += stats->unobservable[why];
	for (int how = 0; how < END_NR; how++)
		ended += stats->closed[ROLE_SERVER][how];
	if (!odd && stats->opened[ROLE_SERVER] == bench->opened && ended == bench->closed)
		return true;
	fprintf(stderr,
		"bench_pipeline: opened %llu of %llu, closed %llu of %llu, %llu records rejected, "
		"%llu looks, %llu oddities\n",
		(unsigned long long)stats->opened[ROLE_SERVER], (unsigned long long)bench->opened,
		(unsigned long long)ended, (unsigned long long)bench->closed,
		(unsigned long long)bench->rejected, (unsigned long long)bench->looks,
		(unsigned long long)odd);
	return false;
}

static void run(struct bench *bench)
{
	const struct options *options = &bench->options;
	double ns[ROUNDS_MAX];
	uint64_t bytes, begin, count = 0;
	int misses = open_cache_misses();

	bytes = populate(bench);
	for (uint32_t i = 0; i < WORKERS; i++)
		bench->workers[i] = (struct worker){ .step = STEPS };
	measure(bench, -1); /* warm up: the rings' pages, the code, the clock's first deadlines */
	begin = bench->taken;
	for (uint32_t i = 0; i < options->rounds; i++)
		ns[i] = measure(bench, misses);
	printf("{\"bench\":\"pipeline\",\"stage\":\"%s\",\"live\":%u,\"ns_per_record\":[",
	       stage_names[options->stage], options->live);
	for (uint32_t i = 0; i < options->rounds; i++)
		printf("%s%.1f", i ? "," : "", ns[i]);
	printf("],\"user_bytes_per_connection\":%.0f,\"cache_misses_per_record\":",
	       (double)bytes / options->live);
	if (misses >= 0 && read(misses, &count, sizeof(count)) == (ssize_t)sizeof(count))
		printf("%.2f}\n", (double)count / (double)(bench->taken - begin));
	else
		printf("null}\n");
	if (misses >= 0)
		close(misses);
}

static int open_bench(struct bench *bench)
{
	const struct pipeline_settings settings = {
		.tracker = { .flows_max = MAX(FLOWS_MAX, bench->options.live + WORKERS),
			     .settle_ns = 250 * NS_PER_MS,
			     .time_wait_ns = 60 * NS_PER_SEC,
			     .hash_seed = 1 },
		.history_events = HISTORY_EVENTS,
		.netns = NETNS,
		.reasons = &bench->reasons,
		.context = bench,
		.look = look,
		.listeners_max = 64,
	};
	int err;

	bench->now_ns = 1000 * NS_PER_SEC;
	bench->places = calloc(bench->options.live, sizeof(*bench->places));
	bench->merge = merge_new((size_t)CPUS * RING_NR, SLACK_NS);
	if (!bench->places || !bench->merge)
		return -ENOMEM;
	/* its pages are not to be counted with the daemon's */
	memset(bench->places, 0xff, bench->options.live * sizeof(*bench->places));
	for (uint32_t i = 0; i < CPUS * RING_NR; i++) {
		struct ring **ring = &bench->rings[i / RING_NR][i % RING_NR];

		err = ring_open_memory(RING_BYTES, ring);
		if (err)
			return err;
		merge_add(bench->merge, *ring, i % RING_NR);
	}
	return pipeline_init(&bench->pipeline, &settings);
}

static bool parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "live", required_argument, NULL, 'l' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "records", required_argument, NULL, 'n' },
		{ "stage", required_argument, NULL, 's' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'l')
			options->live = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'r')
			options->rounds = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'n')
			options->records = strtoull(optarg, NULL, 10);
		else if (option != 's')
			return false;
		for (int i = 0; option == 's' && i <= STAGE_NR; i++) {
			if (i == STAGE_NR)
				return false;
			options->stage = (enum stage)i;
			if (!strcmp(optarg, stage_names[i]))
				break;
		}
	}
	return optind == argc && options->live > WORKERS && options->live < 1u << 26 &&
	       options->rounds >= 1 && options->rounds <= ROUNDS_MAX;
}

int main(int argc, char **argv)
{
	static struct bench bench = {
		.options = { .live = 1000, .rounds = 5, .records = 1000000, .stage = STAGE_ALL },
	};
	int err;

	if (!parse(&bench.options, argc, argv)) {
		fputs("usage: bench_pipeline [--live=N] [--rounds=N] [--records=N] "
		      "[--stage=merge|decode|all]\n",
		      stderr);
		return 2;
	}
	err = open_bench(&bench);
	if (err) {
		fprintf(stderr, "bench_pipeline: %s\n", strerror(-err));
		return 1;
	}
	run(&bench);
	err = is_right(&bench) ? 0 : 1;
	pipeline_fini(&bench.pipeline);
	merge_free(bench.merge);
	free(bench.places);
	return err;
}
