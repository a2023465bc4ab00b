/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Numbers of TCP and of Linux's TCP that both sides of the ring share. */
#ifndef TCPWITNESS_TCP_DEFS_H
#define TCPWITNESS_TCP_DEFS_H

/* RFC 9293 §3.1, the low eight control bits, as they lie in the header's 14th octet. */
enum tcp_flag {
	TCPF_FIN = 0x01,
	TCPF_SYN = 0x02,
	TCPF_RST = 0x04,
	TCPF_PSH = 0x08,
	TCPF_ACK = 0x10,
	TCPF_URG = 0x20,
	TCPF_ECE = 0x40,
	TCPF_CWR = 0x80,
};

/* Linux include/net/tcp_states.h: kernel name, number. 0 means "no socket" in every record. */
#define KERNEL_STATES(X)                                                                           \
	X(ESTABLISHED, 1)                                                                          \
	X(SYN_SENT, 2)                                                                             \
	X(SYN_RECV, 3)                                                                             \
	X(FIN_WAIT1, 4)                                                                            \
	X(FIN_WAIT2, 5)                                                                            \
	X(TIME_WAIT, 6)                                                                            \
	X(CLOSE, 7)                                                                                \
	X(CLOSE_WAIT, 8)                                                                           \
	X(LAST_ACK, 9)                                                                             \
	X(LISTEN, 10)                                                                              \
	X(CLOSING, 11)                                                                             \
	X(NEW_SYN_RECV, 12)

enum kernel_state {
	KS_NONE = 0,
#define X(name, number) KS_##name = number,
	KERNEL_STATES(X)
#undef X
	KS_NR
};

/* Options a record carries (bits of rec_segment.options). */
enum tcp_option_bit {
	TCPO_MSS = 0x01,
	TCPO_WSCALE = 0x02,
	TCPO_SACK_PERMITTED = 0x04,
	TCPO_TIMESTAMP = 0x08,
	TCPO_FASTOPEN = 0x10,
};

/* Option kinds on the wire (IANA TCP parameters). */
enum tcp_option_kind {
	TCPK_EOL = 0,
	TCPK_NOP = 1,
	TCPK_MSS = 2,
	TCPK_WSCALE = 3,
	TCPK_SACK_PERMITTED = 4,
	TCPK_TIMESTAMP = 8,
	TCPK_FASTOPEN = 34,
};

#endif
