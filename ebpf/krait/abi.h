/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What crosses to user space: the mirror of abi.py, reason.py and structs.py in src/krait/common.
 *
 * Numbers are append-only and layouts have no hidden padding: the loader compares both with this
 * object's BTF. Addresses and ports are in host byte order unless a name says _be; an IPv4 address
 * is the low half of [1], and [0] is 0. */
#pragma once
#include <linux/types.h>

enum krait_reason {
	KRAIT_PASS,
	KRAIT_MALFORMED,
	KRAIT_FRAGMENT,
	KRAIT_MULTICAST,
	KRAIT_LINK_LOCAL,
	KRAIT_NOT_READY,
	KRAIT_UNKNOWN_SOURCE,
	KRAIT_UNKNOWN_DESTINATION,
	KRAIT_WRONG_SIDE,
	KRAIT_NOT_TRANSIT,
	KRAIT_NO_IDENTITY,
	KRAIT_UNKNOWN_PEER,
	KRAIT_DENIED,
	KRAIT_NO_FLOW,
	KRAIT_FLOW_FULL,
	KRAIT_REDIRECT,
	KRAIT_BAD_ERROR,
	KRAIT_NO_PAIR,
	KRAIT_SOURCE_ROUTE,
	KRAIT_FRAGMENT_OVERLAP,
	KRAIT_OPEN_LIMIT,
	KRAIT_REASONS
};

/* Where the verdict was found; a dry run returns it. */
enum krait_path {
	KRAIT_PATH_NONE, /* before any pair was found */
	KRAIT_PATH_PAIR,
	KRAIT_PATH_FLOW,
	KRAIT_PATH_OPEN,
	KRAIT_PATH_FRAGMENT
};

enum krait_pair_class {
	KRAIT_PAIR_MISSING,
	KRAIT_PAIR_ALLOW_STATELESS,
	KRAIT_PAIR_DENY_BOTH,
	KRAIT_PAIR_STATEFUL,
	KRAIT_PAIR_ENDING /* stateful, and a rule that lets something open has an end */
};

enum krait_pair_layout {
	KRAIT_LAYOUT_ROWS,    /* near's row, far's column */
	KRAIT_LAYOUT_TRIANGLE /* the higher identity's row, the lower's column */
};

/* What the shadow would have done to a packet, beside what was done to it. */
enum krait_rehearsal {
	KRAIT_REHEARSAL_SAME,
	KRAIT_REHEARSAL_CUTS,  /* the packet passed, and would not have */
	KRAIT_REHEARSAL_OPENS, /* it was denied, and would have passed */
	KRAIT_REHEARSALS
};

/* What became of telling the sender of a packet that a rule rejects. */
enum krait_rejection_outcome {
	KRAIT_REJECTION_SENT,
	KRAIT_REJECTION_LIMITED, /* its sender was told often enough */
	KRAIT_REJECTION_SILENT,	 /* such a packet is not answered */
	KRAIT_REJECTION_FAILED,	 /* the kernel had no room for the answer */
	KRAIT_REJECTIONS
};

enum krait_self_flag {
	KRAIT_SELF_ARMED = 1,
	KRAIT_SELF_TRANSIT = 2,
	KRAIT_SELF_STRICT = 4,
	KRAIT_SELF_REJECT_INGRESS = 8, /* a peer is told too whose packet arrives */
	KRAIT_SELF_REJECTS = 16	       /* some denial is told */
};

enum krait_principal_flag { KRAIT_PRINCIPAL_UNKNOWN_PEER = 1, KRAIT_PRINCIPAL_GROUP = 2 };

enum krait_flow_state {
	KRAIT_FLOW_TCP_HALF_OPEN,
	KRAIT_FLOW_TCP_ESTABLISHED,
	KRAIT_FLOW_TCP_CLOSING,
	KRAIT_FLOW_UDP_NEW,
	KRAIT_FLOW_UDP_REPLIED,
	KRAIT_FLOW_ECHO,
	KRAIT_FLOW_STATES
};

/* The rest of a flow's `state` byte. */
enum krait_flow_mark {
	KRAIT_FLOW_STATE_MASK = 7,
	KRAIT_FLOW_FIN_OPENER = 16,
	KRAIT_FLOW_FIN_REPLY = 32,
	KRAIT_FLOW_OPENER_SILENT = 64 /* picked up by a reply; the opener was not heard yet */
};

