/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What two identities may do to each other. docs/packet-path.md, part 5. */
#pragma once
#include "identity.h"
#include "subject.h"

#define NO_INDEX (~0u) /* no array is as long */
#define LIST_LENGTH_MASK ((1u << KRAIT_LIST_LENGTH_BITS) - 1)

INLINE __u32 index_of_pair(const struct state *s, const struct sides *sides)
{
	const struct krait_principal *row = &sides->near, *column = &sides->far;
	__u32 index;

	if (pair_layout == KRAIT_LAYOUT_TRIANGLE && row->identity < column->identity) {
		row = &sides->far;
		column = &sides->near;
	}
	index = row->row + (column->identity - KRAIT_FIRST_IDENTITY);
	return index < n_pair ? index + s->slot * n_pair : NO_INDEX;
}

#define RULE_MASK (KRAIT_MAY_OPEN - 1)

/* What a list decides for a tuple: KRAIT_MAY_OPEN or not, and the number of the rule. The last interval
 * that starts at or below the tuple, by bisection, decides; one in no interval is denied by default.
 *
 * A function of its own, with external linkage, so that the verifier walks it once and not wherever
 * it is called (Linux 5.6). */
__attribute__((noinline)) __u32 look_up_ports(__u32 list, __u32 tuple)
{
	__u32 length = list & LIST_LENGTH_MASK, at = list >> KRAIT_LIST_LENGTH_BITS;
	__u64 *interval, found;

	if (!length)
		return 0;
	for (int i = 0; i < KRAIT_LIST_LENGTH_BITS && length > 1; i++) {
		__u32 half = length >> 1, middle = at + half;

		interval = bpf_map_lookup_elem(&ports, &middle);
		if (!interval)
			return 0;
		if (*interval >> 40 <= tuple)
			at = middle;
		length -= half;
	}
	interval = bpf_map_lookup_elem(&ports, &at);
	if (!interval)
		return 0;
	found = *interval;
	if (found >> 40 > tuple || (found >> 16 & 0xffffff) < tuple)
		return 0;
	return found & (KRAIT_MAY_OPEN | RULE_MASK);
}

/* The decision, or a denial under the same rule once that has ended. The clock goes on through a
 * suspend. */
__attribute__((noinline)) __u32 until_its_end(__u32 slot, __u32 decision)
{
	__u32 rule = decision & RULE_MASK, index = (slot & 1) * n_rules + rule;
	struct krait_self *here;
	__u64 *end;

	slot &= 1;
	if (!(decision & KRAIT_MAY_OPEN))
		return decision;
	here = bpf_map_lookup_elem(&self, &slot);
	end = bpf_map_lookup_elem(&ends, &index);
	if (!here || !end || rule >= n_rules)
		return rule;
	return *end && bpf_ktime_get_boot_ns() + here->clock_ns >= *end ? rule : decision;
}

/* The port that a list is asked about. Of ICMP that is the type: the two "ports" of an echo are its
 * identifier, which no rule names. A reply belongs to what its request opened. */
INLINE __u16 listed(const struct packet *p, __u16 port)
{
	if (!is_icmp(p))
		return port;
	if (is_echo_reply(p))
		return p->family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	return p->icmp_type;
}

/* May the packet's own tuple open; or, reversed, may its receiver's? */
INLINE __u32 decide(const struct subject *x, int reversed)
{
	__u16 port = listed(x->p, reversed ? x->p->sport : x->p->dport);
	__u32 opener = x->from_high ^ reversed, decision;

	SAME_VALUE(opener); /* the mask stays behind the `^`, of which 6.1 knows no bounds */
	decision = look_up_ports(x->pair->list[opener & 1], x->p->protocol << 16 | port);
	return x->ending ? until_its_end(x->state->slot, decision) : decision;
}
