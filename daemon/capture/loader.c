/* SPDX-License-Identifier: GPL-2.0-only */
/* Loads the BPF programs that fit this kernel, and makes their rings. */
#include "capture/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "log.h"
#include "util.h"
#include "witness.skel.h"

struct loader {
	struct witness *skel;
	struct kernel_facts *facts;
	uint32_t netns;
	bool several; /* namespaces may be watched: the map says which */
	unsigned int cpus;
	int *ring_fds[RING_NR]; /* by CPU, -1 where not made */
	uint32_t *ring_bytes;	/* by CPU */
	bool *online;		/* by CPU, at the start */
	struct bpf_link *links[PROGRAMS_MAX];
	const struct bpf_program *linked[PROGRAMS_MAX]; /* whose links these are */
	uint32_t nr_links;
	struct listener_maps listeners;
	struct sampling_maps sampling;
	void *scratch; /* one per-CPU value of the largest kind */
};

#define TRACEPOINT_SECTION "tp_btf/"

/* libbpf speaks in many lines; ours is the one that counts. */
static int print_debug(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	log_vwrite(LOG_LEVEL_DEBUG, fmt, args);
	return 0;
}

static const char *tracepoint_of(const struct bpf_program *program)
{
	const char *section = bpf_program__section_name(program);

	if (strncmp(section, TRACEPOINT_SECTION, sizeof(TRACEPOINT_SECTION) - 1))
		return NULL;
	return section + sizeof(TRACEPOINT_SECTION) - 1;
}

/* Does the variant take the arguments that this kernel's tracepoint has? */
static bool variant_fits(const struct bpf_program *program, unsigned int arguments)
{
	static const struct {
		const char *program;
		unsigned int least, most;
	} variants[] = {
		{ "on_send_reset_noreason", 2, 2 }, /* sk, skb */
		{ "on_send_reset", 3, 99 },	    /* and reason, 6.10 */
		{ "on_kfree_skb_nosk", 3, 3 },	    /* skb, location, reason: 5.17 */
		{ "on_kfree_skb", 4, 99 },	    /* and rx_sk, 6.11 */
	};
	const char *name = bpf_program__name(program);

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++)
		if (!strcmp(variants[i].program, name))
			return arguments >= variants[i].least && arguments <= variants[i].most;
	return true;
}

static void programs_choose(struct loader *loader)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, loader->skel->obj) {
		const char *tracepoint = tracepoint_of(program);
		unsigned int arguments;

		if (!tracepoint)
			continue;
		arguments = kernel_facts_tracepoint(loader->facts, tracepoint);
		bpf_program__set_autoload(program,
					  arguments > 0 && variant_fits(program, arguments));
	}
}

static int netns_read(uint32_t *ret_netns)
{
	struct stat status;

	if (stat("/proc/thread-self/ns/net", &status))
		return -errno;
	*ret_netns = (uint32_t)status.st_ino;
	return 0;
}

/* Gives the online CPUs, from a list like "0-3,8", rings of `bytes`. */
static void cpus_read(struct loader *loader, FILE *list, uint32_t bytes)
{
	unsigned int first, last;
	int got;

	while ((got = fscanf(list, "%u-%u", &first, &last)) > 0) {
		for (unsigned int cpu = first; cpu <= (got == 2 ? last : first); cpu++)
			if (cpu < loader->cpus) {
				loader->ring_bytes[cpu] = bytes;
				loader->online[cpu] = true;
			}
		if (fgetc(list) != ',')
			break;
	}
}

static uint32_t ring_bytes_affordable(void)
{
	uint64_t rings = RING_NR * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t bytes = RING_BYTES_ROOMY;

	while (bytes > RING_BYTES_DEFAULT && rings * bytes > RINGS_BYTES_TOTAL)
		bytes /= 2;
	return bytes;
}

