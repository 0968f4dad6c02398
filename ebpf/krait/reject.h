/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Telling the sender of a denied packet: whether, how often, and on which way. docs/packet-path.md,
 * part 9.
 *
 * The packet itself is made the answer and turned round. It is sent back by the interface that it
 * is at, where our programs know it by a mark that no peer can set. */
#pragma once
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include "budget.h"
#include "identity.h"
#include "rejection.h"
#include "verdict.h"

/* The checksum of an inner header may still be one that a device was to fill in; and as much can be cut
 * off the front of a packet at once. */
enum { INNER_HEADERS = 128, MOST_CUT = 0xfff };

/* When ingress last sent back what has not passed egress yet: jiffies, 0 if there is nothing. */
KRAIT_MAP(returning, PERCPU_ARRAY, 1, __u32, __u64, 0);

/* Whether this is an answer of ours on its way. Where it enters the tunnel it comes right after ingress
 * sent it, on the same CPU: nobody leaves by the mark alone, nor by an answer that was lost before. */
INLINE int is_rejection(const struct __sk_buff *skb, int egress)
{
	__u32 zero = 0;
	__u64 *sent, at;

	if (!rejection_mark || skb->mark != rejection_mark)
		return 0;
	if (!egress)
		return 1;
	sent = bpf_map_lookup_elem(&returning, &zero);
	at = sent ? *sent : 0;
	if (sent)
		*sent = 0;
	return at && bpf_jiffies64() - at <= 1;
}

INLINE int may_tell(__u32 sender)
{
	__u32 index = sender * 0x9e3779b9 >> 24;
	struct krait_budget *budget = bpf_map_lookup_elem(&rejection_budgets, &index);

	return budget && take(budget, bpf_jiffies64(), KRAIT_REJECTIONS_A_SECOND,
			      KRAIT_REJECTIONS_A_SECOND, 0);
}

/* The packet becomes the answer. What is before its next header, and some more, is cut off: else the
 * kernel takes the place where a device was to put the packet's checksum for one of the answer. */
INLINE int replace(struct __sk_buff *skb, const struct denied *d, const void *answer, __u32 length)
{
	__u32 cut = d->l4 - d->l2 + INNER_HEADERS;

	if (cut > MOST_CUT)
		cut = MOST_CUT;
	return bpf_skb_change_tail(skb, d->l2 + length + cut, 0) ||
	       bpf_skb_adjust_room(skb, -(__s32)cut, BPF_ADJ_ROOM_MAC, 0) ||
	       bpf_skb_store_bytes(skb, d->l2, answer, length,
				   BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH);
}

INLINE enum krait_rejection_outcome try_to_tell(struct __sk_buff *skb, __u32 l2, const int family)
{
	const __u32 most = family == 4 ? LONGEST_ERROR4 : LONGEST_ERROR6;
	__u32 zero = 0, sender, last;
	struct krait_rejection_packet *r = bpf_map_lookup_elem(&rejection_packet, &zero);
	struct denied *d;
	const void *answer;

	if (!r)
		return KRAIT_REJECTION_FAILED;
	d = &r->denied;
	*d = (struct denied){ .l2 = l2 };
	if (!read_denied(skb, r, d, family))
		return KRAIT_REJECTION_SILENT;
	answer = family == 4 ? (void *)&r->v4 : (void *)&r->v6;
	sender = family == 4 ? r->v4.saddr
			     : r->v6.saddr.s6_addr32[1] ^ r->v6.saddr.s6_addr32[2] ^
				       r->v6.saddr.s6_addr32[3];
	if (!may_tell(sender))
		return KRAIT_REJECTION_LIMITED;
	last = last_of(write_rejection(skb, r, d, family));
	if (last >= most || replace(skb, d, answer, last + 1))
		return KRAIT_REJECTION_FAILED;
	return KRAIT_REJECTION_SENT;
}

/* What to do with a packet that was denied: drop it and, if its rule says so, send back an answer. `rule`
 * is its place in `rejecting`. Who sent a relayed packet is told on ingress.
 *
 * A function of its own, with external linkage, so that the verifier walks it once. */
__attribute__((noinline)) int reject(struct __sk_buff *skb, __u32 rule, __u32 egress)
{
	const __u32 l2 = skb->ifindex == test_ifindex ? ETH_HLEN : 0, segments = skb->gso_segs,
		    bytes = skb->len;
	__u32 slot = rule >= n_rules, zero = 0;
	__u64 *sent;
	struct krait_self *here = bpf_map_lookup_elem(&self, &slot);
	__u32 *rejects = bpf_map_lookup_elem(&rejecting, &rule);
	enum krait_rejection_outcome outcome;

	if (!here || !rejects || !*rejects)
		return TC_ACT_SHOT;
	if (egress ? came_in_here(skb) : !(here->flags & KRAIT_SELF_REJECT_INGRESS))
		return TC_ACT_SHOT;
	outcome = skb->protocol == bpf_htons(ETH_P_IP) ? try_to_tell(skb, l2, 4)
						       : try_to_tell(skb, l2, 6);
	add(&rejections, outcome, segments, bytes); /* of the packet that was denied */
	if (outcome != KRAIT_REJECTION_SENT)
		return TC_ACT_SHOT;
	skb->mark = rejection_mark;
	if (egress)
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	sent = bpf_map_lookup_elem(&returning, &zero);
	if (sent)
		*sent = bpf_jiffies64();
	return bpf_redirect(skb->ifindex, 0);
}
