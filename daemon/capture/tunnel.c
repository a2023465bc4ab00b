/* SPDX-License-Identifier: GPL-2.0-only */
/* From an IP packet to the IP packet that it carries. */
#include "capture/tunnel.h"

#include <stddef.h>

enum {
	PROTOCOL_IPV4 = 4,
	PROTOCOL_UDP = 17,
	PROTOCOL_IPV6 = 41,
	PROTOCOL_GRE = 47,
	PORT_VXLAN = 4789,
	PORT_VXLAN_LINUX = 8472, /* of before RFC 7348, and still the default of the kernel */
	PORT_GENEVE = 6081,
	ETHERTYPE_ETHERNET = 0x6558, /* transparent bridging, RFC 1701 */
	UDP_BYTES = 8,
};

/* The next `size` bytes, which the cursor is then behind; NULL: they were not captured. */
static const uint8_t *take(struct cursor *cursor, size_t size)
{
	const uint8_t *bytes = cursor->position;

	if (size > (size_t)((uint8_t *)cursor->end - (uint8_t *)cursor->position))
		return NULL;
	cursor->position = (uint8_t *)cursor->position + size;
	return bytes;
}

static bool is_ip(uint16_t ethertype)
{
	return ethertype == PARSE_ETHERTYPE_IPV4 || ethertype == PARSE_ETHERTYPE_IPV6;
}

static bool enter_ethertype(struct cursor *cursor, uint16_t ethertype)
{
	if (ethertype != ETHERTYPE_ETHERNET)
		return is_ip(ethertype);
	return parse_ethernet(cursor, &ethertype) == PARSE_TCP && is_ip(ethertype);
}

/* RFC 2784 §2, RFC 2890 §2: checksum, key and sequence number are there if their bits are. */
static bool enter_gre(struct cursor *cursor)
{
	const uint8_t *gre = take(cursor, 4);
	uint16_t bits;

	if (!gre)
		return false;
	bits = parse_u16(gre);
	if (bits & 0x4007) /* source routes, or the version of PPTP */
		return false;
	if (!take(cursor,
		  (bits & 0x8000 ? 4u : 0) + (bits & 0x2000 ? 4u : 0) + (bits & 0x1000 ? 4u : 0)))
		return false;
	return enter_ethertype(cursor, parse_u16(gre + 2));
}

/* RFC 7348 §5: the bit that the VNI is valid. */
static bool enter_vxlan(struct cursor *cursor)
{
	const uint8_t *vxlan = take(cursor, 8);

	return vxlan && vxlan[0] & 0x08 && enter_ethertype(cursor, ETHERTYPE_ETHERNET);
}

/* RFC 8926 §3.4: version 0, and the length of the options in words. */
static bool enter_geneve(struct cursor *cursor)
{
	const uint8_t *geneve = take(cursor, 8);

	return geneve && !(geneve[0] & 0xc0) && take(cursor, (geneve[0] & 0x3fu) * 4) &&
	       enter_ethertype(cursor, parse_u16(geneve + 2));
}

static bool enter_udp(struct cursor *cursor)
{
	const uint8_t *udp = take(cursor, UDP_BYTES);

	if (!udp)
		return false;
	switch (parse_u16(udp + 2)) {
	case PORT_VXLAN:
	case PORT_VXLAN_LINUX:
		return enter_vxlan(cursor);
	case PORT_GENEVE:
		return enter_geneve(cursor);
	default:
		return false;
	}
}

/* Behind the header, and what lies there; 0: no header, or a fragment. */
static uint8_t skip_ipv4(struct cursor *cursor)
{
	const uint8_t *ip = take(cursor, PARSE_IPV4_BYTES);
	size_t header_bytes;

	if (!ip || parse_u16(ip + 6) & 0x3fff)
		return 0;
	header_bytes = (ip[0] & 0x0fu) * 4;
	if (header_bytes < PARSE_IPV4_BYTES || !take(cursor, header_bytes - PARSE_IPV4_BYTES))
		return 0;
	return ip[9];
}

static uint8_t skip_ipv6(struct cursor *cursor)
{
	const uint8_t *ip = take(cursor, PARSE_IPV6_BYTES);
	volatile uint8_t next;

	if (!ip)
		return 0;
	next = ip[6];
	for (int i = 0; i < PARSE_IPV6_HEADERS_MAX; i++)
		if (parse_ipv6_extension(cursor, &next) != PARSE_TCP)
			break;
	return next; /* of a fragment, or a header that was cut off: its own number */
}

bool tunnel_enter(struct cursor *cursor, uint32_t *packet_bytes)
{
	struct cursor inner = *cursor;
	uint16_t ethertype;
	bool entered;

	if (parse_bare_ip(&inner, &ethertype) != PARSE_TCP)
		return false;
	switch (ethertype == PARSE_ETHERTYPE_IPV4 ? skip_ipv4(&inner) : skip_ipv6(&inner)) {
	case PROTOCOL_IPV4:
	case PROTOCOL_IPV6:
		entered = true;
		break;
	case PROTOCOL_GRE:
		entered = enter_gre(&inner);
		break;
	case PROTOCOL_UDP:
		entered = enter_udp(&inner);
		break;
	default:
		entered = false;
		break;
	}
	if (!entered)
		return false;
	*packet_bytes -= (uint32_t)((uint8_t *)inner.position - (uint8_t *)cursor->position);
	*cursor = inner;
	return true;
}