/* Many machines could have far more CPUs than they do: those not online get a small ring. */
static int rings_size(struct loader *loader, uint32_t ring_bytes)
{
	FILE *online;

	if (!ring_bytes)
		ring_bytes = ring_bytes_affordable();
	loader->ring_bytes = calloc(loader->cpus, sizeof(loader->ring_bytes[0]));
	loader->online = calloc(loader->cpus, sizeof(loader->online[0]));
	if (!loader->ring_bytes || !loader->online)
		return -ENOMEM;
	online = fopen("/sys/devices/system/cpu/online", "re");
	for (unsigned int cpu = 0; cpu < loader->cpus; cpu++) {
		loader->ring_bytes[cpu] = online ? RING_BYTES_MIN : ring_bytes;
		loader->online[cpu] = !online; /* not known: all of them may be */
	}
	if (online) {
		cpus_read(loader, online, ring_bytes);
		fclose(online);
	}
	return 0;
}

static int rings_make(struct loader *loader, enum rec_ring family, struct bpf_map *map)
{
	static const char *const names[RING_NR] = { "segment_ring", "kernel_ring" };
	int *fds = malloc(loader->cpus * sizeof(*fds));
	int err;

	if (!fds)
		return -ENOMEM;
	memset(fds, 0xff, loader->cpus * sizeof(*fds));
	loader->ring_fds[family] = fds;
	for (unsigned int cpu = 0; cpu < loader->cpus; cpu++) {
		fds[cpu] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, names[family], 0, 0,
					  loader->ring_bytes[cpu], NULL);
		if (fds[cpu] < 0)
			return -errno;
	}
	err = bpf_map__set_max_entries(map, loader->cpus);
	return err ? err : bpf_map__set_inner_map_fd(map, fds[0]);
}

static int rings_enter(const struct loader *loader, enum rec_ring family, const struct bpf_map *map)
{
	for (uint32_t cpu = 0; cpu < loader->cpus; cpu++)
		if (bpf_map_update_elem(bpf_map__fd(map), &cpu, &loader->ring_fds[family][cpu],
					BPF_ANY))
			return -errno;
	return 0;
}

static int maps_open(struct loader *loader)
{
	const struct witness *skel = loader->skel;
	const struct sampling_words words = { &skel->bss->sampling_active,
					      &skel->bss->sampling_all };
	int err = listener_maps_init(&loader->listeners, bpf_map__fd(skel->maps.listeners),
				     bpf_map__fd(skel->maps.listening),
				     bpf_map__fd(skel->maps.sources), loader->cpus);

	if (err)
		return err;
	return sampling_maps_init(&loader->sampling, bpf_map__fd(skel->maps.sampling_slots),
				  bpf_map__fd(skel->maps.sampling_counts),
				  bpf_program__fd(skel->progs.sampling_pass_time), &words,
				  loader->cpus);
}

static int load(struct loader *loader, const struct loader_settings *settings)
{
	struct witness *skel = loader->skel;
	struct config config = {
		.netns = loader->several ? 0 : loader->netns,
		.nr_cpus = loader->cpus,
		.hz = kernel_facts_hz(),
		.sampling_budget = sampling_window_budget(settings->sampling_budget),
		.sampling_total = sampling_window_budget(settings->sampling_total),
		.rst_reason = kernel_facts_tracepoint(loader->facts, "tcp_send_reset") >= 3,
		.casts = kernel_facts_has_function(loader->facts, "bpf_rdonly_cast"),
	};
	int err;

	if (getrandom(&config.sampling_seed, sizeof(config.sampling_seed), 0) < 0)
		return -errno;
	memcpy((void *)&skel->rodata->config, &config, sizeof(config));
	programs_choose(loader);
	err = rings_size(loader, settings->ring_bytes);
	if (!err)
		err = rings_make(loader, RING_SEGMENT, skel->maps.segment_rings);
	if (!err)
		err = rings_make(loader, RING_KERNEL, skel->maps.kernel_rings);
	if (!err)
		err = witness__load(skel);
	if (!err)
		err = rings_enter(loader, RING_SEGMENT, skel->maps.segment_rings);
	if (!err)
		err = rings_enter(loader, RING_KERNEL, skel->maps.kernel_rings);
	if (!err)
		err = maps_open(loader);
	return err;
}

