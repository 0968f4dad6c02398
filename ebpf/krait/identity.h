/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From an address to its owner. docs/packet-path.md, part 4. */
#pragma once
#include <bpf/bpf_endian.h>
#include "maps.h"
#include "packet.h"
#include "subject.h"

/* The windows of the mesh's range are arrays, and inside them the array is the whole truth; all
 * other addresses go to the tries. */
INLINE struct krait_principal *owner(const struct state *s, __u8 family, const __u64 *address)
{
	__u32 index, *number;

	if (family == 4) {
		index = (__u32)address[1] ^ s->self->net4;
		if (index < s->self->size4) {
			index += s->slot * n_addr4;
			number = bpf_map_lookup_elem(&addr4, &index);
		} else {
			struct krait_prefix4 key = { .length = 8 + 32, .slot = s->slot };
			__be32 be = bpf_htonl(address[1]);

			__builtin_memcpy(key.address_be, &be, sizeof(be));
			number = bpf_map_lookup_elem(&prefix4, &key);
		}
	} else {
		__u64 low = address[1] ^ s->self->net6_lo;

		if (address[0] == s->self->net6_hi && low < s->self->size6) {
			index = low + s->slot * n_addr6;
			number = bpf_map_lookup_elem(&addr6, &index);
		} else {
			struct krait_prefix6 key = { .length = 8 + 128, .slot = s->slot };
			__be64 be[2] = { bpf_cpu_to_be64(address[0]), bpf_cpu_to_be64(address[1]) };

			__builtin_memcpy(key.address_be, be, sizeof(be));
			number = bpf_map_lookup_elem(&prefix6, &key);
		}
	}
	if (!number || !*number || *number >= n_principal) /* 0: nobody's */
		return 0;
	index = *number + s->slot * n_principal;
	return bpf_map_lookup_elem(&principal, &index);
}

INLINE int is_own(const struct krait_self *self, __u8 family, const __u64 *address)
{
	if (family == 4)
		return address[1] == self->own4;
	return address[0] == self->own6_hi && address[1] == self->own6_lo;
}

/* The two sides of a packet, as this node sees them. */
struct sides {
	struct krait_principal near, far;
};

/* Whether a packet that leaves came in by the same interface: only such a one is a peer's, for which
 * WireGuard vouched. Any other that bears a peer's address was sent by somebody else. */
INLINE int came_in_here(const struct __sk_buff *skb)
{
	return skb->ingress_ifindex == skb->ifindex;
}

INLINE enum krait_reason find_sides(const struct subject *x, struct sides *sides)
{
	const struct packet *p = x->p;
	const __u64 *near = x->leaves ? p->src : p->dst, *far = x->leaves ? p->dst : p->src;
	const struct krait_self *self = x->state->self;
	struct krait_principal *who = owner(x->state, p->family, far);

	if (!who)
		return x->leaves ? KRAIT_UNKNOWN_DESTINATION : KRAIT_UNKNOWN_SOURCE;
	sides->far = *who;
	if (!who->peer && !(who->flags & KRAIT_PRINCIPAL_GROUP))
		return KRAIT_WRONG_SIDE;
	if (is_own(self, p->family, near)) { /* a leaf's own side costs no look-up */
		sides->near.identity = self->identity;
		sides->near.row = self->row;
	} else {
		who = owner(x->state, p->family, near);
		if (!who)
			return x->leaves ? KRAIT_UNKNOWN_SOURCE : KRAIT_UNKNOWN_DESTINATION;
		sides->near = *who;
		if (who->peer && (sides->far.flags & KRAIT_PRINCIPAL_GROUP ||
				  !(self->flags & KRAIT_SELF_TRANSIT)))
			return KRAIT_NOT_TRANSIT;
		if (who->peer && x->egress && !x->error && !came_in_here(x->skb))
			return KRAIT_WRONG_SIDE;
	}
	if ((sides->far.flags | sides->near.flags) & KRAIT_PRINCIPAL_UNKNOWN_PEER)
		return KRAIT_UNKNOWN_PEER;
	return sides->far.identity && sides->near.identity ? KRAIT_PASS : KRAIT_NO_IDENTITY;
}

/* 1 + the peer that vouches for an address, 1 for this node's side; 0: nobody's.
 *
 * Off the fast path, and so a function of its own with external linkage, which the verifier walks
 * once and not in every state in which it is called (Linux 5.6). */
__attribute__((noinline)) __u32 voucher(__u32 slot, __u32 family, __u64 high, __u64 low)
{
	__u64 address[2] = { high, low };
	struct state s = { .slot = slot & 1 };
	struct krait_principal *who;

	s.self = bpf_map_lookup_elem(&self, &s.slot);
	who = s.self ? owner(&s, family, address) : 0;
	return who ? who->peer + 1 : 0;
}

/* Why a packet drops of which nobody owns this address: some addresses say more than that they are
 * unknown. External for the sake of the stack, which is nearly full. */
__attribute__((noinline)) __u32 of_nobody(__u32 unknown, __u32 family, __u64 high, __u64 low)
{
	const __u64 address[2] = { high, low };

	if (is_multicast(family, address))
		return KRAIT_MULTICAST;
	if (family == 4)
		return low >> 16 == 0xa9fe ? KRAIT_LINK_LOCAL : unknown;
	return high >> 54 == 0x3fa ? KRAIT_LINK_LOCAL : unknown;
}

INLINE enum krait_reason reason_of_sides(const struct packet *p, enum krait_reason reason)
{
	const __u64 *address = reason == KRAIT_UNKNOWN_SOURCE ? p->src : p->dst;

	if (reason != KRAIT_UNKNOWN_SOURCE && reason != KRAIT_UNKNOWN_DESTINATION)
		return reason;
	return of_nobody(reason, p->family, address[0], address[1]);
}

/* An ICMP error may come from any router on the way, named or not, as long as it is vouched for by
 * the peer to which the lost packet was going. */
INLINE enum krait_reason check_error(const struct subject *x, const struct packet *inner)
{
	const struct packet *p = x->p;
	const __u32 slot = x->state->slot, here = 1;
	__u32 from, lost;

	if (p->dst[0] != inner->src[0] || p->dst[1] != inner->src[1])
		return KRAIT_BAD_ERROR;
	from = voucher(slot, p->family, p->src[0], p->src[1]);
	lost = voucher(slot, p->family, inner->dst[0], inner->dst[1]);
	if (!from || !lost || (from != here && from != lost))
		return KRAIT_BAD_ERROR;
	if (x->egress)
		return from == here || came_in_here(x->skb) ? KRAIT_PASS : KRAIT_WRONG_SIDE;
	return from == here ? KRAIT_WRONG_SIDE : KRAIT_PASS;
}
