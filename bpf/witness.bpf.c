// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every program, compiled as one: the bpftool of Debian 12 does not link objects that both call a
 * function of the kernel's.
 */
#include "egress.bpf.c"
#include "ingress.bpf.c"
#include "kernel_state.bpf.c"
#include "sampling.bpf.c"
#include "sockets.bpf.c"

char LICENSE[] SEC("license") = "GPL";