static int open_skeleton(struct loader *loader, const char *btf_path)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf_path);
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	loader->cpus = (unsigned int)cpus;
	loader->scratch = calloc(loader->cpus, sizeof(struct total_counters));
	loader->skel = witness__open_opts(&opts);
	if (!loader->scratch || !loader->skel)
		return loader->scratch ? -errno : -ENOMEM;
	return netns_read(&loader->netns);
}

static void explain(int err)
{
	if (err == -EPERM || err == -EACCES)
		log_err("not permitted to load BPF programs: need CAP_BPF, CAP_PERFMON and "
			"CAP_NET_ADMIN");
	else
		log_err("cannot load the BPF programs: %s (--log.level=debug tells more)",
			strerror(-err));
}

int loader_new(const struct loader_settings *settings, struct loader **ret_loader)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	const char *btf_path = getenv("TCPWITNESS_BTF");
	int err;

	if (!loader)
		return -ENOMEM;
	loader->several = settings->several;
	libbpf_set_print(print_debug);
	err = kernel_facts_new(btf_path, &loader->facts);
	if (err)
		goto fail;
	err = open_skeleton(loader, btf_path);
	if (!err)
		err = load(loader, settings);
	if (err) {
		explain(err);
		goto fail;
	}
	*ret_loader = loader;
	return 0;
fail:
	loader_free(loader);
	return err;
}

void loader_free(struct loader *loader)
{
	if (!loader)
		return;
	for (uint32_t i = 0; i < loader->nr_links; i++)
		bpf_link__destroy(loader->links[i]);
	sampling_maps_fini(&loader->sampling);
	if (loader->skel)
		witness__destroy(loader->skel);
	for (int family = 0; family < RING_NR; family++) {
		for (unsigned int cpu = 0; loader->ring_fds[family] && cpu < loader->cpus; cpu++)
			if (loader->ring_fds[family][cpu] >= 0)
				close(loader->ring_fds[family][cpu]);
		free(loader->ring_fds[family]);
	}
	kernel_facts_free(loader->facts);
	free(loader->ring_bytes);
	free(loader->online);
	listener_maps_fini(&loader->listeners);
	free(loader->scratch);
	free(loader);
}

/* Tracepoints and the iterator, which hangs on nothing and waits for loader_iterate. */
static bool is_linked_by_us(const struct bpf_program *program)
{
	return bpf_program__autoload(program) &&
	       bpf_program__type(program) == BPF_PROG_TYPE_TRACING;
}

int loader_attach(struct loader *loader)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, loader->skel->obj) {
		struct bpf_link *link;

		if (!is_linked_by_us(program) || loader->nr_links == PROGRAMS_MAX)
			continue;
		link = bpf_program__attach(program);
		if (!link) {
			int err = -errno;

			log_err("cannot attach %s: %s", bpf_program__name(program), strerror(-err));
			return err;
		}
		loader->linked[loader->nr_links] = program;
		loader->links[loader->nr_links++] = link;
	}
	return 0;
}

bool loader_several(const struct loader *loader)
{
	return loader->several;
}

void loader_want_wake(const struct loader *loader, bool wanted)
{
	uint32_t *shared = &loader->skel->bss->wake_wanted;

	/* Written where it changes only: every CPU reads it with every record. */
	if (__atomic_load_n(shared, __ATOMIC_RELAXED) != wanted)
		__atomic_store_n(shared, wanted, __ATOMIC_SEQ_CST);
}

uint32_t loader_netns(const struct loader *loader)
{
	return loader->netns;
}

unsigned int loader_cpus(const struct loader *loader)
{
	return loader->cpus;
}

