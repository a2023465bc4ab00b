/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How many addresses SYNs come from: a sketch of fixed size, updated at each SYN.
 *
 * HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007): the address is hashed; 10 bits choose a
 * register, which keeps the highest rank seen, one more than the zero bits behind them. 1,024
 * registers estimate any number with a standard error of 3.25 %. Of an IPv6 address its first 64
 * bits count: what one host or customer is given.
 *
 * The sketch is shared by all CPUs. Two that meet in one register may lose the higher rank; that
 * needs two first sights of high rank within nanoseconds, and the next like it puts it right.
 */
#ifndef TCPWITNESS_INCLUDE_SKETCH_H
#define TCPWITNESS_INCLUDE_SKETCH_H

#include <linux/types.h>

#define SOURCES_REGISTER_BITS 10
#define SOURCES_REGISTERS (1u << SOURCES_REGISTER_BITS)
#define SOURCES_RANK_MAX (64 - SOURCES_REGISTER_BITS + 1)

/* Of the window with this number: the time >> LISTENER_WINDOW_SHIFT (counters.h). */
struct source_window {
	__u64 number;
	__u8 registers[SOURCES_REGISTERS];
};

/* One value per listening socket: map `sources`, key = its cookie; the last even and odd window.
 * BPF adds it at the first SYN, the daemon deletes it with the socket's other counts. */
struct source_sketch {
	struct source_window windows[2];
};

/* Spreads 64 bits over 64 bits (the finalizer of MurmurHash3). */
static inline __attribute__((always_inline)) __u64 sources_mix(__u64 word)
{
	word ^= word >> 33;
	word *= 0xff51afd7ed558ccdull;
	word ^= word >> 33;
	word *= 0xc4ceb9fe1a85ec53ull;
	return word ^ word >> 33;
}

#endif
