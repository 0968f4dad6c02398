/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows: who opened, in which state, judged under which revision. docs/packet-path.md, part 6;
 * the table of states and time-outs is docs/flow-states.md. */
#pragma once
#include "budget.h"
#include "clock.h"
#include "packet.h"
#include "policy.h"
#include "subject.h"
#include "verdict.h"

#define WORD_ALLOW (1ull << 31)
#define WORD_OPENER_IS_B (1ull << 30)
#define WORD_TAG_MASK ((1u << 30) - 1)

/* Where a packet's flow is, or would be. */
struct place {
	struct krait_flow_key *key;
	__u32 tag;     /* tells a recycled element from the one that was looked up */
	__u32 now;     /* jiffies, low half */
	__u8 from_b;   /* the packet comes from the key's higher end */
	__u8 answered; /* the tuple's entry, dead or alive, is in `flows` */
};

INLINE __u64 revision_of(__u64 word)
{
	return word >> 32;
}

INLINE int comes_from_b(const struct packet *p)
{
	if (p->src[0] != p->dst[0])
		return p->src[0] > p->dst[0];
	if (p->src[1] != p->dst[1])
		return p->src[1] > p->dst[1];
	return p->sport > p->dport;
}

INLINE __u32 hash_of(const struct krait_flow_key *key)
{
	const __u64 *w = (const __u64 *)key;
	__u64 hash = w[0] * 0x9e3779b97f4a7c15 + w[1] * 0xc2b2ae3d27d4eb4f +
		     w[2] * 0x165667b19e3779f9 + w[3] * 0xff51afd7ed558ccd +
		     w[4] * 0xd6e8feb86659fd93;

	return hash >> 34;
}

INLINE void find_place(const struct packet *p, struct place *place)
{
	const int from_b = comes_from_b(p);
	const __u64 *a = from_b ? p->dst : p->src, *b = from_b ? p->src : p->dst;

	place->key->a[0] = a[0];
	place->key->a[1] = a[1];
	place->key->b[0] = b[0];
	place->key->b[1] = b[1];
	place->key->port_a = from_b ? p->dport : p->sport;
	place->key->port_b = from_b ? p->sport : p->dport;
	place->key->protocol = p->protocol;
	place->key->family = p->family;
	place->key->zero = 0;
	place->tag = hash_of(place->key);
	place->now = bpf_jiffies64();
	place->from_b = from_b;
	place->answered = 0;
}

INLINE struct krait_flow *find_flow(struct place *place)
{
	struct krait_flow *flow = bpf_map_lookup_elem(&flows, place->key);

	if (!flow)
		return bpf_map_lookup_elem(&unanswered, place->key);
	place->answered = 1;
	return flow;
}

/* Whether a flow in this state has shown that its other side wants it. A ping never does: its answer
 * costs nobody anything. */
INLINE int is_answered(__u8 state)
{
	__u8 base = state & KRAIT_FLOW_STATE_MASK;

	return base == KRAIT_FLOW_TCP_ESTABLISHED || base == KRAIT_FLOW_UDP_REPLIED;
}

INLINE int is_live(const struct krait_flow *flow, __u64 word, const struct place *place)
{
	__u32 state = flow->state & KRAIT_FLOW_STATE_MASK;

	if ((word & WORD_TAG_MASK) != place->tag || state >= KRAIT_FLOW_STATES)
		return 0;
	return place->now - flow->seen + CLOCK_SLACK <= timeout_ticks[state] + CLOCK_SLACK;
}

/* A packet on a live flow's tuple that is no packet of the flow but an open of its own. */
INLINE int is_own_open(const struct packet *p, int reply)
{
	if (is_icmp(p))
		return reply ? is_echo_request(p) : is_echo_reply(p);
	return reply && is_syn(p);
}

/* ICMP that is neither echo request nor reply has no flow; its bytes 4 to 5 identify nothing. Nor has
 * what goes to a group, from which nobody answers. */
