/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program just large enough to hold krait.kernel.bpf against. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum toy_reason { TOY_PASS, TOY_DENIED, TOY_LAST = 7 };

struct toy_key {
	__u32 length;
	__u8 slot;
	__u8 address_be[4];
	__u8 zero[3];
};

struct toy_count {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct toy_key);
	__type(value, __u32);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct toy_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} progress SEC(".maps");

const volatile __u8 first = 0; /* so that what follows lies at odd offsets */
const volatile __s32 verdict = -1;
const volatile __u16 ttl[8] = {};
const volatile __u64 wide = 1;
const volatile enum toy_reason reason = TOY_PASS;
static const volatile __u32 hidden = 5;

/* What the packet is, handed back in cb[]; counted; the verdict is a constant. */
SEC("tc")
int toy_judge(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct toy_count *count = bpf_map_lookup_elem(&counts, &zero);
	struct toy_key key = { .length = skb->len };
	__u32 *found = bpf_map_lookup_elem(&known, &key);

	if (count) {
		count->packets++;
		count->bytes += skb->len;
	}
	skb->cb[0] = skb->ifindex;
	skb->cb[1] = skb->gso_segs;
	skb->cb[2] += ttl[7];
	skb->cb[3] = found ? *found : wide >> 32;
	skb->cb[4] = hidden;
	return verdict;
}

/* As long as its constant says; `progress` shows when it began and ended. */
static long step(__u32 index, void *context)
{
	return 0;
}

SEC("tc")
int toy_slow(struct __sk_buff *skb)
{
	__u32 began = 0, ended = 1;
	__u64 *at = bpf_map_lookup_elem(&progress, &began);
	__u64 *end = bpf_map_lookup_elem(&progress, &ended);

	if (!at || !end)
		return 0;
	*(volatile __u64 *)at = 1;
	for (int i = 0; i < 64; i++)
		bpf_loop(1 << 18, step, 0, 0);
	*(volatile __u64 *)end = 1;
	return 0;
}

#ifdef REFUSED
/* Reads behind the packet's end, which no verifier lets pass. */
SEC("tc")
int toy_refused(struct __sk_buff *skb)
{
	return *(__u8 *)(long)skb->data;
}
#endif

char _license[] SEC("license") = "GPL";
