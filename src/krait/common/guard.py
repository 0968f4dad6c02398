# SPDX-License-Identifier: Apache-2.0
"""What crosses between user space and the guard: the mirror of ebpf/krait/guard.h.

Numbers are append-only and layouts have no hidden padding; the loader refuses an object whose BTF
says otherwise.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from types import MappingProxyType

from krait.common.layout import Layout

GUARD_VERSION = 2
"""Names the folder of its pins; raised whenever a layout, a map or the program changes."""

MAX_MARKS = 1 << 16
"""Prefixes of each family that may be marked."""


class GuardReason(IntEnum):
    """Why the guard drops a packet; PASS lets it go on."""

    PASS = 0
    SOURCE = 1
    DESTINATION = 2
    NEIGHBOUR = 3
    TRUNCATED = 4

    @property
    def label(self) -> str:
        """The name in `--json` and in the documentation."""
        return self.name.lower()


MEANINGS: Mapping[GuardReason, str] = MappingProxyType(
    {
        GuardReason.SOURCE: "From an address of the mesh, which only the tunnel brings in.",
        GuardReason.DESTINATION: "To this node's own address in the mesh.",
        GuardReason.NEIGHBOUR: "ARP or neighbour discovery about an address of the mesh.",
        GuardReason.TRUNCATED: "Too short, or behind too many headers, to tell whose it is.",
    }
)


class GuardMark(IntFlag):
    """What is said of a prefix; the longest that holds an address counts alone."""

    NOTHING = 0
    """A subnet behind this node, inside the range."""
    MESH = 1
    """No packet comes from there but out of the tunnel."""
    OWN = 2
    """No packet goes there but through the tunnel."""


PREFIX4 = Layout("krait_guard_prefix4", (("length", "I"), ("address_be", "4B")))
PREFIX6 = Layout("krait_guard_prefix6", (("length", "I"), ("address_be", "16B")))
COUNT = Layout("krait_guard_count", (("packets", "Q"), ("bytes", "Q")))

LAYOUTS = (PREFIX4, PREFIX6, COUNT)

ENUMERATIONS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "krait_guard_reason": {
            **{f"KRAIT_GUARD_{each.name}": each for each in GuardReason},
            "KRAIT_GUARD_REASONS": len(GuardReason),
        },
        "krait_guard_mark": {f"KRAIT_GUARD_{each.name}": each for each in GuardMark},
        "krait_guard_constant": {"KRAIT_GUARD_MARKS": MAX_MARKS},
    }
)
