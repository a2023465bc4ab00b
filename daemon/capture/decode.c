/* SPDX-License-Identifier: GPL-2.0-only */
/* Raw ring records to checked observations: sizes by type, then the fields that index tables. */
#include "capture/decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sampling.h"

/* Of the low byte. */
#define REC_FLAGS_UNKNOWN (0xff & ~(REC_F_IPV6 | REC_F_SENT | REC_F_TRANSLATED))

/* The legal sizes of a type; equal where the addresses do not decide. */
struct layout {
	uint16_t v4, v6;
};

#define BY_FAMILY(type)                                                                            \
	{                                                                                          \
		REC_SIZE_V4(type), REC_SIZE_V6(type)                                               \
	}
#define FIXED(type)                                                                                \
	{                                                                                          \
		sizeof(struct type), sizeof(struct type)                                           \
	}

static const struct layout layouts[REC_NR] = {
	[REC_SEGMENT] = BY_FAMILY(rec_segment),
	[REC_DROP] = BY_FAMILY(rec_drop),
	[REC_RETRANSMIT] = BY_FAMILY(rec_retransmit),
	[REC_RESET] = BY_FAMILY(rec_reset),
	[REC_STATE] = BY_FAMILY(rec_state),
	[REC_LISTEN] = BY_FAMILY(rec_listen),
	[REC_SOCKET] = FIXED(rec_socket),
	[REC_LOOK] = FIXED(rec_socket),
	[REC_TICK] = FIXED(rec_hdr),
	[REC_LOSS] = FIXED(rec_loss),
	[REC_SWEEP] = FIXED(rec_sweep),
	[REC_NETNS] = FIXED(rec_netns),
	[REC_SAMPLING] = FIXED(rec_sampling),
};

/* 0 is "no socket" where a record says what was found, and illegal where it says what changed. */
static bool state_or_none(uint8_t state)
{
	return state < KS_NR;
}

static bool snapshot_valid(const struct rec_snapshot *snapshot)
{
	return state_or_none(snapshot->state) && state_or_none(snapshot->substate);
}

static void key_set(struct conn_key *key, const struct rec_hdr *hdr, const uint8_t *addresses,
		    uint16_t local_port, uint16_t remote_port)
{
	if (hdr->flags & REC_F_IPV6) {
		memcpy(key->local_address, addresses, 16);
		memcpy(key->remote_address, addresses + 16, 16);
	} else {
		memset(key->local_address + 10, 0xff, 2);
		memcpy(key->local_address + 12, addresses, 4);
		memset(key->remote_address + 10, 0xff, 2);
		memcpy(key->remote_address + 12, addresses + 4, 4);
	}
	key->local_port = local_port;
	key->remote_port = remote_port;
}

static bool segment_take(struct observation *obs)
{
	const struct rec_segment *rec = obs->segment;

	if (!snapshot_valid(&rec->snapshot))
		return false;
	if (rec->hook < HOOK_XDP_NATIVE || rec->hook > HOOK_TC_EGRESS)
		return false;
	obs->cookie = rec->snapshot.cookie;
	key_set(&obs->key, obs->hdr, rec->addresses, rec->local_port, rec->remote_port);
	return true;
}

static bool drop_take(struct observation *obs)
{
	const struct rec_drop *rec = obs->drop;

	key_set(&obs->key, obs->hdr, rec->addresses, rec->local_port, rec->remote_port);
	return state_or_none(rec->rx_state);
}

static bool retransmit_take(struct observation *obs)
{
	const struct rec_retransmit *rec = obs->retransmit;

	obs->cookie = rec->cookie;
	key_set(&obs->key, obs->hdr, rec->addresses, rec->local_port, rec->remote_port);
	return (rec->kind == RETRANSMIT_SYNACK || rec->kind == RETRANSMIT_SKB) &&
	       state_or_none(rec->state);
}

static bool reset_take(struct observation *obs)
{
	const struct rec_reset *rec = obs->reset;

	obs->cookie = rec->cookie;
	key_set(&obs->key, obs->hdr, rec->addresses, rec->local_port, rec->remote_port);
	return state_or_none(rec->state);
}

static bool state_take(struct observation *obs)
{
	const struct rec_state *rec = obs->state;

	obs->cookie = rec->cookie;
	key_set(&obs->key, obs->hdr, rec->addresses, rec->local_port, rec->remote_port);
	return rec->old_state != KS_NONE && rec->old_state < KS_NR && rec->new_state != KS_NONE &&
	       rec->new_state < KS_NR;
}

