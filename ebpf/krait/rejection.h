/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet that tells a sender that its own was denied: a TCP reset (RFC 9293, 3.10.7.1) or an ICMP
 * error (RFC 792 and 1812; RFC 4443). docs/packet-path.md, part 9. */
#pragma once
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include "maps.h"
#include "packet.h"

enum { ICMP_PACKET_FILTERED = 13, ICMP6_UNREACHABLE = 1, ICMP6_PROHIBITED = 1 };
enum { IP_DONT_FRAGMENT = 0x4000, HOPS = 64 };

/* The longest ICMP error, with its IP header: in IPv4 576 bytes (RFC 1812, 4.3.2.3), in IPv6 what fits
 * any link (RFC 4443, 2.4 (c)). What the IP header and ICMP's eight bytes leave of that is a quotation
 * of the denied packet. */
enum { LONGEST_ERROR4 = 576, LONGEST_ERROR6 = 1280 };
enum { QUOTED4 = LONGEST_ERROR4 - 20 - 8, QUOTED6 = LONGEST_ERROR6 - 40 - 8, CHUNK = 512 };

/* The parts of a denied packet: offsets from skb->data of its own IP header, of the next one, and of its
 * end. It was judged, so they are known to be good; here they are only found again, for the sake of the
 * stack, which is nearly full. */
struct denied {
	__u32 l2, l4, end;
	__u32 protocol, is_fragment;
	struct tcphdr tcp;
};

/* Both IP headers end where the next one begins. */
struct krait_rejection_packet {
	union {
		struct {
			__u8 before[20];
			struct iphdr v4;
		};
		struct ipv6hdr v6;
	};
	union {
		struct tcphdr tcp;
		struct {
			__u8 type, code;
			__sum16 check;
			__be32 zero;
			__u8 quoted[QUOTED6];
		} icmp;
		__u8 l4[8 + QUOTED6];
	};
	__u32 padding; /* of an odd end */
	struct denied denied;
};

KRAIT_MAP(rejection_packet, PERCPU_ARRAY, 1, __u32, struct krait_rejection_packet, 0);

INLINE __sum16 folded(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

INLINE int find_parts4(const struct iphdr *ip, struct denied *d)
{
	__u32 fragment = bpf_ntohs(ip->frag_off);

	d->l4 = d->l2 + ip->ihl * 4;
	d->end = d->l2 + bpf_ntohs(ip->tot_len);
	d->protocol = ip->protocol;
	d->is_fragment = !!(fragment & (IP_OFFSET_MASK | IP_MORE_FRAGMENTS));
	return !(fragment & IP_OFFSET_MASK) && bpf_ntohl(ip->daddr) >> 28 != 0xe;
}

INLINE int find_parts6(struct __sk_buff *skb, const struct ipv6hdr *ip, struct denied *d)
{
	d->l4 = d->l2 + sizeof(*ip);
	d->end = d->l4 + bpf_ntohs(ip->payload_len);
	d->protocol = ip->nexthdr;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		__u8 h[4];

		if (d->protocol != NEXT_HOP_BY_HOP && d->protocol != NEXT_ROUTING &&
		    d->protocol != NEXT_FRAGMENT && d->protocol != NEXT_OPTIONS)
			break;
		if (bpf_skb_load_bytes(skb, d->l4, h, sizeof(h)))
			return 0;
		if (d->protocol == NEXT_FRAGMENT) {
			d->is_fragment = 1;
			if (h[2] || h[3] & 0xf8)
				return 0;
			d->l4 += 8;
		} else {
			d->l4 += (h[1] + 1) * 8;
		}
		d->protocol = h[0];
	}
	return ip->daddr.s6_addr[0] != 0xff;
}

/* The IP header and, of TCP, the next one: what there is to answer. 0 if it may not be: an ICMP error, a
 * segment that resets, or one in fragments, of which nobody knows the length; a later fragment, or what
 * went to a group. */
