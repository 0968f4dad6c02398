/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes to a packet: IP headers and the next one. docs/packet-path.md, parts 2 and 3.
 *
 * The packet's own headers are read in place where they are linear; those inside an ICMP error are
 * copied, since they may start anywhere. */
#pragma once
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"
#include "packet.h"

/* `length` bytes at `offset` in the linear part, pulled there if they lie in a fragment of the skb.
 * Pulling invalidates every pointer taken before. */
INLINE void *linear(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	void *at = (void *)(long)skb->data + offset;

	SAME_VALUE(at);
	if (at + length > (void *)(long)skb->data_end) {
		if (bpf_skb_pull_data(skb, offset + length))
			return 0;
		at = (void *)(long)skb->data + offset;
		SAME_VALUE(at);
		if (at + length > (void *)(long)skb->data_end)
			return 0;
	}
	return at;
}

/* 240.0.0.0/4, with the broadcast address, and ffff::/16 are nobody's, not even a group's. What goes
 * to a group is answered by nobody, so that an ICMP error about it (`inner`) is a lie. */
INLINE enum krait_reason classify_addresses(const struct packet *p, const int inner)
{
	if (p->family == 4) {
		if (p->src[1] >> 29 == 7)
			return KRAIT_MALFORMED;
		return p->dst[1] >> 28 >= (inner ? 0xe : 0xf) ? KRAIT_MULTICAST : KRAIT_PASS;
	}
	if (p->src[0] >> 56 == 0xff)
		return KRAIT_MALFORMED;
	return p->dst[0] >> 48 >= (inner ? 0xff00 : 0xffff) ? KRAIT_MULTICAST : KRAIT_PASS;
}

/* Later fragments are judged with the first, of which only the datagram's own words tell: what they
 * say must be possible. What an ICMP error quotes (`inner`) was cut, so that its lengths say nothing,
 * and it must hold the ports. */
INLINE enum krait_reason read_fragment(struct packet *p, __u32 offset, int more, __u32 at,
				       const int inner)
{
	__u32 length = p->end - at;

	if (!offset && !more)
		return KRAIT_PASS;
	if (inner)
		return offset ? KRAIT_FRAGMENT : KRAIT_PASS;
	if (!length || (more && length & 7) || offset + length > 0xffff)
		return KRAIT_MALFORMED;
	p->fragment.is_one = 1;
	p->fragment.offset = offset;
	p->fragment.length = length;
	return KRAIT_PASS;
}

INLINE enum krait_reason read_ipv4(const struct iphdr *ip, __u32 at, struct packet *p,
				   const int inner)
{
	__u32 header = ip->ihl * 4, fragment;
	enum krait_reason reason;

	if (header < sizeof(*ip) || at + header > p->end)
		return KRAIT_MALFORMED;
	fragment = bpf_ntohs(ip->frag_off);
	p->fragment.id = ip->id;
	p->fragment.protocol = ip->protocol;
	reason = read_fragment(p, (fragment & IP_OFFSET_MASK) * 8, fragment & IP_MORE_FRAGMENTS,
			       at + header, inner);
	if (reason)
		return reason;
	p->family = 4;
	p->protocol = ip->protocol;
	p->l4 = at + header;
	p->src[1] = bpf_ntohl(ip->saddr);
	p->dst[1] = bpf_ntohl(ip->daddr);
	return classify_addresses(p, inner);
}

INLINE __u64 u64_be(const __be32 *word)
{
	return (__u64)bpf_ntohl(word[0]) << 32 | bpf_ntohl(word[1]);
}

/* Sets all but the protocol and l4, which lie behind the extension headers. */
INLINE void read_ipv6(const struct ipv6hdr *ip, struct packet *p)
{
	const __be32 *src = ip->saddr.s6_addr32, *dst = ip->daddr.s6_addr32;

	p->family = 6;
	p->src[0] = u64_be(src);
	p->src[1] = u64_be(src + 2);
	p->dst[0] = u64_be(dst);
	p->dst[1] = u64_be(dst + 2);
}

