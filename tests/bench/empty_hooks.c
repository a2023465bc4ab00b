/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs that do nothing, on the hooks the daemon uses: what being called costs by itself.
 *
 *	empty_hooks DEVICE xdp|tcx
 *
 * Prints "ready" when all are attached, and takes them down at SIGTERM.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* linux include/uapi/linux/bpf.h of 6.6, newer than the headers of Debian 12. */
#define ATTACH_TYPE_TCX_INGRESS 46
#define ATTACH_TYPE_TCX_EGRESS 47

#define TCX_NEXT (-1)

/* And what its program is called. */
static const struct {
	const char *tracepoint, *name;
} tracepoints[] = {
	{ "inet_sock_set_state", "empty_state" },  { "kfree_skb", "empty_drop" },
	{ "tcp_retransmit_skb", "empty_retrans" }, { "tcp_retransmit_synack", "empty_synack" },
	{ "tcp_send_reset", "empty_reset" },	   { "tcp_receive_reset", "empty_reset" },
};

static int load(enum bpf_prog_type type, const char *name, int verdict,
		const struct bpf_prog_load_opts *options)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(type, name, "GPL", code, ARRAY_SIZE(code), options);

	return fd < 0 ? -errno : fd;
}

static int link_to_device(uint32_t ifindex, enum bpf_prog_type type, const char *name, int verdict,
			  unsigned int attach_type)
{
	int program = load(type, name, verdict, NULL);

	if (program < 0)
		return program;
	return bpf_link_create(program, (int)ifindex, (enum bpf_attach_type)attach_type, NULL) < 0 ?
		       -errno :
		       0;
}

static int attach_to_tracepoint(const char *tracepoint, const char *name)
{
	int id = libbpf_find_vmlinux_btf_id(tracepoint, BPF_TRACE_RAW_TP);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP,
		    .attach_btf_id = (uint32_t)id);
	int program;

	if (id < 0)
		return id;
	program = load(BPF_PROG_TYPE_TRACING, name, 0, &options);
	if (program < 0)
		return program;
	return bpf_raw_tracepoint_open(NULL, program) < 0 ? -errno : 0;
}

/* Everything attached lives as long as this process: nothing is closed. */
static int attach_all(uint32_t ifindex, const char *mode)
{
	int err = !strcmp(mode, "xdp") ?
			  link_to_device(ifindex, BPF_PROG_TYPE_XDP, "empty_ingress", XDP_PASS,
					 BPF_XDP) :
			  link_to_device(ifindex, BPF_PROG_TYPE_SCHED_CLS, "empty_ingress",
					 TCX_NEXT, ATTACH_TYPE_TCX_INGRESS);

	if (!err)
		err = link_to_device(ifindex, BPF_PROG_TYPE_SCHED_CLS, "empty_egress", TCX_NEXT,
				     ATTACH_TYPE_TCX_EGRESS);
	for (size_t i = 0; !err && i < ARRAY_SIZE(tracepoints); i++)
		err = attach_to_tracepoint(tracepoints[i].tracepoint, tracepoints[i].name);
	return err;
}

int main(int argc, char **argv)
{
	uint32_t ifindex = argc == 3 ? if_nametoindex(argv[1]) : 0;
	sigset_t signals;
	int err, number;

	if (!ifindex || (strcmp(argv[2], "xdp") && strcmp(argv[2], "tcx"))) {
		fputs("usage: empty_hooks DEVICE xdp|tcx\n", stderr);
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	err = attach_all(ifindex, argv[2]);
	if (err) {
		fprintf(stderr, "empty_hooks: %s\n", strerror(-err));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	sigwait(&signals, &number);
	return 0;
}
