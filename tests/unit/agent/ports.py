# SPDX-License-Identifier: Apache-2.0
"""The ports in memory: what Enforcement and the loop see of a kernel, and what it refuses."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from krait.agent.apply import Enforcement
from krait.agent.loop import Agent
from krait.agent.notify import Notifier
from krait.agent.ports import Eyes, Filter, Loads, Program
from krait.agent.rounds import Rounds
from krait.agent.setup import Setup
from krait.agent.state import Live, read_live
from krait.common.abi import ABI_VERSION
from krait.common.errors import SystemRefused
from krait.common.reason import Reason
from krait.kernel.flows import LiveFlow
from krait.kernel.generation import ControlWord, Count, Generation, Moment
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.link_watch import LinkEvent, Resync
from krait.kernel.seat import AttachKind, Seat
from krait.kernel.wireguard import Device, Fingerprint, Peer
from krait.policy.capacity import Capacity
from krait.policy.image import Image
from krait.policy.pairing import PortList
from tests.unit.policy.bench import DOCUMENT, INTERFACE

LINK = Link(7, "wg0", "wireguard", 1420, up=True, addresses=INTERFACE.addresses)
PEERS = tuple(Peer(each.public_key, None, each.allowed_ips, 0, 0, 0, 0) for each in INTERFACE.peers)


class Refused(SystemRefused):
    """The kernel said no, because the test said so."""


@dataclass
class Kernel:
    """All that the ports stand on. `refuses` names what fails: `write`, `attach egress`, …"""

    refuses: set[str] = field(default_factory=set)
    link: Link | None = LINK
    loaded: dict[int, "FakeTables"] = field(default_factory=dict)
    seats: dict[Hook, tuple[Seat, ...]] = field(default_factory=lambda: dict.fromkeys(Hook, ()))
    elsewhere: frozenset[int] = frozenset()
    outdated: set[int] = field(default_factory=set)
    """Loads of another build of the object."""
    public_key: bytes = INTERFACE.public_key
    peers: tuple[Peer, ...] = PEERS

    def check(self, what: str) -> None:
        if what in self.refuses:
            raise Refused(f"{what}: refused")


@dataclass
class FakeTables:
    """Keeps what was committed, not what it means."""

    kernel: Kernel
    generation: Generation
    capacity: Capacity
    in_force: ControlWord = field(default_factory=lambda: ControlWord(0, 0))
    written: dict[int, Image] = field(default_factory=dict)
    forgotten: dict[str, tuple[int, ...]] = field(default_factory=dict)
    altered: tuple[str, ...] = ()
    """Tables that somebody else writes after each commit."""
    readings: int = 0

    @property
    def programs(self) -> Mapping[Hook, Program]:
        ids = self.generation.programs.items()
        return {hook: cast("Program", SimpleNamespace(fd=number)) for hook, number in ids}

    def is_armed(self) -> bool:
        image = self.written.get(self.in_force.slot)
        return image is not None and any(image.arrays.get("self", b""))

    def lists(self, slot: int) -> Mapping[PortList, int]:
        return self.written[slot].lists

    def write(
        self, slot: int, image: Image, *, known: Image | None, held: Mapping[PortList, int]
    ) -> None:
        self.kernel.check("write")
        assert slot != self.in_force.slot or not self.written
        self.written[slot] = image
        assert known is None or held is not None

    def commit(self, slot: int, revision: int) -> None:
        self.in_force = ControlWord(revision, slot)

    def differing(self, slot: int, image: Image, is_over: Callable[[], bool]) -> tuple[str, ...]:
        self.kernel.check("read back")
        assert self.written[slot] == image
        self.readings += 1
        return () if is_over() else self.altered

    def wait_for_readers(self) -> None:
        self.kernel.check("wait")

    def flows(self) -> Iterable[LiveFlow]:
        return ()

    def drops(self) -> Mapping[Reason, Count]:
        return {}

    def counts(self, table: str) -> list[Count]:
        raise NotImplementedError(table)

    def now(self) -> Moment:
        raise NotImplementedError

    def forget(self, table: str, numbers: Iterable[int]) -> None:
        self.kernel.check("forget")
        forgotten = tuple(numbers)
        assert all(forgotten), table
        self.forgotten[table] = (*self.forgotten.get(table, ()), *forgotten)


class FakeLoads:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def found(self) -> tuple[Generation, ...]:
        found = self._kernel.loaded.values()
        return tuple(replace(each.generation, revision=each.in_force.revision) for each in found)

    def is_current(self, generation: Generation) -> bool:
        return generation.number not in self._kernel.outdated

    def open(self, generation: Generation) -> FakeTables:
        return self._kernel.loaded[generation.number]

    def load(self, capacity: Capacity, after: Generation | None = None) -> Generation:
        self._kernel.check("load")
        number = max(self._kernel.loaded, default=after.number if after else 0) + 1
        programs = {Hook.INGRESS: 10 * number + 1, Hook.EGRESS: 10 * number + 2}
        generation = Generation(ABI_VERSION, number, programs, 0)
        self._kernel.loaded[number] = FakeTables(self._kernel, generation, capacity)
        return generation

    def is_pinned(self, generation: Generation) -> bool:
        return generation.number in self._kernel.loaded

    def pin(self, generation: Generation) -> None:
        raise AssertionError(generation)

    def remove(self, generation: Generation) -> None:
        del self._kernel.loaded[generation.number]

    def sweep(self) -> None:
        pass

    def clear(self) -> None:
        self._kernel.loaded.clear()

    def close(self) -> None:
        pass


class FakeFilter:
    kind = AttachKind.TCX

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def observe(self, ifindex: int, hook: Hook) -> tuple[Seat, ...]:
        assert self._kernel.link
        assert ifindex == self._kernel.link.ifindex
        return self._kernel.seats[hook]

    def attach(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        self._kernel.check(f"attach {hook.value}")
        assert ifindex
        self._kernel.seats[hook] = (Seat(self.kind, program_fd),)

    def swap(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        assert ifindex
        (seat,) = self._kernel.seats[hook]
        self._kernel.seats[hook] = (replace(seat, program_id=program_fd),)

    def detach(self, ifindex: int | None, hook: Hook, kind: AttachKind) -> None:
        assert ifindex
        kept = (seat for seat in self._kernel.seats[hook] if seat.kind is not kind)
        self._kernel.seats[hook] = tuple(kept)

    def is_pinned(self) -> bool:
        return True

    def pin(self) -> None:
        raise AssertionError("nothing is ever unpinned here")

    def close(self) -> None:
        pass

    def severed(self, hook: Hook) -> bool:
        return hook not in Hook

    def unlink_severed(self, hook: Hook) -> None:
        raise AssertionError(hook)

    def elsewhere(self, ifindex: int | None, programs: Set[int]) -> frozenset[int]:
        self._kernel.check("elsewhere")
        assert ifindex != 0
        return self._kernel.elsewhere | (programs & self._kernel.elsewhere)

    def free(self, ifindex: int | None, programs: Set[int]) -> None:
        raise AssertionError(ifindex, programs)

    def remove_qdisc(self, ifindex: int) -> bool:
        raise AssertionError(ifindex)


class Post(Notifier):
    """Keeps what would be told to systemd."""

    def __init__(self) -> None:
        super().__init__("")
        self.told: list[str] = []

    def _tell(self, *lines: str) -> None:
        self.told.extend(line for line in lines if not line.startswith(("STATUS", "MONOTONIC")))


class Stage:
    """A kernel in memory, a document on disk, and agents one after the other."""

    def __init__(self, folder: Path) -> None:
        self.kernel = Kernel()
        self.post = Post()
        self.document, self.live_path = folder / "wg0.yaml", folder / "run.json"
        self._records, self.kept = folder / "state.json", folder / "kept.yaml"
        self.shadow = folder / "shadow.yaml"
        self.document.write_text(DOCUMENT)
        self.events = [self.quiet]
        """Streams of the kernel's events, one after the other; the last goes on for ever."""

    def setup(self) -> Setup:
        loads: Loads = FakeLoads(self.kernel)
        hooks: Filter = FakeFilter(self.kernel)
        eyes = Eyes(lambda: self.kernel.link, self.fingerprint, self.device, self._next_stream)
        self.enforcement = Enforcement(loads, hooks, self._records)
        return Setup(
            interface="wg0",
            document=self.document,
            shadow=self.shadow,
            kept=self.kept,
            live=self.live_path,
            eyes=eyes,
            enforcement=self.enforcement,
            notifier=self.post,
            changes=follow,
        )

    def agent(self) -> Agent:
        return Agent(self.setup())

    def rounds(self) -> Rounds:
        return Rounds(self.setup())

    def edit(self, old: str, new: str) -> None:
        text = self.document.read_text()
        assert old in text
        self.document.write_text(text.replace(old, new, 1))

    def reboot(self) -> None:
        """Nothing pinned, nothing attached; the disk as it was."""
        self.kernel = Kernel()

    @property
    def live(self) -> Live:
        found = read_live(self.live_path)
        assert found
        return found

    @property
    def faults(self) -> list[str]:
        return [fault.message for fault in self.live.faults]

    @property
    def revision(self) -> int:
        return max((each.in_force.revision for each in self.kernel.loaded.values()), default=0)

    def fingerprint(self) -> Fingerprint:
        self.kernel.check("wireguard")
        peers = repr(self.kernel.peers).encode()
        return Fingerprint(self.kernel.public_key + peers, self.device)

    def device(self) -> Device:
        assert self.kernel.link
        ifindex = self.kernel.link.ifindex
        key = self.kernel.public_key
        return Device("wg0", ifindex, key, 51820, userspace=False, peers=self.kernel.peers)

    def _next_stream(self) -> AsyncGenerator[LinkEvent | Resync, None]:
        return (self.events.pop(0) if len(self.events) > 1 else self.events[0])()

    @staticmethod
    async def quiet() -> AsyncGenerator[LinkEvent | Resync, None]:
        yield Resync()
        await asyncio.Event().wait()


async def follow(_: Path) -> AsyncGenerator[None, None]:
    """A document that nobody touches."""
    yield
    await asyncio.Event().wait()
