# SPDX-License-Identifier: Apache-2.0
"""What the agent asks of the system. `adapters` alone chooses who answers."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from krait.common.guard import GuardMark, GuardReason
from krait.common.reason import Reason
from krait.kernel.flows import LiveFlow
from krait.kernel.generation import ControlWord, Count, Generation, Moment
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.link_watch import LinkEvent, Resync
from krait.kernel.seat import AttachKind, Posts, Seat
from krait.kernel.wireguard import Device, Fingerprint
from krait.policy.capacity import Capacity
from krait.policy.image import Image
from krait.policy.model import Network
from krait.policy.pairing import PortList


class Program(Protocol):
    """A loaded program."""

    @property
    def fd(self) -> int:
        """This process's descriptor of it; good until its load is removed or closed."""


class Tables(Protocol):
    """One load of the object; see krait.kernel.datapath.

    What the kernel refuses raises SystemRefused.
    """

    @property
    def capacity(self) -> Capacity:
        """Entries a slot; fixed when it was loaded."""

    @property
    def programs(self) -> Mapping[Hook, Program]:
        """One for each hook, both on these tables."""

    @property
    def in_force(self) -> ControlWord:
        """The slot that packets read, and its revision."""

    def is_armed(self) -> bool:
        """Whether a policy is in force; without one every packet drops."""

    def lists(self, slot: int) -> Mapping[PortList, int]:
        """The port lists that a slot's pairs use, each with its offset in intervals."""

    def write(
        self, slot: int, image: Image, *, known: Image | None, held: Mapping[PortList, int]
    ) -> None:
        """Bring the idle slot to `image`; if it raises, what the slot holds is unknown.

        `known` is what it holds now, None if that is unknown; `held` are the lists in force.
        """

    def commit(self, slot: int, revision: int) -> None:
        """Put a slot in force: the next packet is judged by it."""

    def differing(self, slot: int, image: Image, is_over: Callable[[], bool]) -> tuple[str, ...]:
        """The tables whose part of a slot is not as `image` has it; none if `is_over` comes true.

        From any thread, while nobody writes the slot.
        """

    def wait_for_readers(self) -> None:
        """Block, 10 ms to 120 ms, until no packet is judged by what was in force before."""

    def flows(self) -> Iterable[LiveFlow]:
        """Every live flow, while the table is walked."""

    def drops(self) -> Mapping[Reason, Count]:
        """Dropped packets since the first load of the interface; only reasons that occurred."""

    def counts(self, table: str) -> Sequence[Count]:
        """The counters of `rules` or `peers`, by number."""

    def now(self) -> Moment:
        """The time on the counters' clock: what was read of them before is no later."""

    def forget(self, table: str, numbers: Iterable[int]) -> None:
        """Count anew from 0 under these numbers, which mean somebody else now."""


class Loads(Protocol):
    """The loads of an interface, pinned; see krait.kernel.generations.

    What the kernel refuses, or a folder that cannot be written, raises SystemRefused.
    """

    def found(self) -> tuple[Generation, ...]:
        """What is pinned, by number; half a load is none."""

    def open(self, generation: Generation) -> Tables:
        """Its tables, which stay the loads' to close; refused if of another layout version."""

    def load(self, capacity: Capacity, after: Generation | None = None) -> Generation:
        """Load and pin a new one whose empty slots drop all; flows and counters are `after`'s."""

    def is_current(self, generation: Generation) -> bool:
        """Whether its programs are those that `load` would load."""

    def is_pinned(self, generation: Generation) -> bool:
        """Whether another process would find it."""

    def pin(self, generation: Generation) -> None:
        """Pin an open one again, whose folder somebody removed."""

    def remove(self, generation: Generation) -> None:
        """Close and unpin it; its programs run on where they are attached."""

    def sweep(self) -> None:
        """Remove what a crash left half made."""

    def clear(self) -> None:
        """Remove all; folders that hold something of others stay."""

    def close(self) -> None:
        """Close what is open; the pins stay."""


