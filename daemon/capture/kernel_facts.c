/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the kernel's BTF once, at start. */
#include "capture/kernel_facts.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "util.h"

#define REASON_PREFIX "SKB_DROP_REASON_"

struct kernel_facts {
	struct btf *btf;
};

int kernel_facts_new(const char *path, struct kernel_facts **ret_facts)
{
	struct kernel_facts *facts = calloc(1, sizeof(*facts));
	int err;

	if (!facts)
		return -ENOMEM;
	if (!path)
		path = "/sys/kernel/btf/vmlinux";
	facts->btf = btf__parse(path, NULL);
	if (!facts->btf) {
		err = -errno;
		log_err("cannot read the kernel's type information %s: %s "
			"(needs a kernel with CONFIG_DEBUG_INFO_BTF, and /sys mounted)",
			path, strerror(-err));
		free(facts);
		return err;
	}
	*ret_facts = facts;
	return 0;
}

void kernel_facts_free(struct kernel_facts *facts)
{
	if (!facts)
		return;
	btf__free(facts->btf);
	free(facts);
}

/* typedef void (*btf_trace_NAME)(void *context, ...): linux include/trace/bpf_probe.h */
unsigned int kernel_facts_tracepoint(const struct kernel_facts *facts, const char *name)
{
	char symbol[64];
	const struct btf_type *type;
	int id;

	snprintf(symbol, sizeof(symbol), "btf_trace_%s", name);
	id = btf__find_by_name_kind(facts->btf, symbol, BTF_KIND_TYPEDEF);
	if (id < 0)
		return 0;
	type = btf__type_by_id(facts->btf, btf__type_by_id(facts->btf, (__u32)id)->type);
	if (!type || !btf_is_ptr(type))
		return 0;
	type = btf__type_by_id(facts->btf, type->type);
	if (!type || !btf_is_func_proto(type))
		return 0;
	return btf_vlen(type) - 1u; /* less the context */
}

bool kernel_facts_has_function(const struct kernel_facts *facts, const char *name)
{
	return btf__find_by_name_kind(facts->btf, name, BTF_KIND_FUNC) > 0;
}

void kernel_facts_drop_reasons(const struct kernel_facts *facts, struct drop_reasons *ret_reasons)
{
	int id = btf__find_by_name_kind(facts->btf, "skb_drop_reason", BTF_KIND_ENUM);
	const struct btf_type *type;
	const struct btf_enum *value;

	memset(ret_reasons, 0, sizeof(*ret_reasons));
	if (id < 0) /* before 5.17 */
		return;
	type = btf__type_by_id(facts->btf, (__u32)id);
	value = btf_enum(type);
	for (unsigned int i = 0; i < btf_vlen(type); i++, value++) {
		const char *name = btf__name_by_offset(facts->btf, value->name_off);

		if (value->val < 0 || value->val >= DROP_REASONS_MAX)
			continue;
		if (!strncmp(name, REASON_PREFIX, sizeof(REASON_PREFIX) - 1))
			name += sizeof(REASON_PREFIX) - 1;
		snprintf(ret_reasons->names[value->val], DROP_REASON_NAME_MAX, "%s", name);
	}
}

bool kernel_facts_has_drop_reason(const struct kernel_facts *facts, const char *name)
{
	struct drop_reasons reasons;

	kernel_facts_drop_reasons(facts, &reasons);
	for (uint32_t i = 0; i < DROP_REASONS_MAX; i++)
		if (!strcmp(reasons.names[i], name))
			return true;
	return false;
}

const char *drop_reason_name(const struct drop_reasons *reasons, uint32_t reason)
{
	if (reason >= DROP_REASONS_MAX || !reasons->names[reason][0])
		return NULL;
	return reasons->names[reason];
}

/* The coarse clocks move once a jiffy (linux kernel/time/posix-timers.c). */
uint32_t kernel_facts_hz(void)
{
	struct timespec jiffy = { 0 };

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy) || jiffy.tv_nsec <= 0)
		return 250;
	return (uint32_t)(NS_PER_SEC / (uint64_t)jiffy.tv_nsec);
}
