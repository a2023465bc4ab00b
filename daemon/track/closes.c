/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a socket closed: see closes.h. */
#include "track/closes.h"

#include <errno.h>

#include "tcp_defs.h"
#include "util.h"

#define K(state) (1u << KS_##state)
#define K_ANY 0xffffu
#define K_OPEN (K(ESTABLISHED) | K(CLOSE_WAIT))

/* sk_err by what it means. It is set before tcp_done() on every kernel. */
enum error_class {
	ERR_NONE = 0x01,
	ERR_RESET = 0x02,	/* tcp_reset(): ECONNRESET, EPIPE in CLOSE_WAIT */
	ERR_REFUSED = 0x04,	/* the same in SYN_SENT; or ICMP's port unreachable */
	ERR_TIMEOUT = 0x08,	/* tcp_write_err() */
	ERR_UNREACHABLE = 0x10, /* the same with a soft error that ICMP left; or a hard one */
	ERR_ABORTED = 0x20,	/* tcp_abort() */
	ERR_OTHER = 0x40,
	ERR_ANY = 0x7f,
};

static enum error_class error_class(uint16_t error)
{
	switch (error) {
	case 0:
		return ERR_NONE;
	case ECONNRESET:
	case EPIPE:
		return ERR_RESET;
	case ECONNREFUSED:
		return ERR_REFUSED;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EMSGSIZE:
	case EPROTO:
		return ERR_UNREACHABLE;
	case ECONNABORTED:
		return ERR_ABORTED;
	default:
		return ERR_OTHER;
	}
}

/* Everything that is a yes or a no. */
enum close_fact {
	IS_DONE = 0x01,	   /* SOCK_DONE: tcp_fin() ran */
	IS_DEAD = 0x02,	   /* SOCK_DEAD: an orphan */
	IS_LINGER2 = 0x04, /* TCP_LINGER2 < 0 */
	IS_REPAIR = 0x08,
	IS_ACKED = 0x10,   /* all we sent, our FIN included */
	IS_SHUT_RD = 0x20, /* sk_shutdown & RCV_SHUTDOWN */
	IS_SHUT_WR = 0x40, /* SEND_SHUTDOWN */
	IS_RESET_SEEN = 0x80,
	IS_LISTENER_CLOSED = 0x100,
	IS_MPTCP = 0x200,
};

static uint16_t close_facts(const struct rec_state *change, uint8_t context)
{
	uint16_t facts = 0;

	facts |= change->bits & STATE_DONE ? IS_DONE : 0;
	facts |= change->bits & STATE_DEAD ? IS_DEAD : 0;
	facts |= change->bits & STATE_LINGER2_NEG ? IS_LINGER2 : 0;
	facts |= change->bits & STATE_REPAIR ? IS_REPAIR : 0;
	facts |= change->bits & STATE_MPTCP ? IS_MPTCP : 0;
	facts |= change->snd_una == change->write_seq ? IS_ACKED : 0;
	facts |= change->shutdown & 1 ? IS_SHUT_RD : 0;
	facts |= change->shutdown & 2 ? IS_SHUT_WR : 0;
	facts |= context & CLOSE_RESET_SEEN ? IS_RESET_SEEN : 0;
	facts |= context & CLOSE_LISTENER_CLOSED ? IS_LISTENER_CLOSED : 0;
	return facts;
}

