# SPDX-License-Identifier: Apache-2.0
"""The structs of ebpf/krait/abi.h, member for member: what keys and values of the tables hold.

They are little-endian and without hidden padding; the loader refuses an object whose BTF says
otherwise. What changes here raises `abi.ABI_VERSION` and, in a flow, `abi.FLOW_VERSION`.
"""

from krait.common.layout import Layout

SELF = Layout(
    "krait_self",
    (
        ("net6_hi", "Q"),  # the mesh's IPv6 range, host byte order
        ("net6_lo", "Q"),
        ("own6_hi", "Q"),  # one address of this node for which no look-up is needed
        ("own6_lo", "Q"),
        ("clock_ns", "Q"),  # the wall clock at boot, since 1970
        ("net4", "I"),
        ("size4", "I"),  # addresses of the range that the array holds; a power of two, or 0
        ("size6", "I"),
        ("own4", "I"),
        ("identity", "I"),  # this node's
        ("row", "I"),
        ("flags", "I"),
        ("opens", "I"),  # that each peer may make a second; 0: as many as it likes
        ("burst", "I"),  # opens that may come at once
        ("zero", "I"),
    ),
)
PRINCIPAL = Layout(
    "krait_principal",
    (
        ("identity", "I"),
        ("row", "I"),  # first pair entry of the identity's row
        ("peer", "I"),  # 0: this node, or behind it
        ("flags", "I"),
    ),
)
PAIR = Layout(
    "krait_pair",
    (
        ("verdict_class", "I"),
        ("rule", "2H"),  # [0]: the lower identity opens; [1]: the higher
        ("list", "2I"),  # the same; an offset into `ports` << 10 | length, 0 for none
    ),
)
FLOW_KEY = Layout(
    "krait_flow_key",
    (
        ("a", "2Q"),  # the lower of the two (address, port)s, host byte order, IPv4 in [1]
        ("b", "2Q"),
        ("port_a", "H"),
        ("port_b", "H"),
        ("protocol", "B"),
        ("family", "B"),  # 4 or 6
        ("zero", "H"),
    ),
)
FLOW = Layout(
    "krait_flow",
    (
        ("word", "Q"),  # revision:32 | allow:1 | opener is b:1 | tag of the key's hash:30
        ("seen", "I"),  # jiffies, low half
        ("rule", "H"),
        ("state", "B"),
        ("zero", "B"),
    ),
)
BUDGET = Layout(
    "krait_budget",
    (
        ("left", "I"),  # an open costs HZ of it, each tick brings `opens`
        ("seen", "I"),  # jiffies, low half
    ),
)
FRAGMENT_KEY = Layout(
    "krait_fragment_key",
    (
        ("src", "2Q"),  # host byte order, IPv4 in [1]
        ("dst", "2Q"),
        ("id", "I"),  # as it stands in the packet
        ("protocol", "B"),  # 0 for IPv6
        ("family", "B"),
        ("egress", "B"),  # the hook: 0 or 1
        ("zero", "B"),
    ),
)
FRAGMENT = Layout(
    "krait_fragment",
    (
        ("revision", "I"),
        ("seen", "I"),  # jiffies, low half
        ("end", "H"),  # bytes of the datagram that the first fragment holds
        ("rule", "H"),
    ),
)
PREFIX4 = Layout("krait_prefix4", (("length", "I"), ("slot", "B"), ("address_be", "4B")))
PREFIX6 = Layout("krait_prefix6", (("length", "I"), ("slot", "B"), ("address_be", "16B")))
COUNT = Layout("krait_count", (("packets", "Q"), ("bytes", "Q"), ("last", "Q")))  # `last`: jiffies

SHAPE = Layout(
    "krait_shape",
    (
        ("abi_version", "I"),
        ("pair_layout", "I"),
        ("columns", "I"),  # the stride of a row of pairs
        ("shadowing", "I"),  # 1: a shadow is judged too
        ("flow_version", "I"),
        ("zero", "I"),
        ("build", "Q"),  # tells the object from others of the same layout
    ),
)

LAYOUTS = (
    SELF, PRINCIPAL, PAIR, FLOW_KEY, FLOW, BUDGET, FRAGMENT_KEY, FRAGMENT, PREFIX4, PREFIX6, COUNT,
    SHAPE,
)  # fmt: skip

PREFIX_SLOT_BITS = 8
"""An LPM key's length counts the slot byte before the address."""

PREFIX_SLOT_AT = PREFIX4.offsets()["slot"][0]
"""Where that byte is in either family's key: behind the length."""
