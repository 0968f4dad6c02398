// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The programs as they are, beside an empty one to subtract, and one that rewrites the packet's
 * addresses and ports on every run, so that nothing is in the caches. */
#include "../ebpf/krait.bpf.c"

/* Which parts of an IPv4 packet change: 1 source address, 2 destination address, 4 one of eight
 * source ports, 8 any source port. */
const volatile __u32 vary = 0;
const volatile __u32 base4 = 0, addresses = 1; /* a power of two */
__u64 seed;

INLINE int shuffle(struct __sk_buff *skb)
{
	void *at = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 x = seed = seed * 6364136223846793005 + 1442695040888963407;

	if (at + 42 > end)
		return 0;
	if (vary & 1)
		*(__u32 *)(at + 26) = bpf_htonl(base4 + (x >> 20 & (addresses - 1)));
	if (vary & 2)
		*(__u32 *)(at + 30) = bpf_htonl(base4 + (x >> 40 & (addresses - 1)));
	if (vary & 4)
		*(__u16 *)(at + 34) = 1000 + (x >> 58 & 7);
	if (vary & 8)
		*(__u16 *)(at + 34) = x >> 45;
	return 1;
}

SEC("tc")
int empty(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int cold_empty(struct __sk_buff *skb)
{
	return shuffle(skb) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int cold(struct __sk_buff *skb)
{
	struct verdict v = {};
	int action;

	if (!shuffle(skb))
		return TC_ACT_SHOT;
	action = krait(skb, 0, &v);
	seed += v.rule; /* what was loaded last chooses the next packet: no two overlap */
	return action;
}