INLINE int read_denied(struct __sk_buff *skb, struct krait_rejection_packet *r, struct denied *d,
		       const int family)
{
	const struct tcphdr *tcp = &d->tcp;
	__u8 type;

	if (bpf_skb_load_bytes(skb, d->l2, family == 4 ? (void *)&r->v4 : (void *)&r->v6,
			       family == 4 ? sizeof(r->v4) : sizeof(r->v6)) ||
	    !(family == 4 ? find_parts4(&r->v4, d) : find_parts6(skb, &r->v6, d)))
		return 0;
	if (d->protocol == (family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return !bpf_skb_load_bytes(skb, d->l4, &type, 1) && !is_error_type(family, type);
	if (d->protocol != IPPROTO_TCP)
		return 1;
	if (d->is_fragment || bpf_skb_load_bytes(skb, d->l4, &d->tcp, sizeof(*tcp)))
		return 0;
	return !tcp->rst && tcp->doff * 4 >= sizeof(*tcp) && d->l4 + tcp->doff * 4 <= d->end;
}

INLINE void write_reset(struct krait_rejection_packet *r, const struct denied *d)
{
	const struct tcphdr *denied = &d->tcp;

	__builtin_memset(&r->tcp, 0, sizeof(r->tcp));
	r->tcp.source = denied->dest;
	r->tcp.dest = denied->source;
	r->tcp.doff = sizeof(r->tcp) / 4;
	r->tcp.rst = 1;
	if (denied->ack) {
		r->tcp.seq = denied->ack_seq;
	} else {
		__u32 length = d->end - d->l4 - denied->doff * 4 + denied->syn + denied->fin;

		r->tcp.ack = 1;
		r->tcp.ack_seq = bpf_htonl(bpf_ntohl(denied->seq) + length);
	}
}

/* Its length, 0 if the packet cannot be quoted. */
INLINE __u32 write_error(struct __sk_buff *skb, struct krait_rejection_packet *r,
			 const struct denied *d, const int family)
{
	const __u32 most = family == 4 ? QUOTED4 : QUOTED6;
	__u32 length = d->end - d->l2, last;

	last = last_of(length > most ? most : length);
	if (last >= most || bpf_skb_load_bytes(skb, d->l2, r->icmp.quoted, last + 1))
		return 0;
	length = last + 1;
	__builtin_memset(r->icmp.quoted + length, 0, 4); /* the checksum is of whole words */
	r->icmp.type = family == 4 ? ICMP_DEST_UNREACH : ICMP6_UNREACHABLE;
	r->icmp.code = family == 4 ? ICMP_PACKET_FILTERED : ICMP6_PROHIBITED;
	r->icmp.check = 0;
	r->icmp.zero = 0;
	return 8 + length;
}

/* From the denied packet's addresses to those of its answer, which is from whom it went to. Returns
 * what the next header's checksum begins with. */
INLINE __u64 write_ipv4(struct krait_rejection_packet *r, __u8 protocol, __u32 length)
{
	const __be32 source = r->v4.saddr, destination = r->v4.daddr;

	__builtin_memset(&r->v4, 0, sizeof(r->v4));
	r->v4.version = 4;
	r->v4.ihl = sizeof(r->v4) / 4;
	r->v4.tot_len = bpf_htons(sizeof(r->v4) + length);
	r->v4.frag_off = bpf_htons(IP_DONT_FRAGMENT);
	r->v4.ttl = HOPS;
	r->v4.protocol = protocol;
	r->v4.saddr = destination;
	r->v4.daddr = source;
	r->v4.check = folded(bpf_csum_diff(0, 0, (void *)&r->v4, sizeof(r->v4), 0));
	if (protocol == IPPROTO_ICMP)
		return 0;
	return bpf_csum_diff(0, 0, (void *)&r->v4.saddr, 8, bpf_htonl(protocol + length));
}

INLINE __u64 write_ipv6(struct krait_rejection_packet *r, __u8 protocol, __u32 length)
{
	__be32 *source = r->v6.saddr.s6_addr32, *destination = r->v6.daddr.s6_addr32;

	*(__be32 *)&r->v6 = bpf_htonl(6 << 28);
	r->v6.payload_len = bpf_htons(length);
	r->v6.nexthdr = protocol;
	r->v6.hop_limit = HOPS;
	for (int i = 0; i < 4; i++) {
		const __be32 word = source[i];

		source[i] = destination[i];
		destination[i] = word;
	}
	return bpf_csum_diff(0, 0, (void *)&r->v6.saddr, 32, bpf_htonl(protocol + length));
}

INLINE __sum16 checksum(struct krait_rejection_packet *r, __u32 length, __u64 sum)
{
	for (__u32 at = 0; at < sizeof(r->l4); at += CHUNK) {
		const __u32 room = sizeof(r->l4) - at < CHUNK ? sizeof(r->l4) - at : CHUNK;
		__u32 part = (length - at + 3) & ~3u;

		if (length <= at)
			break;
		if (part > room)
			part = room;
		SAME_VALUE(part);
		if (part > room)
			break;
		sum = bpf_csum_diff(0, 0, (void *)(r->l4 + at), part, sum);
	}
	return folded(sum);
}

/* Makes the answer. The length of all of it, 0 if there can be none. */
INLINE __u32 write_rejection(struct __sk_buff *skb, struct krait_rejection_packet *r,
			     const struct denied *d, const int family)
{
	const __u8 icmp = family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	const __u8 protocol = d->protocol == IPPROTO_TCP ? IPPROTO_TCP : icmp;
	__u32 length = sizeof(r->tcp);
	__u64 sum;

	if (protocol == IPPROTO_TCP)
		write_reset(r, d);
	else
		length = write_error(skb, r, d, family);
	if (!length)
		return 0;
	sum = family == 4 ? write_ipv4(r, protocol, length) : write_ipv6(r, protocol, length);
	if (protocol == IPPROTO_TCP)
		r->tcp.check = checksum(r, length, sum);
	else
		r->icmp.check = checksum(r, length, sum);
	return length + (family == 4 ? sizeof(r->v4) : sizeof(r->v6));
}
