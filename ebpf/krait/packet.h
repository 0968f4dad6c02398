/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a packet once its headers are read, and what follows from that. No bytes are read
 * here: `parse.h` does that. */
#pragma once
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "verifier.h"

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };
enum { NEXT_HOP_BY_HOP = 0, NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, NEXT_OPTIONS = 60 };
enum { MAX_EXTENSION_HEADERS = 4 };

/* RFC 792, 1256, 4443 and 4861; <linux/icmp.h> would pull in libc. */
enum {
	ICMP_ECHOREPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_REDIRECT = 5,
	ICMP_ECHO = 8,
	ICMP_ROUTER_ADVERTISEMENT = 9,
	ICMP_ROUTER_SOLICITATION = 10,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
	ICMP6_FIRST_INFORMATIONAL = 128,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_ROUTER_SOLICITATION = 133, /* the first of neighbour discovery's five */
	ICMP6_REDIRECT = 137,		 /* the last */
};

enum { IP_MORE_FRAGMENTS = 0x2000, IP_OFFSET_MASK = 0x1fff };

/* Which part of a datagram a packet is; all 0 if it is all of it. */
struct fragment {
	__u32 id;      /* in no byte order: it is only compared */
	__u32 offset;  /* in bytes */
	__u32 length;  /* in bytes, the headers of each fragment not counted */
	__u8 is_one;   /* there are others */
	__u8 protocol; /* of the key: IPv6 tells datagrams apart without one */
};

struct packet {
	__u64 src[2], dst[2];
	__u32 l4, end;	    /* offsets from skb->data: the next header; the end of the IP packet */
	__u16 sport, dport; /* for ICMP, both are the echo identifier */
	__u8 family, protocol, tcp_flags, icmp_type;
	struct fragment fragment;
};

INLINE int is_icmp(const struct packet *p)
{
	return p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6;
}

INLINE int is_icmp_of_its_family(const struct packet *p)
{
	return p->protocol == (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

INLINE int is_error_type(__u8 family, __u8 type)
{
	if (family == 6)
		return type < ICMP6_FIRST_INFORMATIONAL;
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

INLINE int is_icmp_error(const struct packet *p)
{
	return is_error_type(p->family, p->icmp_type);
}

/* What a host takes routes or neighbours from: a peer that may send pings is not to become its router. */
INLINE int steers_hosts(const struct packet *p)
{
	if (p->family == 6)
		return p->icmp_type >= ICMP6_ROUTER_SOLICITATION && p->icmp_type <= ICMP6_REDIRECT;
	return p->icmp_type == ICMP_REDIRECT || p->icmp_type == ICMP_ROUTER_ADVERTISEMENT ||
	       p->icmp_type == ICMP_ROUTER_SOLICITATION;
}

INLINE int is_echo_request(const struct packet *p)
{
	return p->icmp_type == (p->family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
}

INLINE int is_echo_reply(const struct packet *p)
{
	return p->icmp_type == (p->family == 4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
}

INLINE int is_syn(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP &&
	       (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

INLINE int is_segment(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
}

INLINE int is_multicast(__u8 family, const __u64 *address)
{
	return family == 4 ? address[1] >> 28 == 0xe : address[0] >> 56 == 0xff;
}
