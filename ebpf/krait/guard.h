/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What crosses between the guard and user space: the mirror of src/krait/common/guard.py. Numbers are
 * append-only, and layouts have no hidden padding: the loader compares both with the object's BTF. */
#pragma once
#include <linux/types.h>

enum krait_guard_reason {
	KRAIT_GUARD_PASS,
	KRAIT_GUARD_SOURCE,	 /* from an address of the mesh */
	KRAIT_GUARD_DESTINATION, /* to an address that this node has in the mesh */
	KRAIT_GUARD_NEIGHBOUR,	 /* ARP or neighbour discovery about one of these */
	KRAIT_GUARD_TRUNCATED,	 /* too short to tell */
	KRAIT_GUARD_REASONS
};

/* What is said of a prefix. Of those that hold an address the longest counts alone: 0 takes a subnet
 * behind this node out of the range around it. */
enum krait_guard_mark { KRAIT_GUARD_MESH = 1, KRAIT_GUARD_OWN = 2 };

enum krait_guard_constant { KRAIT_GUARD_MARKS = 65536 /* prefixes of each family, at most */ };

struct krait_guard_prefix4 {
	__u32 length; /* in bits */
	__u8 address_be[4];
};

struct krait_guard_prefix6 {
	__u32 length;
	__u8 address_be[16];
};

struct krait_guard_count {
	__u64 packets, bytes;
};

/* Puts the enumerations into the BTF, where the loader finds them. */
struct krait_guard_numbers {
	enum krait_guard_reason reason;
	enum krait_guard_mark mark;
	enum krait_guard_constant constant;
};