INLINE int has_flow(const struct subject *x)
{
	const struct packet *p = x->p;

	return !x->to_group && (!is_icmp(p) || is_echo_request(p) || is_echo_reply(p));
}

INLINE __u8 next_state(__u8 state, const struct packet *p, int reply)
{
	const __u8 both = KRAIT_FLOW_FIN_OPENER | KRAIT_FLOW_FIN_REPLY;
	__u8 base = state & KRAIT_FLOW_STATE_MASK, marks = state & ~KRAIT_FLOW_STATE_MASK;

	if (p->protocol != IPPROTO_TCP)
		return base == KRAIT_FLOW_UDP_NEW && reply ? KRAIT_FLOW_UDP_REPLIED : base;
	if (!reply)
		marks &= ~KRAIT_FLOW_OPENER_SILENT;
	if (is_syn(p)) {
		base = KRAIT_FLOW_TCP_HALF_OPEN;
		marks = 0;
	} else if (base == KRAIT_FLOW_TCP_HALF_OPEN && reply && p->tcp_flags & TCP_ACK &&
		   !(marks & KRAIT_FLOW_OPENER_SILENT)) {
		base = KRAIT_FLOW_TCP_ESTABLISHED;
	}
	if (p->tcp_flags & TCP_FIN)
		marks |= reply ? KRAIT_FLOW_FIN_REPLY : KRAIT_FLOW_FIN_OPENER;
	if (p->tcp_flags & TCP_RST || (marks & both) == both)
		base = KRAIT_FLOW_TCP_CLOSING;
	return base | marks;
}

/* Does far keep to how many opens a second a peer may make? What leaves this node is not limited. */
INLINE int is_within_limit(const struct subject *x, const struct place *place, __u32 peer)
{
	const struct krait_self *self = x->state->self;
	struct krait_budget *budget;

	if (!self->opens || x->leaves)
		return 1;
	budget = bpf_map_lookup_elem(&budgets, &peer);
	return budget && take(budget, place->now, self->opens, self->burst, x->dry);
}

INLINE enum krait_reason insert_flow(const struct subject *x, const struct place *place, int reply,
				     __u16 rule)
{
	struct krait_flow flow = { .seen = place->now, .rule = rule };
	__u64 opener = place->from_b ^ reply ? WORD_OPENER_IS_B : 0;

	if (x->dry)
		return KRAIT_PASS;
	flow.word = (__u64)x->state->revision << 32 | WORD_ALLOW | opener | place->tag;
	if (x->p->protocol == IPPROTO_TCP) {
		flow.state = KRAIT_FLOW_TCP_HALF_OPEN;
		if (reply)
			flow.state |= KRAIT_FLOW_OPENER_SILENT;
		if (x->p->tcp_flags & TCP_FIN)
			flow.state |= reply ? KRAIT_FLOW_FIN_REPLY : KRAIT_FLOW_FIN_OPENER;
	} else {
		flow.state = is_icmp(x->p) ? KRAIT_FLOW_ECHO : KRAIT_FLOW_UDP_NEW;
	}
	if (place->answered) /* one entry for a tuple, or the older would be found */
		return bpf_map_update_elem(&flows, place->key, &flow, BPF_ANY) ? KRAIT_FLOW_FULL
									       : KRAIT_PASS;
	return bpf_map_update_elem(&unanswered, place->key, &flow, BPF_ANY) ? KRAIT_FLOW_FULL
									    : KRAIT_PASS;
}

INLINE enum krait_reason judge_open(const struct subject *x, const struct place *place,
				    struct verdict *v)
{
	const int picked_up = x->p->protocol == IPPROTO_TCP && !is_syn(x->p) && !x->to_group;
	__u32 decision, reversed;
	int reply = 0;