class Guards(Protocol):
    """The guard of the interface, on others; see krait.kernel.guards.

    What the kernel refuses raises SystemRefused. `ifindex` is of this network namespace.
    """

    @property
    def kind(self) -> AttachKind:
        """How `attach` does it."""

    def program_id(self) -> int | None:
        """Of the load that is pinned, by kernel id; None: there is none of this version."""

    def outdated(self) -> bool:
        """Whether there are loads of other versions, or half ones."""

    def load(self, marks: Mapping[Network, GuardMark]) -> None:
        """Load and pin it, marked; nothing runs it yet."""

    def mark(self, marks: Mapping[Network, GuardMark]) -> None:
        """Mark these, and nothing else."""

    def observe(self, devices: Iterable[int], *, filters: bool) -> Posts:
        """Where it is, on these devices or others; `filters`: look for those of clsact as well."""

    def attach(self, ifindex: int) -> None:
        """Put the load on an interface, or in the place of another there."""

    def detach(self, ifindex: int, kind: AttachKind) -> None:
        """Take it off; no error if it is not there."""

    def drop(self, *, outdated: bool) -> None:
        """Unpin the load, or only what `outdated` finds; what is attached runs on."""

    def drops(self) -> Mapping[GuardReason, Count]:
        """What it dropped since it was loaded; only reasons that occurred."""

    def clear(self) -> bool:
        """Take all of it off and away; whether there was any."""


class Filter(Protocol):
    """Both hooks of the interface; see krait.kernel.filter.

    What the kernel refuses raises SystemRefused, which includes an interface that is gone unless
    a method says otherwise. `ifindex` is of this network namespace; programs are kernel ids.
    """

    @property
    def kind(self) -> AttachKind:
        """How `attach` and `swap` do it."""

    def observe(self, ifindex: int, hook: Hook) -> tuple[Seat, ...]:
        """Our programs on a hook in the order they run; none where the interface is gone."""

    def attach(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        """Put a program as far ahead as the kind can; one of ours there leaves only after."""

    def swap(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        """Run another program in the same place, without a gap; one must be there."""

    def detach(self, ifindex: int | None, hook: Hook, kind: AttachKind) -> None:
        """Take ours of one kind off; no error if none is there, or no interface (None)."""

    def is_pinned(self) -> bool:
        """Whether what is attached outlives this process."""

    def pin(self) -> None:
        """Pin again what is attached, whose pins somebody removed."""

    def close(self) -> None:
        """Hold nothing any more; what is pinned stays attached."""

    def severed(self, hook: Hook) -> bool:
        """Whether a pinned link is left of an interface that was deleted."""

    def unlink_severed(self, hook: Hook) -> None:
        """Remove what `severed` found; no error if there is none."""

    def elsewhere(self, ifindex: int | None, programs: Set[int]) -> frozenset[int]:
        """Our programs on devices that lost this name; filters count if they run `programs`."""

    def free(self, ifindex: int | None, programs: Set[int]) -> None:
        """Take off what `elsewhere` found: those devices are bare then."""

    def remove_qdisc(self, ifindex: int) -> bool:
        """Take the clsact qdisc away; False if it stays, for it has filters of others."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """Looks at one interface, by its name; what the kernel refuses raises SystemRefused."""

    link: Callable[[], Link | None]
    """None: it is not there. Raises OtherName if only another interface answers to the name."""
    fingerprint: Callable[[], Fingerprint]
    """What changes with its keys and allowed IPs. Raises as `device`."""
    device: Callable[[], Device]
    """WireGuard's part, without secrets. Raises NoSuchInterface or NotWireguard."""
    events: Callable[[], AsyncGenerator[LinkEvent | Resync, None]]
    """Of every interface of this network namespace; close it (`aclosing`)."""
