/* SPDX-License-Identifier: GPL-2.0-only */
/* What this kernel gives, and what is lost where it does not. */
#include <string.h>

#include "capture/loader.h"
#include "log.h"
#include "util.h"

/* What is lost on a kernel without the tracepoint. */
static const struct {
	const char *tracepoint, *without;
} tracepoints[] = {
	{ "inet_sock_set_state", "the kernel's state changes: nothing can be compared" },
	{ "tcp_retransmit_synack", "retransmitted SYN-ACKs are not counted" },
	{ "tcp_retransmit_skb", "retransmissions are not counted" },
	{ "tcp_send_reset", "sent resets have no cause" },
	{ "tcp_receive_reset", "a reset that the kernel ignored looks like one it took" },
	{ "kfree_skb", "dropped segments have no reason" },
};

static bool has_tcx(const struct loader *loader)
{
	struct attach_programs programs;

	loader_hooks(loader, &programs);
	return attach_has_tcx(programs.tc_ingress_eth);
}

size_t loader_capabilities(const struct loader *loader, struct capability rows[CAPABILITIES_MAX])
{
	const struct kernel_facts *facts = loader_facts(loader);
	unsigned int kfree_skb = kernel_facts_tracepoint(facts, "kfree_skb");
	const struct capability others[] = {
		{ "drop reasons", kfree_skb >= 3,
		  "dropped segments are counted without a reason (needs 5.17)" },
		{ "drop receiver", kfree_skb >= 4,
		  "segments that TIME_WAIT consumed cannot be told from dropped ones (needs 6.11)" },
		{ "refusal reason", kernel_facts_has_drop_reason(facts, "TCP_LISTEN_OVERFLOW"),
		  "ACKs refused by a full accept queue are dropped as NOT_SPECIFIED; the queue "
		  "lengths tell (needs 6.15)" },
		{ "reset reasons", kernel_facts_tracepoint(facts, "tcp_send_reset") >= 3,
		  "resets without a socket are seen on the wire only (needs 6.10)" },
		{ "tcx", has_tcx(loader),
		  "clsact filters are used, which a crash leaves behind (needs 6.6)" },
	};
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tracepoints); i++)
		rows[count++] = (struct capability){
			tracepoints[i].tracepoint,
			kernel_facts_tracepoint(facts, tracepoints[i].tracepoint),
			tracepoints[i].without,
		};
	memcpy(&rows[count], others, sizeof(others));
	return count + ARRAY_SIZE(others);
}

void loader_log_lacks(const struct loader *loader)
{
	struct capability rows[CAPABILITIES_MAX];
	size_t count = loader_capabilities(loader, rows);

	for (size_t i = 0; i < count; i++)
		if (!rows[i].available)
			log_info("this kernel has no %s: %s", rows[i].name, rows[i].without);
}
