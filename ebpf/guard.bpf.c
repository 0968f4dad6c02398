// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The guard: on ingress of the other interfaces, drops what only the tunnel may bring in, or what
 * would go past its filter. docs/adr/0024-guard.md tells which packets, and why.
 *
 * One program for every kind of interface: it reads from the network header on, wherever the device
 * has that. The stack has taken an outer VLAN tag off by then; what tags are left are skipped here. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "krait/guard.h"
#include "krait/packet.h"
#include "krait/verifier.h"

enum { MAX_TAGS = 3, MAX_EXTENSIONS = 4, PULLED_BYTES = 192, ND_HOP_LIMIT = 255 };
enum { ND_SOLICITATION = 135, ND_ADVERTISEMENT = 136 };
enum { ARP_HEADER_BYTES = 8, ARP_ASKS = 1 };

#define GUARD_MARKS(NAME, KEY)                          \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);    \
		__uint(max_entries, KRAIT_GUARD_MARKS); \
		__type(key, KEY);                       \
		__type(value, __u32);                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);   \
	} NAME SEC(".maps")

GUARD_MARKS(marks4, struct krait_guard_prefix4);
GUARD_MARKS(marks6, struct krait_guard_prefix6);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KRAIT_GUARD_REASONS);
	__type(key, __u32);
	__type(value, struct krait_guard_count);
} drops SEC(".maps");

const volatile struct krait_guard_numbers abi_numbers = {};

/* `length` bytes at `at` behind the start of the network header; 0 if it has them. What lies in pages
 * of the packet is pulled once, in the hope that it suffices. */
INLINE int read(struct __sk_buff *skb, __u32 at, void *to, __u32 length)
{
	if (!bpf_skb_load_bytes_relative(skb, at, to, length, BPF_HDR_START_NET))
		return 0;
	if (bpf_skb_pull_data(skb, skb->len < PULLED_BYTES ? skb->len : PULLED_BYTES))
		return -1;
	return bpf_skb_load_bytes_relative(skb, at, to, length, BPF_HDR_START_NET);
}

INLINE __u32 mark4(__be32 address)
{
	struct krait_guard_prefix4 key = { .length = 32 };
	__u32 *mark;

	__builtin_memcpy(key.address_be, &address, sizeof(address));
	mark = bpf_map_lookup_elem(&marks4, &key);
	return mark ? *mark : 0;
}

INLINE __u32 mark6(const struct in6_addr *address)
{
	struct krait_guard_prefix6 key = { .length = 128 };
	__u32 *mark;

	__builtin_memcpy(key.address_be, address, sizeof(*address));
	mark = bpf_map_lookup_elem(&marks6, &key);
	return mark ? *mark : 0;
}

INLINE enum krait_guard_reason judge_ends(__u32 source, __u32 destination)
{
	if (source & KRAIT_GUARD_MESH)
		return KRAIT_GUARD_SOURCE;
	return destination & KRAIT_GUARD_OWN ? KRAIT_GUARD_DESTINATION : KRAIT_GUARD_PASS;
}

/* Whoever asks for an address of this node would be answered, though it is the tunnel's; and nobody
 * here says rightly that an address of the mesh is theirs. */
INLINE enum krait_guard_reason judge_neighbour(__u32 claimed, __u32 asked)
{
	return claimed & KRAIT_GUARD_MESH || asked & KRAIT_GUARD_OWN ? KRAIT_GUARD_NEIGHBOUR
								     : KRAIT_GUARD_PASS;
}

INLINE enum krait_guard_reason judge_arp(struct __sk_buff *skb, __u32 at)
{
	struct {
		__be16 hardware, protocol;
		__u8 hardware_bytes, protocol_bytes;
		__be16 operation;
	} header;
	__be32 sender, target;
	__u32 address_at = at + ARP_HEADER_BYTES;

	if (read(skb, at, &header, sizeof(header)))
		return KRAIT_GUARD_TRUNCATED;
	if (header.protocol_bytes != sizeof(sender)) /* of no IPv4: the kernel has no use for it */
		return KRAIT_GUARD_PASS;
	address_at += header.hardware_bytes;
	if (read(skb, address_at, &sender, sizeof(sender)))
		return KRAIT_GUARD_TRUNCATED;
	address_at += sizeof(sender) + header.hardware_bytes;
	if (read(skb, address_at, &target, sizeof(target)))
		return KRAIT_GUARD_TRUNCATED;
	return judge_neighbour(mark4(sender),
			       header.operation == bpf_htons(ARP_ASKS) ? mark4(target) : 0);
}

