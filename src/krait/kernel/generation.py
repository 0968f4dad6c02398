# SPDX-License-Identifier: Apache-2.0
"""One load of Krait's object, what is in force in it and what it counted.

Plain data, so that what decides about loads needs no kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from krait.common.abi import ABI_VERSION
from krait.kernel.hook import Hook


@dataclass(frozen=True, slots=True)
class Generation:
    """One load, by what an attached program can be compared with."""

    abi_version: int
    number: int
    programs: Mapping[Hook, int]  # kernel ids
    revision: int  # in force in its tables; 0: nothing was committed, or unknown to this version

    @property
    def readable(self) -> bool:
        """Whether this version of Krait knows its tables."""
        return self.abi_version == ABI_VERSION

    @property
    def name(self) -> str:
        """Of its folder: `<layout version>-<number>`."""
        return f"{self.abi_version}-{self.number}"


@dataclass(frozen=True, slots=True)
class ControlWord:
    """What the control word says: the slot that packets read, and the revision it holds."""

    revision: int  # 0: nothing was committed yet
    slot: int

    @property
    def idle(self) -> int:
        """The other slot, which no new packet reads and the next commit writes."""
        return self.slot ^ 1


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on the clock of the kernel program."""

    ticks: int  # jiffies, all 64 bits
    per_second: int


NO_TIME = Moment(0, 1)
"""Stands where nothing was counted, so that nothing has an age."""


@dataclass(frozen=True, slots=True)
class Count:
    """Of one per-CPU counter: all copies' packets and bytes, and the last time of any."""

    packets: int
    bytes: int
    last_ticks: int = 0  # jiffies, when the last packet came; means nothing where there is none

    def age_s(self, now: Moment) -> float | None:
        """Seconds since the last packet, without those that the machine slept; None: never."""
        if not self.packets:
            return None
        return max(now.ticks - self.last_ticks, 0) / now.per_second
