# SPDX-License-Identifier: Apache-2.0
"""The numbers that cross between user space and the kernel program, with those of `reason` and the
layouts of `structs`: the mirror of ebpf/krait/abi.h.

They are append-only, for they live in pinned maps longer than any agent; the loader refuses an
object whose BTF says otherwise.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from types import MappingProxyType

from krait.common.reason import Reason

ABI_VERSION = 4
"""Names the pin folder; raised whenever a layout, a map or the meaning of a field changes."""

FLOW_VERSION = 1
"""Raised whenever the layout or the meaning of flows or of the control word changes: another
version of the layout goes on with the flows of one that has the same. `krait_shape` tells it, of
which only more may be added at the end.
"""

FIRST_IDENTITY = 256
"""Identities below are reserved; 0 is no identity and is denied under every default."""

REJECTIONS_PER_S = 100
"""How many rejections one sender is told of, and as many at once."""

REJECTION_BUDGETS = 256
"""Senders share these by a hash of their addresses."""

MAX_RULES = 1 << 15
"""Rule numbers have 15 bits in a port interval; number 0 is the policy's `default`."""

MAX_WINDOW = 1 << 20
"""Addresses of the mesh's range that an address array may hold, for each family."""

SLOTS = 2


class PairClass(IntEnum):
    """How packets of an identity pair are judged."""

    MISSING = 0
    ALLOW_STATELESS = 1
    DENY_BOTH = 2
    STATEFUL = 3
    ENDING = 4
    """Stateful, and a rule that lets something open has an end."""


class PairLayout(IntEnum):
    """How the index into the pair table is formed; chosen when the object is loaded."""

    ROWS = 0
    """A row for each identity this node stands for, a column for each identity: leaves."""
    TRIANGLE = 1
    """A row for every identity, as long as its own column: hubs."""


class Rehearsal(IntEnum):
    """What the shadow would have done to a packet, beside what was done to it."""

    SAME = 0
    CUTS = 1
    """It passed, and would not have."""
    OPENS = 2
    """It was denied, and would have passed."""


class RejectionOutcome(IntEnum):
    """What became of the rejection of a packet: of telling its sender that a rule rejects it."""

    SENT = 0
    LIMITED = 1
    """Its sender was told often enough."""
    SILENT = 2
    """Such a packet is not answered."""
    FAILED = 3
    """The kernel had no room for the answer."""


class SelfFlag(IntFlag):
    """Flags of the node whose table this is."""

    ARMED = 1
    """A policy is in this slot; without it every packet drops as `not-ready`."""
    TRANSIT = 2
    STRICT = 4
    REJECT_INGRESS = 8
    """A peer is told too whose packet arrives here."""
    REJECTS = 16
    """Some denial is told. Where none is, nobody asks whether this one."""


class PrincipalFlag(IntFlag):
    """Flags of the owner of an address."""

    UNKNOWN_PEER = 1
    """A peer that the document does not name."""
    GROUP = 2
    """A multicast group, which has no peer and never sends."""


class Path(IntEnum):
    """Where a verdict was found; a dry run returns it."""

    NONE = 0
    PAIR = 1
    FLOW = 2
    OPEN = 3
    FRAGMENT = 4


class FlowState(IntEnum):
    """The low three bits of a flow's `state` byte."""

    TCP_HALF_OPEN = 0
    TCP_ESTABLISHED = 1
    TCP_CLOSING = 2
    UDP_NEW = 3
    UDP_REPLIED = 4
    ECHO = 5


STATE_MASK = 7
"""The part of a flow's `state` byte that is a FlowState; the rest are marks."""
FIN_OPENER = 16
FIN_REPLY = 32
OPENER_SILENT = 64
FLOW_MARKS = FIN_OPENER | FIN_REPLY | OPENER_SILENT

MAY_OPEN = 1 << 15
"""The bit of an interval that lets its tuples open; the rule's number is below it."""

FLOW_TIMEOUT_S: Mapping[FlowState, int] = MappingProxyType(
    {
        FlowState.TCP_HALF_OPEN: 30,
        FlowState.TCP_ESTABLISHED: 7200,
        FlowState.TCP_CLOSING: 30,
        FlowState.UDP_NEW: 30,
        FlowState.UDP_REPLIED: 180,
        FlowState.ECHO: 30,
    }
)

FRAGMENT_TIMEOUT_S = 10
"""For how long the fragments of a datagram may follow its first."""


LIST_LENGTH_BITS = 10
MAX_LIST_LENGTH = (1 << LIST_LENGTH_BITS) - 1

CONTROL_BYTES = 8


def control_word(revision: int, slot: int) -> int:
    """The u64 whose store is a commit: revision in the high half, slot in the low."""
    return revision << 32 | slot


def interval(low: int, high: int, *, allow: bool, rule: int) -> int:
    """One entry of `ports`: an inclusive range over protocol:8 | port:16, its verdict and rule."""
    return low << 40 | high << 16 | (MAY_OPEN if allow else 0) | rule


def list_reference(offset: int, length: int) -> int:
    """How a pair names its list: a place in `ports` and a length, 0 for none."""
    return offset << LIST_LENGTH_BITS | length


ENUMERATIONS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "krait_reason": {
            **{f"KRAIT_{each.name}": each for each in Reason},
            "KRAIT_REASONS": len(Reason),
        },
        "krait_path": {f"KRAIT_PATH_{each.name}": each for each in Path},
        "krait_pair_class": {f"KRAIT_PAIR_{each.name}": each for each in PairClass},
        "krait_pair_layout": {f"KRAIT_LAYOUT_{each.name}": each for each in PairLayout},
        "krait_rehearsal": {
            **{f"KRAIT_REHEARSAL_{each.name}": each for each in Rehearsal},
            "KRAIT_REHEARSALS": len(Rehearsal),
        },
        "krait_rejection_outcome": {
            **{f"KRAIT_REJECTION_{each.name}": each for each in RejectionOutcome},
            "KRAIT_REJECTIONS": len(RejectionOutcome),
        },
        "krait_self_flag": {f"KRAIT_SELF_{each.name}": each for each in SelfFlag},
        "krait_principal_flag": {f"KRAIT_PRINCIPAL_{each.name}": each for each in PrincipalFlag},
        "krait_flow_state": {
            **{f"KRAIT_FLOW_{each.name}": each for each in FlowState},
            "KRAIT_FLOW_STATES": len(FlowState),
        },
        "krait_flow_mark": {
            "KRAIT_FLOW_STATE_MASK": STATE_MASK,
            "KRAIT_FLOW_FIN_OPENER": FIN_OPENER,
            "KRAIT_FLOW_FIN_REPLY": FIN_REPLY,
            "KRAIT_FLOW_OPENER_SILENT": OPENER_SILENT,
        },
        "krait_constant": {
            "KRAIT_SLOTS": SLOTS,
            "KRAIT_LIST_LENGTH_BITS": LIST_LENGTH_BITS,
            "KRAIT_FIRST_IDENTITY": FIRST_IDENTITY,
            "KRAIT_MAY_OPEN": MAY_OPEN,
            "KRAIT_REJECTIONS_A_SECOND": REJECTIONS_PER_S,
            "KRAIT_REJECTION_BUDGETS": REJECTION_BUDGETS,
        },
    }
)
"""Every enumeration of ebpf/krait/abi.h by its tag, whole."""