INLINE enum krait_guard_reason judge_ipv4(struct __sk_buff *skb, __u32 at)
{
	struct iphdr ip;

	if (read(skb, at, &ip, sizeof(ip)))
		return KRAIT_GUARD_TRUNCATED;
	return judge_ends(mark4(ip.saddr), mark4(ip.daddr));
}

INLINE int is_extension(__u8 next)
{
	return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_OPTIONS;
}

/* Neighbour discovery, behind a few extension headers. The kernel would look behind more; what has more
 * and the hop limit of neighbour discovery, which nothing that was forwarded has (RFC 4861, 7.1.1), is
 * somebody's who tries. */
INLINE enum krait_guard_reason judge_icmp6(struct __sk_buff *skb, __u32 at, __u8 next,
					   __u8 hop_limit)
{
	struct {
		__u8 type, code;
		__be16 checksum;
		__be32 flags;
		struct in6_addr target;
	} nd;
	__u8 extension[2]; /* the next header; length in units of eight bytes, without the first */

#pragma unroll
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		if (!is_extension(next))
			break;
		if (read(skb, at, extension, sizeof(extension)))
			return KRAIT_GUARD_TRUNCATED;
		next = extension[0];
		at += (extension[1] + 1) * 8;
	}
	if (is_extension(next) && hop_limit == ND_HOP_LIMIT)
		return KRAIT_GUARD_TRUNCATED;
	if (next != IPPROTO_ICMPV6)
		return KRAIT_GUARD_PASS;
	if (read(skb, at, &nd.type, sizeof(nd.type)))
		return KRAIT_GUARD_TRUNCATED;
	if (nd.type != ND_SOLICITATION && nd.type != ND_ADVERTISEMENT)
		return KRAIT_GUARD_PASS;
	if (read(skb, at, &nd, sizeof(nd)))
		return KRAIT_GUARD_TRUNCATED;
	if (nd.type == ND_SOLICITATION)
		return judge_neighbour(0, mark6(&nd.target));
	return judge_neighbour(mark6(&nd.target), 0);
}

INLINE enum krait_guard_reason judge_ipv6(struct __sk_buff *skb, __u32 at)
{
	enum krait_guard_reason reason;
	struct ipv6hdr ip;

	if (read(skb, at, &ip, sizeof(ip)))
		return KRAIT_GUARD_TRUNCATED;
	reason = judge_ends(mark6(&ip.saddr), mark6(&ip.daddr));
	return reason ? reason : judge_icmp6(skb, at + sizeof(ip), ip.nexthdr, ip.hop_limit);
}

INLINE int is_tag(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

INLINE enum krait_guard_reason judge(struct __sk_buff *skb)
{
	__be16 protocol = skb->protocol, tag[2]; /* of a tag: what it says, and what follows */
	__u32 at = 0;

#pragma unroll
	for (int i = 0; i < MAX_TAGS && is_tag(protocol); i++) {
		if (read(skb, at, tag, sizeof(tag)))
			return KRAIT_GUARD_TRUNCATED;
		protocol = tag[1];
		at += sizeof(tag);
	}
	if (is_tag(protocol)) /* of VLAN 0 the stack takes off any number, and asks nobody again */
		return KRAIT_GUARD_TRUNCATED;
	if (protocol == bpf_htons(ETH_P_IP))
		return judge_ipv4(skb, at);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return judge_ipv6(skb, at);
	if (protocol == bpf_htons(ETH_P_ARP))
		return judge_arp(skb, at);
	return KRAIT_GUARD_PASS;
}

SEC("tc")
int krait_guard(struct __sk_buff *skb)
{
	__u32 reason = judge(skb), segments = skb->gso_segs;
	struct krait_guard_count *count;

	if (!reason)
		return TC_ACT_UNSPEC; /* the next program's turn */
	count = bpf_map_lookup_elem(&drops, &reason);
	if (count) {
		count->packets += segments ? segments : 1;
		count->bytes += skb->len;
	}
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
