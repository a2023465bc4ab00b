/* SPDX-License-Identifier: GPL-2.0-only */
/* Decoding: every type whole, cut, lengthened and bent. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "capture/decode.h"
#include "util.h"

#define BYTES_MAX 160

struct sample {
	enum rec_type type;
	size_t v4, v6;
};

static const struct sample samples[] = {
	{ REC_SEGMENT, 104, 128 }, { REC_DROP, 56, 80 },  { REC_RETRANSMIT, 40, 64 },
	{ REC_RESET, 48, 72 },	   { REC_STATE, 64, 88 }, { REC_LISTEN, 72, 96 },
	{ REC_SOCKET, 88, 88 },	   { REC_LOOK, 88, 88 },  { REC_TICK, 16, 16 },
	{ REC_LOSS, 32, 32 },	   { REC_SWEEP, 24, 24 }, { REC_NETNS, 88, 88 },
	{ REC_SAMPLING, 40, 40 },
};

/* A legal record of the type in `bytes`; returns its size. */
static size_t record_make(const struct sample *sample, bool v6, void *bytes)
{
	struct rec_hdr *hdr = bytes;

	memset(bytes, 0, BYTES_MAX);
	hdr->type = (__u8)sample->type;
	hdr->version = RECORD_VERSION;
	hdr->flags = v6 ? REC_F_IPV6 : 0;
	hdr->netns = 7;
	hdr->ts_ns = 42;
	switch (sample->type) {
	case REC_SEGMENT:
		((struct rec_segment *)bytes)->hook = HOOK_TC_EGRESS;
		break;
	case REC_RETRANSMIT:
		((struct rec_retransmit *)bytes)->kind = RETRANSMIT_SKB;
		break;
	case REC_STATE:
		((struct rec_state *)bytes)->old_state = KS_CLOSE;
		((struct rec_state *)bytes)->new_state = KS_SYN_SENT;
		break;
	case REC_SWEEP:
		((struct rec_sweep *)bytes)->phase = SWEEP_BEGIN;
		break;
	case REC_NETNS:
		((struct rec_netns *)bytes)->phase = NETNS_BEGIN;
		break;
	default:
		break;
	}
	return v6 ? sample->v6 : sample->v4;
}

static void assert_rejected(const void *bytes, size_t size, enum reject_reason expected)
{
	enum reject_reason reason = REJECT_NR;
	struct observation obs;

	memset(&obs, 0x5a, sizeof(obs));
	assert_int_equal(decode(bytes, size, &obs, &reason), -EBADMSG);
	assert_int_equal(reason, expected);
	assert_int_equal(obs.ts_ns, 0x5a5a5a5a5a5a5a5a); /* untouched */
}

static void test_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (int v6 = 0; v6 <= 1; v6++) {
			_Alignas(8) uint8_t bytes[BYTES_MAX];
			size_t legal = record_make(&samples[i], v6, bytes);
			enum reject_reason reason;
			struct observation obs;

			assert_int_equal(decode(bytes, legal, &obs, &reason), 0);
			assert_int_equal(obs.type, samples[i].type);
			assert_int_equal(obs.ts_ns, 42);
			assert_int_equal(obs.key.netns, 7);
			assert_false(obs.sent);
			assert_ptr_equal(obs.hdr, bytes);
			for (size_t size = 0; size < legal; size++)
				assert_rejected(bytes, size, REJECT_SHORT);
			for (size_t size = legal + 1; size <= BYTES_MAX; size++)
				assert_rejected(bytes, size, REJECT_LENGTH);
		}
}

static void test_header(void **state)
{
	_Alignas(8) uint8_t bytes[BYTES_MAX];
	struct rec_hdr *hdr = (struct rec_hdr *)bytes;
	size_t size = record_make(&samples[0], false, bytes);

	(void)state;
	hdr->version = RECORD_VERSION + 1;
	assert_rejected(bytes, size, REJECT_VERSION);
	hdr->version = RECORD_VERSION;
	hdr->type = REC_NONE;
	assert_rejected(bytes, size, REJECT_TYPE);
	hdr->type = REC_NR;
	assert_rejected(bytes, size, REJECT_TYPE);
	hdr->type = 255;
	assert_rejected(bytes, size, REJECT_TYPE);
	hdr->type = REC_SEGMENT;
	hdr->flags = 0x8000;
	assert_rejected(bytes, size, REJECT_VALUE);
}

/* One byte of a legal record is bent beyond its range. */
static void test_values(void **state)
{
	static const struct {
		enum rec_type type;
		size_t offset;
		uint8_t value;
	} bends[] = {
		{ REC_SEGMENT, offsetof(struct rec_segment, snapshot.state), KS_NR },
		{ REC_SEGMENT, offsetof(struct rec_segment, snapshot.substate), KS_NR },
		{ REC_SEGMENT, offsetof(struct rec_segment, hook), 0 },
		{ REC_SEGMENT, offsetof(struct rec_segment, hook), 5 },
		{ REC_DROP, offsetof(struct rec_drop, rx_state), KS_NR },
		{ REC_RETRANSMIT, offsetof(struct rec_retransmit, kind), 0 },
		{ REC_RETRANSMIT, offsetof(struct rec_retransmit, kind), 3 },
		{ REC_RETRANSMIT, offsetof(struct rec_retransmit, state), KS_NR },
		{ REC_RESET, offsetof(struct rec_reset, state), KS_NR },
		{ REC_STATE, offsetof(struct rec_state, old_state), KS_NONE },
		{ REC_STATE, offsetof(struct rec_state, old_state), KS_NR },
		{ REC_STATE, offsetof(struct rec_state, new_state), KS_NONE },
		{ REC_STATE, offsetof(struct rec_state, new_state), KS_NR },
		{ REC_SOCKET, offsetof(struct rec_socket, snapshot.state), KS_NR },
		{ REC_LOOK, offsetof(struct rec_socket, snapshot.substate), KS_NR },
		{ REC_LOSS, offsetof(struct rec_loss, ring), RING_NR },
		{ REC_SWEEP, offsetof(struct rec_sweep, phase), 0 },
		{ REC_SWEEP, offsetof(struct rec_sweep, phase), 3 },
		{ REC_NETNS, offsetof(struct rec_netns, phase), 0 },
		{ REC_NETNS, offsetof(struct rec_netns, phase), 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bends); i++) {
		_Alignas(8) uint8_t bytes[BYTES_MAX];
		size_t at = 0, size;

		while (samples[at].type != bends[i].type)
			at++;
		size = record_make(&samples[at], false, bytes);
		bytes[bends[i].offset] = bends[i].value;
		assert_rejected(bytes, size, REJECT_VALUE);
	}
}