const struct kernel_facts *loader_facts(const struct loader *loader)
{
	return loader->facts;
}

void loader_hooks(const struct loader *loader, struct attach_programs *ret_programs)
{
	const struct witness *skel = loader->skel;

	ret_programs->xdp_ingress = bpf_program__fd(skel->progs.xdp_ingress);
	ret_programs->tc_ingress_eth = bpf_program__fd(skel->progs.tc_ingress_eth);
	ret_programs->tc_ingress_ip = bpf_program__fd(skel->progs.tc_ingress_ip);
	ret_programs->tc_egress_eth = bpf_program__fd(skel->progs.tc_egress_eth);
	ret_programs->tc_egress_ip = bpf_program__fd(skel->progs.tc_egress_ip);
}

int loader_ring_fd(const struct loader *loader, enum rec_ring family, unsigned int cpu)
{
	return loader->ring_fds[family][cpu];
}

uint32_t loader_ring_bytes(const struct loader *loader, unsigned int cpu)
{
	return loader->ring_bytes[cpu];
}

int loader_look(const struct loader *loader, const struct conn_key *key, int32_t nsid,
		uint32_t ifindex, struct rec_socket *ret_look)
{
	struct rec_socket question = {
		.hdr = { .type = REC_LOOK, .version = RECORD_VERSION, .netns = key->netns },
		.ifindex = (uint32_t)nsid,
		.local_port = key->local_port,
		.remote_port = key->remote_port,
	};
	struct rec_socket answer;
	struct xdp_md arrival = { .data_end = sizeof(question), .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &question, .data_size_in = sizeof(question),
		    .data_out = &answer, .data_size_out = sizeof(answer), .ctx_in = &arrival,
		    .ctx_size_in = sizeof(arrival));
	int look = bpf_program__fd(loader->skel->progs.look);

	memcpy(question.local_address, key->local_address, 16);
	memcpy(question.remote_address, key->remote_address, 16);
	if (bpf_prog_test_run_opts(look, &opts)) {
		/* It may have gone, and be of another namespace: then there is none to come by. */
		opts.ctx_in = NULL;
		opts.ctx_size_in = 0;
		if (bpf_prog_test_run_opts(look, &opts))
			return -errno;
	}
	if (opts.data_size_out != sizeof(answer) || answer.hdr.type != REC_LOOK)
		return -EPROTO;
	*ret_look = answer;
	return 0;
}

int loader_iterate(const struct loader *loader)
{
	for (uint32_t i = 0; i < loader->nr_links; i++) {
		int fd;

		if (loader->linked[i] != loader->skel->progs.iter_sockets)
			continue;
		fd = bpf_iter_create(bpf_link__fd(loader->links[i]));
		return fd < 0 ? -errno : fd;
	}
	return -EOPNOTSUPP;
}

static int map_set(const struct bpf_map *map, const void *key, const void *value)
{
	if (value)
		return bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) ? -errno : 0;
	return bpf_map_delete_elem(bpf_map__fd(map), key) ? -errno : 0;
}

int loader_prefix(const struct loader *loader, uint32_t netns, const struct local_prefix *prefix,
		  bool add)
{
	struct {
		uint32_t bits, netns;
		uint8_t address[16];
	} key = { 32 + prefix->bits, netns, { 0 } };
	const uint8_t yes = 1;

	memcpy(key.address, prefix->address, sizeof(key.address));
	return map_set(loader->skel->maps.local_prefixes, &key, add ? &yes : NULL);
}

int loader_namespace(const struct loader *loader, uint32_t netns, bool add)
{
	const uint8_t yes = 1;

	return map_set(loader->skel->maps.namespaces, &netns, add ? &yes : NULL);
}

int loader_slot(const struct loader *loader, uint32_t netns, uint32_t ifindex, const uint32_t *slot)
{
	const uint32_t key[2] = { netns, ifindex };

	return map_set(loader->skel->maps.interface_slots, key, slot);
}