static bool listen_take(struct observation *obs)
{
	const struct rec_listen *rec = obs->listen;

	obs->cookie = rec->cookie;
	key_set(&obs->key, obs->hdr, rec->addresses, rec->local_port, 0);
	return memchr(rec->comm, '\0', sizeof(rec->comm)) != NULL;
}

static bool socket_take(struct observation *obs)
{
	const struct rec_socket *rec = obs->socket;

	obs->cookie = rec->snapshot.cookie;
	memcpy(obs->key.local_address, rec->local_address, 16);
	memcpy(obs->key.remote_address, rec->remote_address, 16);
	obs->key.local_port = rec->local_port;
	obs->key.remote_port = rec->remote_port;
	return snapshot_valid(&rec->snapshot);
}

/* Cookie and key of a record whose size is right; false when a field is out of range. */
static bool fields_take(struct observation *obs)
{
	switch (obs->type) {
	case REC_SEGMENT:
		return segment_take(obs);
	case REC_DROP:
		return drop_take(obs);
	case REC_RETRANSMIT:
		return retransmit_take(obs);
	case REC_RESET:
		return reset_take(obs);
	case REC_STATE:
		return state_take(obs);
	case REC_LISTEN:
		return listen_take(obs);
	case REC_SOCKET:
	case REC_LOOK:
		return socket_take(obs);
	case REC_LOSS:
		return obs->loss->ring < RING_NR;
	case REC_SWEEP:
		return obs->sweep->phase == SWEEP_BEGIN || obs->sweep->phase == SWEEP_END;
	case REC_NETNS:
		return (obs->netns->phase == NETNS_BEGIN || obs->netns->phase == NETNS_END) &&
		       memchr(obs->netns->name, '\0', NETNS_NAME_BYTES);
	case REC_SAMPLING:
		return obs->sampling->slot < SAMPLING_SLOTS &&
		       obs->sampling->from <= SAMPLING_SHIFT_MAX &&
		       obs->sampling->to <= SAMPLING_SHIFT_MAX;
	default: /* REC_TICK has nothing but its header */
		return true;
	}
}

static int reject(enum reject_reason reason, enum reject_reason *ret_reason)
{
	*ret_reason = reason;
	return -EBADMSG;
}

int decode(const void *bytes, size_t size, struct observation *ret, enum reject_reason *ret_reason)
{
	const struct rec_hdr *hdr = bytes;
	struct observation obs = { 0 };
	size_t legal;

	if (size < sizeof(*hdr))
		return reject(REJECT_SHORT, ret_reason);
	if (hdr->version != RECORD_VERSION)
		return reject(REJECT_VERSION, ret_reason);
	if (hdr->type == REC_NONE || hdr->type >= REC_NR)
		return reject(REJECT_TYPE, ret_reason);
	legal = hdr->flags & REC_F_IPV6 ? layouts[hdr->type].v6 : layouts[hdr->type].v4;
	if (size < legal)
		return reject(REJECT_SHORT, ret_reason);
	if (size > legal)
		return reject(REJECT_LENGTH, ret_reason);
	if (hdr->flags & REC_FLAGS_UNKNOWN || REC_SHIFT(hdr->flags) > SAMPLING_SHIFT_MAX)
		return reject(REJECT_VALUE, ret_reason);
	obs.hdr = hdr;
	obs.type = hdr->type;
	obs.ts_ns = hdr->ts_ns;
	obs.sent = hdr->flags & REC_F_SENT;
	obs.key.netns = hdr->netns;
	if (!fields_take(&obs))
		return reject(REJECT_VALUE, ret_reason);
	*ret = obs;
	return 0;
}

const char *endpoint_format(const uint8_t address[16], uint16_t port,
			    char buffer[ENDPOINT_TEXT_MAX])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];

	if (!memcmp(address, mapped, sizeof(mapped))) {
		inet_ntop(AF_INET, address + sizeof(mapped), text, sizeof(text));
		snprintf(buffer, ENDPOINT_TEXT_MAX, "%s:%u", text, port);
	} else {
		inet_ntop(AF_INET6, address, text, sizeof(text));
		snprintf(buffer, ENDPOINT_TEXT_MAX, "[%s]:%u", text, port);
	}
	return buffer;
}
