# SPDX-License-Identifier: Apache-2.0
"""What the acts of the demo found, and what of it may be called held. Pure.

Times are CLOCK_MONOTONIC nanoseconds, which all machines of namespaces have in common.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from krait.common.reason import Reason
from krait.lab.demo.matrix import Matrix, wrong
from krait.lab.machine import patient
from krait.lab.traffic import Protocol

GAP_NS = int(patient(5.0) * 1e9)
"""A gap that no scheduling explains: an allowed flow with one has been broken."""


@dataclass(frozen=True, slots=True)
class Enforced:
    """Act 1. `open` counts the probes that came back before Krait was there."""

    open: int
    matrix: Matrix
    drops: Mapping[str, Mapping[Reason, int]]  # packets, by host

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Hosts that dropped fewer packets as denied than probes of theirs are to be denied.

        Silence alone could be anything; each denied probe is dropped where it leaves.
        """
        denied = Counter(each.cell.source for each in self.matrix if not each.decision.allows)
        return tuple(
            host
            for host, probes in denied.items()
            if self.drops.get(host, {}).get(Reason.DENIED, 0) < probes
        )

    @property
    def held(self) -> bool:
        """Whether every probe passed before Krait, and every cell agrees, each drop counted."""
        return self.open == len(self.matrix) and not self.suspects

    @property
    def suspects(self) -> tuple[str, ...]:
        """The hosts to look at: both ends of the first thing that is wrong."""
        return _ends_of_wrong(self.matrix) or self.uncounted


@dataclass(frozen=True, slots=True)
class Wire:
    """A live flow: who opened it to whom."""

    source: str
    destination: str
    protocol: Protocol
    port: int
    family: int

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Kept:
    """An allowed flow: the longest silence in either direction, while others were cut or died."""

    wire: Wire
    gap_ns: int
    fault: str  # empty while it is whole

    @property
    def held(self) -> bool:
        """Whether the flow is whole and was never silent for GAP_NS."""
        return self.gap_ns < GAP_NS and not self.fault


@dataclass(frozen=True, slots=True)
class Cut:
    """One direction of a revoked flow."""

    wire: Wire
    source: str
    destination: str
    sent_after_ns: int  # of what arrived, the youngest was sent so long after the commit
    heard_after_ns: int  # and the last was read so long after it, on a busy machine much later
    in_vain: int  # packets that never arrived: the flow was not ended by its sender

    @property
    def held(self) -> bool:
        """Whether nothing passed that was sent after the commit, though packets were still sent."""
        return self.sent_after_ns <= 0 and self.in_vain > 0


@dataclass(frozen=True, slots=True)
class Revoked:
    """Act 2. The commit is the first at either end of the flows; the rename that of the file."""

    diff: tuple[str, ...]
    rename_to_commit_ns: int
    cuts: tuple[Cut, ...]
    kept: Kept

    @property
    def held(self) -> bool:
        """Whether all that was revoked was cut, and the flow that stays allowed went on."""
        return not self.suspects

    @property
    def suspects(self) -> tuple[str, ...]:
        """The hosts to look at: both ends of the first thing that is wrong."""
        uncut = ((cut.source, cut.destination) for cut in self.cuts if not cut.held)
        return next(uncut, ()) or _ends_of_broken((self.kept,))


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Act 3. The matrix was taken while every agent was dead."""

    matrix: Matrix
    kept: tuple[Kept, ...]

    @property
    def held(self) -> bool:
        """Whether every cell agrees and every flow went on with the agent dead."""
        return not self.suspects

    @property
    def suspects(self) -> tuple[str, ...]:
        """The hosts to look at: both ends of the first thing that is wrong."""
        return _ends_of_wrong(self.matrix) or _ends_of_broken(self.kept)


Act = Enforced | Revoked | Orphaned


def _ends_of_wrong(matrix: Matrix) -> tuple[str, ...]:
    return next(((each.cell.source, each.cell.destination) for each in wrong(matrix)), ())


def _ends_of_broken(kept: Iterable[Kept]) -> tuple[str, ...]:
    return next(((each.wire.source, each.wire.destination) for each in kept if not each.held), ())
