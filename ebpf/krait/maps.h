/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state. Two slots live in the same maps, the slot part of the key: index + slot * n for an
 * array, a byte of the key for a prefix. The slot in force is never written; a commit is one store
 * to `control`. Sizes given here are placeholders: the loader sets what the mesh needs. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

#define KRAIT_MAP(NAME, TYPE, ENTRIES, KEY, VALUE, FLAGS) \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_##TYPE);        \
		__uint(max_entries, ENTRIES);             \
		__type(key, KEY);                         \
		__type(value, VALUE);                     \
		__uint(map_flags, FLAGS);                 \
	} NAME SEC(".maps")

KRAIT_MAP(control, ARRAY, 1, __u32, __u64, BPF_F_MMAPABLE);
KRAIT_MAP(self, ARRAY, KRAIT_SLOTS, __u32, struct krait_self, 0);
KRAIT_MAP(addr4, ARRAY, KRAIT_SLOTS, __u32, __u32, 0);
KRAIT_MAP(addr6, ARRAY, KRAIT_SLOTS, __u32, __u32, 0);
KRAIT_MAP(prefix4, LPM_TRIE, 1, struct krait_prefix4, __u32, BPF_F_NO_PREALLOC);
KRAIT_MAP(prefix6, LPM_TRIE, 1, struct krait_prefix6, __u32, BPF_F_NO_PREALLOC);
KRAIT_MAP(principal, ARRAY, KRAIT_SLOTS, __u32, struct krait_principal, 0);
KRAIT_MAP(pair, ARRAY, KRAIT_SLOTS, __u32, struct krait_pair, 0);

/* The same pairs under the shadow, a second policy that decides nothing. */
KRAIT_MAP(shadow_pair, ARRAY, KRAIT_SLOTS, __u32, struct krait_pair, 0);

/* Sorted intervals: lo:24 | hi:24 | allow:1 | rule:15, over protocol:8 | port:16. No slot: a list
 * is never overwritten while a slot or a reader may use it. */
KRAIT_MAP(ports, ARRAY, 1, __u32, __u64, 0);

/* Flows that both sides have spoken in; and those that wait for an answer, so that opens that nobody
 * answers push out nothing but each other. */
KRAIT_MAP(flows, LRU_HASH, 65536, struct krait_flow_key, struct krait_flow, 0);
KRAIT_MAP(unanswered, LRU_HASH, 16384, struct krait_flow_key, struct krait_flow, 0);
KRAIT_MAP(budgets, ARRAY, 1, __u32, struct krait_budget, 0); /* by peer */

KRAIT_MAP(fragments, LRU_HASH, 8192, struct krait_fragment_key, struct krait_fragment, 0);

/* When rules end, in ns since 1970, by number; 0: never. */
KRAIT_MAP(ends, ARRAY, KRAIT_SLOTS, __u32, __u64, 0);

/* 1 where who meets the rule's denial is told of it; by number, of which 0 is the default's. */
KRAIT_MAP(rejecting, ARRAY, KRAIT_SLOTS, __u32, __u32, 0);
KRAIT_MAP(rejections, PERCPU_ARRAY, KRAIT_REJECTIONS, __u32, struct krait_count, 0);

/* By a hash of the sender, so that hardly one silences another. */
KRAIT_MAP(rejection_budgets, ARRAY, KRAIT_REJECTION_BUDGETS, __u32, struct krait_budget, 0);

KRAIT_MAP(rules, PERCPU_ARRAY, 1, __u32, struct krait_count, 0);
KRAIT_MAP(shadow_rules, PERCPU_ARRAY, KRAIT_REHEARSALS, __u32, struct krait_count, 0);
KRAIT_MAP(reasons, PERCPU_ARRAY, KRAIT_REASONS, __u32, struct krait_count, 0);
KRAIT_MAP(peers, PERCPU_ARRAY, 1, __u32, struct krait_count, 0); /* drops */

/* The addresses of the last relayed packet that passed ingress on this CPU, so that egress of the
 * same interface does not count it again. */
KRAIT_MAP(relayed, PERCPU_ARRAY, 1, __u32, __u64, 0);

KRAIT_MAP(shape, ARRAY, 1, __u32, struct krait_shape, 0);

/* Set once, before the object is loaded. */
const volatile __u32 rejection_mark = 0; /* of rejections on their way, which are not judged */
const volatile __u32 n_addr4 = 1, n_addr6 = 1, n_principal = 1, n_pair = 1,
		     n_rules = 1; /* entries a slot */
const volatile __u32 pair_layout = KRAIT_LAYOUT_ROWS;
const volatile __u32 shadowing = 0; /* 1: packets are judged by the shadow too */
const volatile __u32 timeout_ticks[KRAIT_FLOW_STATES] = {}, fragment_ticks = 0; /* jiffies */
const volatile __u32 ticks_per_second = 1;					/* HZ */
const volatile __u32 test_ifindex = 0; /* this interface has Ethernet headers; 0: none */
const volatile struct krait_numbers abi_numbers = {};