INLINE enum krait_reason skip_extensions(struct __sk_buff *skb, __u8 next, __u32 at,
					 struct packet *p, const int inner)
{
	int fragments = 0;

#pragma unroll
	for (int i = 0; i <= MAX_EXTENSION_HEADERS; i++) {
		struct {
			__u8 next, length, type, segments_left;
			__u32 id; /* of a fragment */
		} h;
		enum krait_reason reason;
		__u32 length, fragment;

		if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_FRAGMENT &&
		    next != NEXT_OPTIONS)
			break;
		if (i == MAX_EXTENSION_HEADERS || (i && next == NEXT_HOP_BY_HOP) ||
		    (fragments && next == NEXT_FRAGMENT))
			return KRAIT_MALFORMED;
		if (bpf_skb_load_bytes(skb, at, &h, sizeof(h)))
			return KRAIT_MALFORMED;
		length = next == NEXT_FRAGMENT ? 8 : (h.length + 1) * 8;
		if (at + length > p->end)
			return KRAIT_MALFORMED;
		if (next == NEXT_ROUTING && h.segments_left)
			return KRAIT_SOURCE_ROUTE;
		at += length;
		if (next == NEXT_FRAGMENT) {
			fragments = 1;
			fragment = h.type << 8 | h.segments_left;
			reason = read_fragment(p, fragment & 0xfff8, fragment & 1, at, inner);
			if (reason)
				return reason;
			p->fragment.id = h.id;
		}
		next = h.next;
		if (p->fragment.offset) /* what follows is data */
			break;
	}
	p->protocol = next;
	p->l4 = at;
	return classify_addresses(p, inner);
}

/* The packet's own IP header, at offset `at`. */
INLINE enum krait_reason parse_ip(struct __sk_buff *skb, __u32 at, struct packet *p)
{
	struct iphdr *ip4 = linear(skb, at, sizeof(*ip4));
	struct ipv6hdr *ip6;
	__u32 total;

	if (!ip4)
		return KRAIT_MALFORMED;
	if (ip4->version == 4) {
		total = bpf_ntohs(ip4->tot_len);
		if (skb->protocol != bpf_htons(ETH_P_IP) || total > skb->len - at)
			return KRAIT_MALFORMED;
		p->end = at + total;
		return read_ipv4(ip4, at, p, 0);
	}
	if (ip4->version != 6 || skb->protocol != bpf_htons(ETH_P_IPV6))
		return KRAIT_MALFORMED;
	ip6 = linear(skb, at, sizeof(*ip6));
	if (!ip6)
		return KRAIT_MALFORMED;
	total = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	if (total > skb->len - at)
		return KRAIT_MALFORMED;
	p->end = at + total;
	read_ipv6(ip6, p);
	return skip_extensions(skb, ip6->nexthdr, at + sizeof(*ip6), p, 0);
}

/* The IP header of the packet inside the ICMP error `outer`; it need not be whole, and its own idea
 * of its length does not matter. */
INLINE enum krait_reason parse_inner_ip(struct __sk_buff *skb, const struct packet *outer,
					struct packet *p)
{
	union {
		struct iphdr v4;
		struct ipv6hdr v6;
	} h;
	__u32 at = outer->l4 + 8;

	p->end = outer->end;
	if (at + sizeof(h.v4) > p->end || bpf_skb_load_bytes(skb, at, &h, sizeof(h.v4)))
		return KRAIT_MALFORMED;
	if (h.v4.version == 4)
		return read_ipv4(&h.v4, at, p, 1);
	if (h.v4.version != 6 || at + sizeof(h.v6) > p->end ||
	    bpf_skb_load_bytes(skb, at, &h, sizeof(h.v6)))
		return KRAIT_MALFORMED;
	read_ipv6(&h.v6, p);
	return skip_extensions(skb, h.v6.nexthdr, at + sizeof(h.v6), p, 1);
}

/* Ports, TCP flags, ICMP type and identifier. TCP inside an error may end after 8 bytes, and its
 * flags do not matter. */
INLINE enum krait_reason parse_l4(struct __sk_buff *skb, struct packet *p, const int inner)
{
	const int tcp = p->protocol == IPPROTO_TCP;
	__u32 need = tcp && !inner ? 14 : 8, at = p->l4;
	void *direct = (void *)(long)skb->data + (at & 255);
	__u8 h[14] = {};

	if (!tcp && p->protocol != IPPROTO_UDP && p->protocol != IPPROTO_SCTP && !is_icmp(p))
		return KRAIT_PASS;
	if (at + need > p->end)
		return KRAIT_MALFORMED;
	SAME_VALUE(direct);
	if (!inner && at < 256 && direct + 14 <= (void *)(long)skb->data_end)
		__builtin_memcpy(h, direct, 14);
	else if (tcp && !inner ? bpf_skb_load_bytes(skb, at, h, 14)
			       : bpf_skb_load_bytes(skb, at, h, 8))
		return KRAIT_MALFORMED;
	p->icmp_type = h[0];
	p->tcp_flags = h[13];
	p->sport = is_icmp(p) ? h[4] << 8 | h[5] : h[0] << 8 | h[1];
	p->dport = is_icmp(p) ? p->sport : h[2] << 8 | h[3];
	return KRAIT_PASS;
}