/* First match wins. */
static const struct {
	uint16_t old_states;
	uint8_t errors;
	uint8_t cause;
	uint16_t set, clear; /* enum close_fact */
} rules[] = {
	{ K_ANY, ERR_ANY, CLOSED_BY_REPAIR, IS_REPAIR, 0 },
	{ K_ANY, ERR_ABORTED, CLOSED_BY_KILLED, 0, 0 },

	{ K(SYN_SENT), ERR_NONE, CLOSED_BY_CONNECT_CLOSED, 0, 0 },
	{ K(SYN_SENT), ERR_REFUSED | ERR_RESET, CLOSED_BY_REFUSED, 0, 0 },
	{ K_ANY, ERR_TIMEOUT, CLOSED_BY_TIMEOUT, 0, 0 },
	{ K_ANY, ERR_UNREACHABLE | ERR_REFUSED, CLOSED_BY_UNREACHABLE, 0, 0 },

	/* linux net/ipv4/inet_connection_sock.c:inet_csk_listen_stop: a TFO child, too */
	{ K(SYN_RECV) | K_OPEN, ERR_NONE, CLOSED_BY_NEVER_ACCEPTED, IS_LISTENER_CLOSED,
	  IS_SHUT_WR },
	{ K(SYN_RECV), ERR_NONE | ERR_RESET, CLOSED_BY_CHILD_FAILED, 0, 0 },

	/* tcp_fin() ran after our FIN was acknowledged, or before: tcp_time_wait() */
	{ K(FIN_WAIT2) | K(CLOSING), ERR_NONE, CLOSED_BY_TIME_WAIT, IS_DONE, 0 },
	{ K(FIN_WAIT2), ERR_NONE, CLOSED_BY_LINGER2, IS_DEAD | IS_LINGER2, 0 },
	{ K(FIN_WAIT2), ERR_NONE, CLOSED_BY_FIN_WAIT_2, IS_DEAD, 0 },
	{ K(LAST_ACK), ERR_NONE, CLOSED_BY_GRACEFUL, IS_ACKED, 0 },
	/* An orphan that nothing but tcp_check_oom() and tcp_out_of_resources() end without error;
	 * subflows are orphans before they are closed (linux net/mptcp/protocol.c:__mptcp_close_ssk) */
	{ K(FIN_WAIT1) | K(CLOSING) | K(LAST_ACK), ERR_NONE, CLOSED_BY_MEMORY, IS_DEAD, IS_MPTCP },

	{ K_ANY, ERR_RESET, CLOSED_BY_RESET_RECEIVED, IS_RESET_SEEN, 0 },
	/* tcp_rcv_state_process() calls tcp_reset() for data as well */
	{ K(FIN_WAIT1) | K(FIN_WAIT2) | K(CLOSE_WAIT), ERR_RESET, CLOSED_BY_DATA_AFTER_CLOSE,
	  IS_SHUT_RD | IS_SHUT_WR, 0 },
	{ K_ANY, ERR_RESET, CLOSED_BY_RESET_RECEIVED, 0, 0 },

	/* close() shuts both ways before it aborts; disconnect does not */
	{ K_ANY, ERR_NONE, CLOSED_BY_LOCAL_ABORT, IS_SHUT_WR, 0 },
	{ K_ANY, ERR_NONE, CLOSED_BY_DISCONNECTED, 0, 0 },
};

enum close_cause close_classify(const struct rec_state *change, uint8_t context)
{
	uint16_t facts = close_facts(change, context);
	uint8_t error = error_class(change->sk_err);

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].old_states & 1u << change->old_state && rules[i].errors & error &&
		    (facts & rules[i].set) == rules[i].set && !(facts & rules[i].clear))
			return rules[i].cause;
	return CLOSED_BY_OTHER;
}

enum connection_end close_end(enum close_cause cause, uint8_t old_state)
{
	switch (cause) {
	case CLOSED_BY_KILLED:
		return END_KILLED;
	case CLOSED_BY_TIMEOUT:
		return old_state == KS_SYN_SENT ? END_HANDSHAKE_TIMEOUT : END_TIMEOUT;
	case CLOSED_BY_REFUSED:
		return END_REFUSED;
	case CLOSED_BY_GRACEFUL:
		return END_REMOTE_CLOSE;
	case CLOSED_BY_TIME_WAIT:
	case CLOSED_BY_FIN_WAIT_2:
	case CLOSED_BY_LINGER2:
	case CLOSED_BY_CONNECT_CLOSED:
		return END_LOCAL_CLOSE;
	case CLOSED_BY_RESET_RECEIVED:
		return END_REMOTE_RESET;
	case CLOSED_BY_LOCAL_ABORT:
	case CLOSED_BY_DISCONNECTED:
	case CLOSED_BY_NEVER_ACCEPTED:
	case CLOSED_BY_DATA_AFTER_CLOSE:
	case CLOSED_BY_MEMORY:
		return END_LOCAL_RESET;
	default:
		return END_UNKNOWN;
	}
}
