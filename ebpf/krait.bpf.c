// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Krait's two programs, on a WireGuard interface at TC. docs/packet-path.md tells what they ask of
 * a packet; each header answers one part of it. */
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include "krait/flow.h"
#include "krait/fragment.h"
#include "krait/parse.h"
#include "krait/reject.h"
#include "krait/shadow.h"

/* From here on it is the packet inside the error that is judged. */
INLINE enum krait_reason enter_error(struct subject *x)
{
	struct packet inner = {};
	enum krait_reason reason;

	if (x->p->fragment.is_one || parse_inner_ip(x->skb, x->p, &inner) ||
	    inner.family != x->p->family || parse_l4(x->skb, &inner, 1))
		return KRAIT_BAD_ERROR;
	if (is_icmp(&inner) &&
	    (!is_icmp_of_its_family(&inner) || is_icmp_error(&inner) || steers_hosts(&inner)))
		return KRAIT_BAD_ERROR;
	reason = check_error(x, &inner);
	*x->p = inner;
	x->error = 1;
	return reason;
}

INLINE enum krait_reason judge_pair(struct subject *x, const struct sides *sides, struct verdict *v)
{
	enum krait_reason reason;
	__u32 verdict_class, index = index_of_pair(x->state, sides);
	int from_high, is_listed, unreadable = 0;

	x->pair = bpf_map_lookup_elem(&pair, &index);
	if (!x->pair)
		return KRAIT_NO_PAIR;
	from_high = x->leaves ? sides->near.identity > sides->far.identity
			      : sides->far.identity > sides->near.identity;
	x->from_high = opaque(from_high, x->skb->len);
	verdict_class = x->pair->verdict_class;
	v->path = KRAIT_PATH_PAIR;
	v->rule = x->pair->rule[x->from_high & 1];
	x->ending = verdict_class == KRAIT_PAIR_ENDING;
	is_listed = verdict_class == KRAIT_PAIR_STATEFUL || verdict_class == KRAIT_PAIR_ENDING ||
		    (verdict_class == KRAIT_PAIR_DENY_BOTH && x->pair->list[x->from_high & 1]);
	if ((is_listed || shadowing) && !x->error && !is_icmp(x->p) && !is_later_fragment(x->p))
		unreadable = !!parse_l4(x->skb, x->p, 0);
	if (shadowing && !x->error && !unreadable && !is_later_fragment(x->p))
		x->rehearsed_pair = index;
	if (verdict_class == KRAIT_PAIR_ALLOW_STATELESS)
		return KRAIT_PASS;
	if (verdict_class == KRAIT_PAIR_DENY_BOTH && !is_listed)
		return KRAIT_DENIED;
	if (!is_listed)
		return KRAIT_NO_PAIR;
	if (is_later_fragment(x->p))
		return judge_fragment(x, v);
	if (unreadable)
		return KRAIT_MALFORMED;
	x->p->protocol = opaque(x->p->protocol, x->skb->len);
	if (verdict_class == KRAIT_PAIR_DENY_BOTH) { /* the list only says by which rule */
		v->rule = decide(x, 0) & RULE_MASK;
		return KRAIT_DENIED;
	}
	reason = judge_flow(x, v);
	if (!reason && x->p->fragment.is_one && !x->dry)
		expect_fragments(x, v->rule);
	return reason;
}

INLINE enum krait_reason judge(struct subject *x, __u32 l2, struct verdict *v)
{
	struct sides sides = {};
	enum krait_reason reason;

	if (!read_state(x->state))
		return KRAIT_NOT_READY;
	reason = parse_ip(x->skb, l2, x->p);
	if (reason)
		return reason;
	if (is_icmp(x->p) && !is_icmp_of_its_family(x->p))
		return KRAIT_MALFORMED;
	if (is_icmp(x->p) && !is_later_fragment(x->p)) {
		if (parse_l4(x->skb, x->p, 0))
			return KRAIT_MALFORMED;
		if (steers_hosts(x->p))
			return KRAIT_REDIRECT;
		if (is_icmp_error(x->p)) {
			reason = enter_error(x);
			if (reason)
				return reason;
		}
	}
	x->leaves = x->egress ^ x->error; /* what an error is about went the other way */
	reason = find_sides(x, &sides);
	v->peer = sides.far.peer;
	v->relayed = !!sides.near.peer;
	x->to_group = (sides.near.flags | sides.far.flags) & KRAIT_PRINCIPAL_GROUP;
	if (reason)
		return reason_of_sides(x->p, reason);
	return judge_pair(x, &sides, v);
}

/* 1 if the two differ, else 0. By arithmetic, which hides the value from the verifier: at a branch it
 * would walk everything behind it twice. */
INLINE __u32 differ(__u32 a, __u32 b)
{
	__u64 sign = -(__u64)(a ^ b) >> 63;

	asm volatile("" : "+r"(sign));
	return sign;
}

/* BPF_PROG_TEST_RUN puts an Ethernet header before the packet. It is the only one to run us on
 * loopback, and there, or on the interface under test, that header is skipped. Linux 6.1 does not
 * know of `|` between variables that it stays below 2, so the two are joined by `&`. */
INLINE int krait(struct __sk_buff *skb, const int egress, struct verdict *v)
{
	const __u32 not_loopback = differ(skb->ifindex, 1);
	const __u32 not_test = differ(skb->ifindex, test_ifindex);
	struct packet p = {};
	struct state s = {};
	__u32 rehearsal = 0, uncounted;
	struct subject x = {
		.skb = skb,
		.p = &p,
		.state = &s,
		.rehearsed_pair = NO_INDEX,
		.egress = egress,
		.dry = not_loopback ^ 1,
	};

	if (test_ifindex == 1)
		x.dry = 0;
	if (is_rejection(skb, egress)) {
		skb->mark = 0;
		return TC_ACT_UNSPEC;
	}
	v->reason = judge(&x, (1 - (not_loopback & not_test)) * ETH_HLEN, v);
	uncounted = !v->reason && v->relayed && !x.dry && counted_before(&p, egress);
	if (shadowing)
		rehearsal = rehearse(skb, x.rehearsed_pair, told(&p), verdict_word(&x, v),
				     x.dry | uncounted);
	if (x.dry) {
		skb->cb[0] = v->reason;
		skb->cb[1] = v->rule;
		skb->cb[2] = v->path;
		skb->cb[3] = rehearsal;
	} else if (!uncounted) {
		record(skb, v);
	}
	if (v->reason == KRAIT_DENIED && !x.dry && s.self && s.self->flags & KRAIT_SELF_REJECTS)
		return reject(skb, opaque((s.slot & 1) * n_rules + v->rule, skb->len), egress);
	return v->reason ? TC_ACT_SHOT : TC_ACT_UNSPEC; /* UNSPEC: the next program's turn */
}

SEC("tc")
int krait_ingress(struct __sk_buff *skb)
{
	struct verdict v = {};

	return krait(skb, 0, &v);
}

SEC("tc")
int krait_egress(struct __sk_buff *skb)
{
	struct verdict v = {};

	return krait(skb, 1, &v);
}

char _license[] SEC("license") = "Dual BSD/GPL";
