/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments, which bear no ports: they pass where the first one of their datagram did.
 * docs/packet-path.md, part 7. */
#pragma once
#include "clock.h"
#include "packet.h"
#include "policy.h"
#include "subject.h"
#include "verdict.h"

INLINE int is_later_fragment(const struct packet *p)
{
	return !!p->fragment.offset;
}

INLINE struct krait_fragment_key datagram_of(const struct subject *x)
{
	const struct packet *p = x->p;
	struct krait_fragment_key key = {
		.src = { p->src[0], p->src[1] },
		.dst = { p->dst[0], p->dst[1] },
		.id = p->fragment.id,
		.protocol = p->fragment.protocol,
		.family = p->family,
		.egress = x->egress,
	};

	return key;
}

/* A first fragment passed: let its others. If the table takes no entry they drop, all the same. */
INLINE void expect_fragments(const struct subject *x, __u16 rule)
{
	struct krait_fragment_key key = datagram_of(x);
	struct krait_fragment entry = {
		.revision = x->state->revision,
		.seen = bpf_jiffies64(),
		.end = x->p->fragment.length,
		.rule = rule,
	};

	bpf_map_update_elem(&fragments, &key, &entry, BPF_ANY);
}

/* Elements of an LRU map are recycled under their readers: what is read of one may be another
 * datagram's, of this instant, which passed by the same policy. */
INLINE enum krait_reason judge_fragment(const struct subject *x, struct verdict *v)
{
	struct krait_fragment_key key = datagram_of(x);
	struct krait_fragment *first = bpf_map_lookup_elem(&fragments, &key);

	v->path = KRAIT_PATH_FRAGMENT;
	if (!first || first->revision != x->state->revision ||
	    (__u32)bpf_jiffies64() - first->seen + CLOCK_SLACK > fragment_ticks + CLOCK_SLACK)
		return KRAIT_FRAGMENT;
	if (x->ending &&
	    !(until_its_end(x->state->slot, KRAIT_MAY_OPEN | first->rule) & KRAIT_MAY_OPEN))
		return KRAIT_FRAGMENT;
	if (x->p->fragment.offset < first->end)
		return KRAIT_FRAGMENT_OVERLAP;
	v->rule = first->rule;
	return KRAIT_PASS;
}