/* Adds up one per-CPU value that is nothing but 64-bit counters. */
/* The type is the counters' own, __u64: uint64_t is another one to the optimiser's eye. */
static int sum_cpus(const struct loader *loader, const struct bpf_map *map, const void *key,
		    __u64 *sum, size_t size)
{
	const __u64 *value = loader->scratch;

	if (bpf_map_lookup_elem(bpf_map__fd(map), key, loader->scratch))
		return -errno;
	for (unsigned int cpu = 0; cpu < loader->cpus; cpu++)
		for (size_t i = 0; i < size / sizeof(*sum); i++)
			sum[i] += *value++;
	return 0;
}

int loader_segments(const struct loader *loader, uint32_t slot,
		    struct segment_counters *ret_counters)
{
	struct segment_counters sum = { 0 };
	int err = sum_cpus(loader, loader->skel->maps.segments, &slot, (__u64 *)&sum, sizeof(sum));

	if (!err)
		*ret_counters = sum;
	return err;
}

int loader_totals(const struct loader *loader, struct total_counters *ret_totals)
{
	struct total_counters sum = { 0 };
	const uint32_t zero = 0;
	int err = sum_cpus(loader, loader->skel->maps.totals, &zero, (__u64 *)&sum, sizeof(sum));

	if (!err)
		*ret_totals = sum;
	return err;
}

uint32_t loader_losses(const struct loader *loader, struct loss_row *rows, uint32_t max)
{
	const struct total_counters *totals = loader->scratch;
	const uint32_t zero = 0;
	uint32_t count = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(loader->skel->maps.totals), &zero, loader->scratch))
		return 0;
	for (unsigned int cpu = 0; cpu < loader->cpus; cpu++) {
		uint64_t lost = 0;

		for (uint32_t ring = 0; ring < RING_NR; ring++)
			lost += totals[cpu].lost[ring];
		if (!loader->online[cpu] && !lost)
			continue;
		if (count < max)
			rows[count++] = (struct loss_row){ .cpu = cpu };
		for (uint32_t ring = 0; ring < RING_NR; ring++)
			rows[count - 1].lost[ring] += totals[cpu].lost[ring];
	}
	return count;
}

const struct listener_maps *loader_listeners(const struct loader *loader)
{
	return &loader->listeners;
}

const struct sampling_maps *loader_sampling(const struct loader *loader)
{
	return &loader->sampling;
}

static bool is_link_live(const struct loader *loader, const struct bpf_program *program)
{
	for (uint32_t i = 0; i < loader->nr_links; i++)
		if (loader->linked[i] == program)
			return true;
	return false;
}

uint32_t loader_tracepoints(const struct loader *loader, struct program_row *rows, uint32_t max)
{
	struct bpf_program *program;
	uint32_t count = 0;

	bpf_object__for_each_program(program, loader->skel->obj) {
		if (!is_linked_by_us(program) || count == max)
			continue;
		memset(&rows[count], 0, sizeof(rows[count]));
		strncpy(rows[count].program, bpf_program__name(program), PROGRAM_NAME_MAX - 1);
		rows[count++].attached = is_link_live(loader, program);
	}
	return count;
}

uint32_t loader_costs(const struct loader *loader, struct program_cost *rows, uint32_t max)
{
	struct bpf_program *program;
	uint32_t count = 0;

	bpf_object__for_each_program(program, loader->skel->obj) {
		struct bpf_prog_info info = { 0 };
		__u32 size = sizeof(info);

		if (!bpf_program__autoload(program) || count == max ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			continue;
		memset(&rows[count], 0, sizeof(rows[count]));
		strncpy(rows[count].program, bpf_program__name(program), PROGRAM_NAME_MAX - 1);
		rows[count].run_time_ns = info.run_time_ns;
		rows[count].runs = info.run_cnt;
		rows[count++].misses = info.recursion_misses;
	}
	return count;
}
