/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the shadow would have said: a second policy over the same identities, which is counted and
 * decides nothing. docs/packet-path.md, part 8. */
#pragma once
#include "packet.h"
#include "policy.h"
#include "subject.h"
#include "verdict.h"

#define NO_TUPLE (~0u)

/* What the pair's shadow decides for an opener's tuple or, where there may have been another opener,
 * for the reversed one: the rule's number, and KRAIT_MAY_OPEN. NO_TUPLE where it knows no such pair. */
INLINE __u32 look_up_shadow(__u32 index, __u32 from_high, __u32 tuple, __u32 reversed)
{
	struct krait_pair *pair = bpf_map_lookup_elem(&shadow_pair, &index);
	__u32 decision, other;

	from_high &= 1;
	SAME_VALUE(from_high);
	if (!pair || pair->verdict_class == KRAIT_PAIR_MISSING)
		return NO_TUPLE;
	if (pair->verdict_class == KRAIT_PAIR_ALLOW_STATELESS)
		return KRAIT_MAY_OPEN | pair->rule[from_high & 1];
	if (pair->verdict_class == KRAIT_PAIR_DENY_BOTH && !pair->list[from_high & 1])
		return pair->rule[from_high & 1];
	decision = look_up_ports(pair->list[from_high & 1], tuple);
	if (decision & KRAIT_MAY_OPEN || reversed == NO_TUPLE)
		return decision;
	other = look_up_ports(pair->list[(from_high ^ 1) & 1], reversed);
	return other & KRAIT_MAY_OPEN ? other : decision;
}

/* Whether a packet without a flow can be in nothing but an open of its own. */
INLINE int is_surely_open(const struct packet *p, __u8 path)
{
	if (is_icmp(p))
		return !is_echo_reply(p);
	if (p->protocol == IPPROTO_TCP)
		return is_syn(p);
	return path == KRAIT_PATH_OPEN; /* a reply would have found its flow */
}

/* What the shadow is told of a packet and of its verdict, each in a word: numbers do not make the
 * verifier walk what is behind once for each of them. */
struct heard {
	__u16 sport, dport;
	__u8 protocol, family, tcp_flags, icmp_type;
};

struct judged {
	__u8 reason, path;
	__u8 reply; /* and TO_GROUP, of what goes to a multicast group, whose sender surely opens */
	__u8 from_high;
};

enum { TO_GROUP = KRAIT_PRINCIPAL_GROUP << 1 };

INLINE __u64 told(const struct packet *p)
{
	const struct heard heard = {
		.sport = p->sport,
		.dport = p->dport,
		.protocol = p->protocol,
		.family = p->family,
		.tcp_flags = p->tcp_flags,
		.icmp_type = p->icmp_type,
	};
	__u64 word;

	__builtin_memcpy(&word, &heard, sizeof(word));
	return word;
}

INLINE __u32 verdict_word(const struct subject *x, const struct verdict *v)
{
	const struct judged judged = {
		.reason = v->reason,
		.path = v->path,
		.reply = v->reply | x->to_group << 1,
		.from_high = x->from_high & 1,
	};
	__u32 word;

	__builtin_memcpy(&word, &judged, sizeof(word));
	return word;
}

/* Counts what the shadow would have done to a packet. Returns 1 + the index in `shadow_rules`, 0 where
 * the shadow has nothing to say.
 *
 * A function of its own, with external linkage, so that the verifier walks it once. */
__attribute__((noinline)) __u32 rehearse(struct __sk_buff *skb, __u32 index, __u64 packet,
					 __u32 verdict, __u32 dry)
{
	const struct heard *r = (void *)&packet;
	const struct judged *v = (void *)&verdict;
	struct packet p = {
		.sport = r->sport,
		.dport = r->dport,
		.protocol = r->protocol,
		.family = r->family,
		.tcp_flags = r->tcp_flags,
		.icmp_type = r->icmp_type,
	};
	const __u32 protocol = p.protocol << 16;
	__u32 from_high = v->from_high, own, reversed, decision, passes, counter;

	if (v->reason != KRAIT_PASS && v->reason != KRAIT_DENIED)
		return 0;
	own = protocol | listed(&p, p.dport);
	reversed = protocol | listed(&p, p.sport);
	if (v->reply & TO_GROUP) {
		reversed = NO_TUPLE;
	} else if (v->path == KRAIT_PATH_FLOW ? v->reply : is_icmp(&p) && is_echo_reply(&p)) {
		own = reversed; /* it was the other side that opened */
		from_high ^= 1;
		reversed = NO_TUPLE;
	} else if (v->path == KRAIT_PATH_FLOW || is_surely_open(&p, v->path)) {
		reversed = NO_TUPLE;
	}
	decision = look_up_shadow(index, from_high, own, reversed);
	if (decision == NO_TUPLE)
		return 0;
	passes = !!(decision & KRAIT_MAY_OPEN);
	counter = (decision & RULE_MASK) * KRAIT_REHEARSALS;
	if (passes != !v->reason)
		counter += passes ? KRAIT_REHEARSAL_OPENS : KRAIT_REHEARSAL_CUTS;
	if (!dry)
		count(&shadow_rules, counter, skb);
	return 1 + counter;
}