enum krait_constant {
	KRAIT_SLOTS = 2,
	KRAIT_LIST_LENGTH_BITS = 10, /* of a list's reference; its offset is above */
	KRAIT_FIRST_IDENTITY = 256,
	KRAIT_MAY_OPEN = 1 << 15,	 /* in an interval, above the rule's number */
	KRAIT_REJECTIONS_A_SECOND = 100, /* to one sender, and as many at once */
	KRAIT_REJECTION_BUDGETS = 256
};

struct krait_self {
	__u64 net6_hi, net6_lo;
	__u64 own6_hi, own6_lo; /* an address of this node that needs no look-up; all ones: none */
	__u64 clock_ns;		/* the wall clock at boot, since 1970 */
	__u32 net4, size4, size6; /* the window of each address array; size 0: none */
	__u32 own4;
	__u32 identity, row;
	__u32 flags;
	__u32 opens; /* that each peer may make a second; 0: as many as it likes */
	__u32 burst; /* opens that may come at once */
	__u32 zero;
};

struct krait_principal {
	__u32 identity;
	__u32 row;  /* first pair entry of the identity's row */
	__u32 peer; /* 0: this node, or behind it */
	__u32 flags;
};

/* One entry for both directions: [0] is the lower identity opening, [1] the higher. */
struct krait_pair {
	__u32 verdict_class;
	__u16 rule[2];
	__u32 list[2]; /* offset into `ports` << KRAIT_LIST_LENGTH_BITS | length */
};

/* (a, port_a) is the lower of the two ends. */
struct krait_flow_key {
	__u64 a[2], b[2];
	__u16 port_a, port_b;
	__u8 protocol, family;
	__u16 zero;
};

/* Elements of an LRU map are recycled under their readers, and no lock may guard them. What decides
 * is therefore one u64: revision:32 | allow:1 | opener is b:1 | tag of the key's hash:30. `seen`,
 * `rule` and `state` may take a stray write from a reader of the element's former life: that costs
 * an early time-out or a miscounted rule, never a verdict. */
struct krait_flow {
	__u64 word;
	__u32 seen; /* jiffies, low half */
	__u16 rule;
	__u8 state;
	__u8 zero;
};

/* What a peer may still open, in units that each tick brings `opens` of and an open costs HZ of. Races
 * lose a few: WireGuard hands over the packets of one peer one after the other. */
struct krait_budget {
	__u32 left;
	__u32 seen; /* jiffies, low half */
};

/* The datagram of which a first fragment passed. An id is the sender's for one destination and, in
 * IPv4, one protocol (RFC 791, RFC 8200, 4.5); each hook has its own. */
struct krait_fragment_key {
	__u64 src[2], dst[2];
	__u32 id;
	__u8 protocol; /* 0 for IPv6 */
	__u8 family, egress;
	__u8 zero;
};

struct krait_fragment {
	__u32 revision;
	__u32 seen; /* jiffies, low half */
	__u16 end;  /* bytes of the datagram that the first fragment holds */
	__u16 rule;
};

struct krait_prefix4 {
	__u32 length; /* in bits, the slot's eight included */
	__u8 slot;
	__u8 address_be[4];
} __attribute__((packed));

struct krait_prefix6 {
	__u32 length;
	__u8 slot;
	__u8 address_be[16];
} __attribute__((packed));

struct krait_count {
	__u64 packets, bytes;
	__u64 last; /* jiffies, when the last of them came */
};

/* For user space alone, which finds here what it cannot read off the maps themselves. */
struct krait_shape {
	__u32 abi_version;
	__u32 pair_layout;
	__u32 columns;
	__u32 shadowing; /* 1: a shadow is judged too */
	__u32 flow_version;
	__u32 zero;
	__u64 build; /* tells this object from others of the same layout */
};

/* Puts every enumeration into the BTF, where the loader finds it. */
struct krait_numbers {
	enum krait_reason reason;
	enum krait_path path;
	enum krait_pair_class pair_class;
	enum krait_pair_layout pair_layout;
	enum krait_rehearsal rehearsal;
	enum krait_rejection_outcome rejection_outcome;
	enum krait_self_flag self_flag;
	enum krait_principal_flag principal_flag;
	enum krait_flow_state flow_state;
	enum krait_flow_mark flow_mark;
	enum krait_constant constant;
};
