# SPDX-License-Identifier: Apache-2.0
"""A program of Krait's on one hook of an interface: by which way it got there, and who runs before.

Plain data, so that what decides about filters needs no kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class AttachKind(Enum):
    """The two ways to a TC hook."""

    TCX = "tcx"
    """A link (Linux 6.6), which no other tool takes off by mistake."""
    CLSACT = "clsact"
    """A filter on a qdisc: for older kernels. Programs of TCX run before all of these."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one of Krait's programs sits on a hook."""

    kind: AttachKind
    program_id: int
    ahead: tuple[str, ...] = ()
    """Who sees packets before Krait does, for people; empty when Krait is first."""


@dataclass(frozen=True, slots=True)
class Posts:
    """Where the guard is."""

    seats: Mapping[int, tuple[Seat, ...]]
    """By ifindex."""
    lost: frozenset[int]
    """Links whose device is gone, or in another network namespace, by the ifindex it had."""
