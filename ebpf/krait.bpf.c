// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Krait's two programs, on a WireGuard interface at TC. docs/packet-path.md tells what they ask of
 * a packet; each header answers one part of it. */
#include "krait/flow.h"

struct packet_context {
	struct __sk_buff *skb;
	__u32 l2; /* bytes before the IP header */
	int egress, dry;
};

/* An error is judged by the packet inside it, which `*p` then holds. */
INLINE enum krait_reason enter_error(const struct packet_context *c, const struct state *s,
				     struct packet *p)
{
	struct packet inner = {};

	if (parse_inner_ip(c->skb, p, &inner) || inner.family != p->family ||
	    parse_l4(c->skb, &inner, 1))
		return KRAIT_BAD_ERROR;
	if (is_icmp(&inner) &&
	    (!is_icmp_of_its_family(&inner) || is_icmp_error(&inner) || is_redirect(&inner)))
		return KRAIT_BAD_ERROR;
	enum krait_reason reason = check_error(s, p, &inner, c->egress);

	*p = inner;
	return reason;
}

INLINE enum krait_reason judge_pair(const struct packet_context *c, struct packet *p, int error,
				    const struct state *s, const struct sides *sides, int leaves,
				    struct verdict *v)
{
	const struct krait_pair *pair = find_pair(s, sides);
	__u32 src = leaves ? sides->near.identity : sides->far.identity;
	__u32 dst = leaves ? sides->far.identity : sides->near.identity;
	const int from_high = src > dst;
	__u32 verdict_class;

	if (!pair)
		return KRAIT_NO_PAIR;
	verdict_class = pair->verdict_class;
	v->path = KRAIT_PATH_PAIR;
	v->rule = pair->rule[from_high];
	if (verdict_class == KRAIT_ALLOW_STATELESS)
		return KRAIT_PASS;
	if (verdict_class == KRAIT_DENY_BOTH && !pair->list[from_high])
		return KRAIT_DENIED;
	if (verdict_class != KRAIT_DENY_BOTH && verdict_class != KRAIT_STATEFUL)
		return KRAIT_NO_PAIR;
	if (!error && !is_icmp(p) && parse_l4(c->skb, p, 0))
		return KRAIT_MALFORMED;

	struct exchange x = {
		.skb = c->skb,
		.p = p,
		.pair = pair,
		.revision = s->revision,
		.strict = !!(s->self->flags & KRAIT_STRICT),
		.error = error,
		.dry = c->dry,
		.from_high = from_high,
	};

	if (verdict_class == KRAIT_DENY_BOTH) { /* the list only says by which rule */
		v->rule = decide(&x, 0) & RULE_MASK;
		return KRAIT_DENIED;
	}
	x.from_b = comes_from_b(p);
	x.now = bpf_jiffies64();
	return judge_flow(&x, v);
}

INLINE enum krait_reason judge(const struct packet_context *c, struct packet *p, struct verdict *v)
{
	struct sides sides = {};
	struct state s = {};
	int error = 0, leaves;
	enum krait_reason reason;

	if (!read_state(&s))
		return KRAIT_NOT_READY;
	reason = parse_ip(c->skb, c->l2, p);
	if (reason)
		return reason;
	if (is_icmp(p)) {
		if (!is_icmp_of_its_family(p) || parse_l4(c->skb, p, 0))
			return KRAIT_MALFORMED;
		if (is_redirect(p))
			return KRAIT_REDIRECT;
		error = is_icmp_error(p);
		if (error) {
			reason = enter_error(c, &s, p);
			if (reason)
				return reason;
		}
	}
	leaves = c->egress ^ error; /* what an error is about went the other way */
	reason = find_sides(&s, p, leaves, &sides);
	v->peer = sides.far.peer;
	v->relayed = !!sides.near.peer;
	if (reason)
		return reason;
	return judge_pair(c, p, error, &s, &sides, leaves, v);
}

/* 14 where `ifindex` is the loopback device, on which only BPF_PROG_TEST_RUN runs us, or the one
 * under test. By arithmetic: a branch would have the verifier walk everything behind it twice. `& 1`
 * is for Linux 6.1's, which takes the result of `|` between two variables for any number. */
INLINE __u32 ethernet_length(__u32 ifindex)
{
	__u64 is_loopback = ((__u64)(ifindex ^ 1) - 1) >> 63;
	__u64 is_test = ((__u64)(ifindex ^ test_ifindex) - 1) >> 63;

	asm volatile("" : "+r"(is_loopback));
	asm volatile("" : "+r"(is_test));
	return ((is_loopback | is_test) & 1) * ETH_HLEN;
}

INLINE int krait(struct __sk_buff *skb, const int egress, struct verdict *v)
{
	__u32 ifindex = skb->ifindex;
	struct packet_context c = {
		.skb = skb,
		.l2 = ethernet_length(ifindex),
		.egress = egress,
		.dry = ifindex == 1 && test_ifindex != 1,
	};
	struct packet p = {};

	v->reason = judge(&c, &p, v);
	if (c.dry) {
		skb->cb[0] = v->reason;
		skb->cb[1] = v->rule;
		skb->cb[2] = v->path;
	} else if (v->reason || !v->relayed || !counted_before(&p, egress)) {
		record(skb, v);
	}
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