static void test_comm_must_end(void **state)
{
	_Alignas(8) uint8_t bytes[BYTES_MAX];
	struct rec_listen *rec = (struct rec_listen *)bytes;
	size_t size = record_make(&samples[5], false, bytes);

	(void)state;
	memset(rec->comm, 'x', sizeof(rec->comm));
	assert_rejected(bytes, size, REJECT_VALUE);
}

/* An IPv4 tuple comes out v4-mapped, local first, ports in host order. */
static void test_key_v4(void **state)
{
	_Alignas(8) uint8_t bytes[BYTES_MAX];
	struct rec_segment *rec = (struct rec_segment *)bytes;
	size_t size = record_make(&samples[0], false, bytes);
	enum reject_reason reason;
	char text[ENDPOINT_TEXT_MAX];
	struct observation obs;

	(void)state;
	rec->hdr.flags = REC_F_SENT;
	rec->snapshot.cookie = 99;
	rec->local_port = 443;
	rec->remote_port = 50000;
	memcpy(rec->addresses, "\x0a\x00\x00\x01\xc0\xa8\x01\x02", 8);
	assert_int_equal(decode(bytes, size, &obs, &reason), 0);
	assert_true(obs.sent);
	assert_int_equal(obs.cookie, 99);
	assert_memory_equal(obs.key.local_address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01", 16);
	assert_string_equal(endpoint_format(obs.key.local_address, obs.key.local_port, text),
			    "10.0.0.1:443");
	assert_string_equal(endpoint_format(obs.key.remote_address, obs.key.remote_port, text),
			    "192.168.1.2:50000");
}

static void test_key_v6(void **state)
{
	_Alignas(8) uint8_t bytes[BYTES_MAX];
	struct rec_state *rec = (struct rec_state *)bytes;
	size_t size = record_make(&samples[4], true, bytes);
	enum reject_reason reason;
	char text[ENDPOINT_TEXT_MAX];
	struct observation obs;

	(void)state;
	rec->cookie = 3;
	rec->local_port = 1;
	rec->remote_port = 65535;
	inet_pton(AF_INET6, "fd00::1", rec->addresses);
	inet_pton(AF_INET6, "2001:db8::2", rec->addresses + 16);
	assert_int_equal(decode(bytes, size, &obs, &reason), 0);
	assert_int_equal(obs.cookie, 3);
	assert_string_equal(endpoint_format(obs.key.local_address, obs.key.local_port, text),
			    "[fd00::1]:1");
	assert_string_equal(endpoint_format(obs.key.remote_address, obs.key.remote_port, text),
			    "[2001:db8::2]:65535");
}

/* The same connection by a segment, by a state change and by a sweep has the same key. */
static void test_keys_agree(void **state)
{
	_Alignas(8) uint8_t segment[BYTES_MAX], change[BYTES_MAX], socket[BYTES_MAX];
	struct rec_segment *seg = (struct rec_segment *)segment;
	struct rec_state *chg = (struct rec_state *)change;
	struct rec_socket *sock = (struct rec_socket *)socket;
	struct observation obs[3];
	enum reject_reason reason;
	size_t size;

	(void)state;
	size = record_make(&samples[0], false, segment);
	seg->local_port = 80;
	seg->remote_port = 1025;
	memcpy(seg->addresses, "\x7f\0\0\x01\x7f\0\0\x02", 8);
	assert_int_equal(decode(segment, size, &obs[0], &reason), 0);
	size = record_make(&samples[4], false, change);
	chg->local_port = 80;
	chg->remote_port = 1025;
	memcpy(chg->addresses, seg->addresses, 8);
	assert_int_equal(decode(change, size, &obs[1], &reason), 0);
	size = record_make(&samples[6], false, socket);
	sock->local_port = 80;
	sock->remote_port = 1025;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", sock->local_address);
	inet_pton(AF_INET6, "::ffff:127.0.0.2", sock->remote_address);
	assert_int_equal(decode(socket, size, &obs[2], &reason), 0);
	assert_memory_equal(&obs[0].key, &obs[1].key, sizeof(obs[0].key));
	assert_memory_equal(&obs[0].key, &obs[2].key, sizeof(obs[0].key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	   cmocka_unit_test(test_header),
		cmocka_unit_test(test_values),	   cmocka_unit_test(test_comm_must_end),
		cmocka_unit_test(test_key_v4),	   cmocka_unit_test(test_key_v6),
		cmocka_unit_test(test_keys_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
