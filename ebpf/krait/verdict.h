/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What was decided, and counting it. */
#pragma once
#include "maps.h"
#include "packet.h"

struct verdict {
	enum krait_reason reason;
	__u32 peer; /* far's, once it is known */
	__u16 rule; /* where the policy decided: it let pass or denied */
	__u8 path;  /* enum krait_path */
	__u8 relayed;
	__u8 reply; /* on path FLOW: the packet travels against its flow's opener */
};

INLINE void add(void *counters, __u32 index, __u32 segments, __u32 bytes)
{
	struct krait_count *c = bpf_map_lookup_elem(counters, &index);

	if (!c)
		return;
	c->packets += segments ? segments : 1;
	c->bytes += bytes;
	c->last = bpf_jiffies64();
}

INLINE void count(void *counters, __u32 index, const struct __sk_buff *skb)
{
	add(counters, index, skb->gso_segs, skb->len);
}

/* True for a relayed packet that ingress of this interface has counted already. The two hooks run
 * one after the other on one CPU unless the stack queues the packet in between; then it counts
 * twice. */
INLINE int counted_before(const struct packet *p, int egress)
{
	__u64 addresses = p->src[0] * 0x9e3779b97f4a7c15 + p->src[1] * 0xc2b2ae3d27d4eb4f +
			  p->dst[0] * 0x165667b19e3779f9 + p->dst[1] * 0xff51afd7ed558ccd + 1;
	__u32 zero = 0;
	__u64 *last = bpf_map_lookup_elem(&relayed, &zero), seen;

	if (!last)
		return 0;
	seen = *last;
	*last = egress ? 0 : addresses;
	return egress && seen == addresses;
}

INLINE void record(const struct __sk_buff *skb, const struct verdict *v)
{
	if (v->reason == KRAIT_PASS || v->reason == KRAIT_DENIED)
		count(&rules, v->rule, skb);
	if (v->reason == KRAIT_PASS)
		return;
	count(&reasons, v->reason, skb);
	count(&peers, v->peer, skb);
}
