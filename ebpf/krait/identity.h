/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From an address to its owner. docs/packet-path.md, part 4. */
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

INLINE enum krait_reason find_sides(const struct state *s, const struct packet *p, int leaves,
				    struct sides *sides)
{
	const __u64 *near = leaves ? p->src : p->dst, *far = leaves ? p->dst : p->src;
	struct krait_principal *who = owner(s, p->family, far);

	if (!who)
		return leaves ? KRAIT_UNKNOWN_DESTINATION : KRAIT_UNKNOWN_SOURCE;
	sides->far = *who;
	if (!who->peer)
		return KRAIT_WRONG_SIDE;
	if (is_own(s->self, p->family, near)) { /* a leaf's own side costs no look-up */
		sides->near.identity = s->self->identity;
		sides->near.row = s->self->row;
	} else {
		who = owner(s, p->family, near);
		if (!who)
			return leaves ? KRAIT_UNKNOWN_SOURCE : KRAIT_UNKNOWN_DESTINATION;
		sides->near = *who;
		if (who->peer && !(s->self->flags & KRAIT_SELF_TRANSIT))
			return KRAIT_NOT_TRANSIT;
	}
	if ((sides->far.flags | sides->near.flags) & KRAIT_PRINCIPAL_UNKNOWN_PEER)
		return KRAIT_UNKNOWN_PEER;
	return sides->far.identity && sides->near.identity ? KRAIT_PASS : KRAIT_NO_IDENTITY;
}

/* An ICMP error may come from any router on the way, named or not, as long as it is vouched for by
 * the peer to which the lost packet was going. */
INLINE enum krait_reason check_error(const struct state *s, const struct packet *outer,
				     const struct packet *inner, int egress)
{
	const struct krait_principal *from = owner(s, outer->family, outer->src);
	const struct krait_principal *lost = owner(s, outer->family, inner->dst);

	if (outer->dst[0] != inner->src[0] || outer->dst[1] != inner->src[1])
		return KRAIT_BAD_ERROR;
	if (!from || !lost || (from->peer && from->peer != lost->peer))
		return KRAIT_BAD_ERROR;
	return !from->peer && !egress ? KRAIT_WRONG_SIDE : KRAIT_PASS;
}
