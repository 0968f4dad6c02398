/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is judged, and by which state: every question of the packet's path is asked of these.
 * docs/packet-path.md, part 1. */
#pragma once
#include "maps.h"
#include "packet.h"

/* One read of the control word decides for the whole packet which state it sees. */
struct state {
	const struct krait_self *self;
	__u32 slot, revision;
};

INLINE int read_state(struct state *s)
{
	__u32 zero = 0;
	__u64 *control_word = bpf_map_lookup_elem(&control, &zero), word;

	if (!control_word)
		return 0;
	word = *(volatile __u64 *)control_word;
	s->slot = word & 1;
	s->revision = word >> 32;
	s->self = bpf_map_lookup_elem(&self, &s->slot);
	return s->self && s->self->flags & KRAIT_SELF_ARMED;
}

/* What is judged: a packet or, for an ICMP error, the packet inside it. */
struct subject {
	struct __sk_buff *skb;
	struct packet *p;
	struct state *state;
	const struct krait_pair *pair;
	__u32 rehearsed_pair; /* its place among the shadow's; NO_INDEX if it has nothing to say */
	__u8 egress;	      /* the hook */
	__u8 dry;	      /* leave no trace */
	__u8 error;	      /* p is inside an ICMP error */
	__u8 leaves;	      /* p travels into the tunnel: for an error, the other way than it */
	__u8 from_high;	      /* p comes from the pair's higher identity */
	__u8 ending;	      /* something in the pair is open for a time only */
	__u8 to_group;	      /* p goes to a multicast group */
};