	if (x->error || (is_icmp(x->p) && is_echo_reply(x->p)))
		return KRAIT_NO_FLOW;
	if (picked_up && (x->state->self->flags & KRAIT_SELF_STRICT || !is_segment(x->p)))
		return KRAIT_NO_FLOW;
	decision = decide(x, 0);
	if (picked_up && !(decision & KRAIT_MAY_OPEN)) {
		reversed = decide(x, 1);
		if (reversed & KRAIT_MAY_OPEN) {
			decision = reversed;
			reply = 1;
		}
	}
	v->path = KRAIT_PATH_OPEN;
	v->rule = decision & RULE_MASK;
	if (!(decision & KRAIT_MAY_OPEN))
		return KRAIT_DENIED;
	if (!has_flow(x))
		return KRAIT_PASS;
	if (!is_within_limit(x, place, v->peer))
		return KRAIT_OPEN_LIMIT;
	return insert_flow(x, place, reply, v->rule);
}

/* The verdict of the opener's tuple, judged anew if it was decided under another revision, or if it
 * may have come to an end. Sets the rule. */
INLINE int is_allowed(const struct subject *x, struct krait_flow *flow, __u64 word, int reply,
		      __u16 *rule)
{
	__u32 decision;

	*rule = flow->rule;
	if (revision_of(word) == x->state->revision && !x->ending)
		return !!(word & WORD_ALLOW);
	decision = decide(x, reply);
	*rule = decision & RULE_MASK;
	if (!x->dry && !x->error) {
		word &= WORD_OPENER_IS_B | WORD_TAG_MASK;
		word |= (__u64)x->state->revision << 32 |
			(decision & KRAIT_MAY_OPEN ? WORD_ALLOW : 0);
		flow->rule = *rule;
		*(volatile __u64 *)&flow->word = word;
	}
	return !!(decision & KRAIT_MAY_OPEN);
}

INLINE void touch(struct krait_flow *flow, const struct packet *p, int reply,
		  const struct place *place)
{
	__u8 state = flow->state, next = next_state(state, p, reply);
	struct krait_flow answered;

	if (next != state)
		flow->state = next;
	if (flow->seen != place->now) /* a line that many CPUs read is not written for nothing */
		flow->seen = place->now;
	if (place->answered || !is_answered(next))
		return;
	answered = *flow;
	if ((answered.word & WORD_TAG_MASK) == place->tag &&
	    !bpf_map_update_elem(&flows, place->key, &answered, BPF_ANY))
		bpf_map_delete_elem(&unanswered, place->key);
}

INLINE enum krait_reason judge_flow(const struct subject *x, struct verdict *v)
{
	enum krait_reason reason;
	struct krait_flow *flow;
	__u16 flow_rule = 0;
	struct krait_flow_key key;
	struct place place = { .key = &key };
	int denied = 0;

	find_place(x->p, &place);
	flow = has_flow(x) ? find_flow(&place) : 0;
	if (flow) {
		__u64 word = *(volatile __u64 *)&flow->word;
		int reply = place.from_b ^ !!(word & WORD_OPENER_IS_B);

		v->reply = reply;
		if (is_live(flow, word, &place) && (x->error || !is_own_open(x->p, reply))) {
			if (is_allowed(x, flow, word, reply, &flow_rule)) {
				if (!x->error && !x->dry)
					touch(flow, x->p, reply, &place);
				v->path = KRAIT_PATH_FLOW;
				v->rule = flow_rule;
				return KRAIT_PASS;
			}
			v->path = KRAIT_PATH_FLOW;
			v->rule = flow_rule;
			if (x->error || (x->p->protocol == IPPROTO_TCP && !is_syn(x->p)))
				return KRAIT_DENIED;
			denied = 1;
		}
	}
	/* A denied flow's packet has one more chance, if it can be an open of its own: an entry that
	 * drops its packets must not be worse than none. A segment cannot: a connection that was
	 * revoked would live on as the other side's. */
	reason = judge_open(x, &place, v);
	if (denied && (reason == KRAIT_DENIED || reason == KRAIT_NO_FLOW)) {
		v->path = KRAIT_PATH_FLOW;
		v->rule = flow_rule;
		return KRAIT_DENIED;
	}
	return reason;
}
