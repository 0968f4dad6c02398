# SPDX-License-Identifier: Apache-2.0
"""One load of Krait's object: two programs and the tables they read.

Its capacity is fixed when it is loaded. A policy that outgrows it gets a new datapath, which is
filled before the programs are swapped; the flow table is handed on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

from krait.common import abi, structs
from krait.common.errors import SystemRefused
from krait.common.reason import Reason
from krait.kernel.bpf.barrier import ReaderBarrier
from krait.kernel.bpf.bundle import pin_together
from krait.kernel.bpf.clock import TickClock, ticks_per_second
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import Program
from krait.kernel.bpf.word import Word
from krait.kernel.flows import LiveFlow, read_flows
from krait.kernel.generation import ControlWord, Count, Moment
from krait.kernel.hook import Hook
from krait.kernel.reading_back import differing
from krait.kernel.shape import TABLES, build_in, capacity_of, prepare, tell
from krait.kernel.slot import is_armed, read_lists, write_slot
from krait.policy.capacity import Capacity
from krait.policy.image import Image
from krait.policy.pairing import PortList

OBJECT = Path(__file__).parent / "bpf" / "krait.bpf.o"

DEFAULT_FLOWS = 1 << 16

_SEEN = ("flows", "unanswered", "fragments")  # what was learnt from packets
_SHARED = (*_SEEN, "reasons", "rejections", "rejection_budgets")
_COUNTED = ("rules", "shadow_rules", "peers")
_FOLDS = (sum, sum, max)  # of structs.COUNT


class Datapath:
    """Owns the descriptors; pins and attachments outlive it."""

    def __init__(self, maps: dict[str, Map], programs: dict[Hook, Program]) -> None:
        self.maps = maps
        self.programs = programs
        self.capacity = capacity_of(maps)
        self._word = Word(maps["control"])
        self._barrier = ReaderBarrier()

    @classmethod
    def load(
        cls,
        capacity: Capacity,
        *,
        flows: int = DEFAULT_FLOWS,
        beside: Self | None = None,
        after: Self | None = None,
        known_flows: Mapping[str, Map] | None = None,
        test_ifindex: int = 0,
        path: Path = OBJECT,
    ) -> Self:
        """Load the object with tables of this capacity; both slots are empty and drop all.

        `flows` is the size of a new table of flows; that of unanswered ones is a quarter. `beside`
        is a datapath with which the new one shares what was learnt from packets, and budgets.
        `after` is one that it takes over from: what was learnt is used further, with the counters
        by reason and of rejections; those by rule and by peer, and peers' budgets, begin where its
        own are now.
        `known_flows` are the tables of flows of one that has another layout else
        (`kernel.heritage`).
        """
        if not path.exists():
            raise SystemRefused(f"{path} is missing", hint="build it: ./just build-all")
        with BpfObject.open(path) as program:
            prepare(program, capacity, test_ifindex)
            shared = dict(known_flows or {})
            if beside is not None:
                shared = {name: beside.maps[name] for name in (*_SEEN, "budgets")}
            if after is not None:
                shared = {name: after.maps[name] for name in _SHARED}
            if not shared:
                program.resize("flows", flows)
                program.resize("unanswered", max(1, flows // 4))
            for name, table in shared.items():
                program.reuse(name, table.fd)
            program.load()
            loaded = cls.of(program, capacity, build_of(path))
        if after is not None:
            loaded._count_on(after)  # noqa: SLF001 - of its own class
        return loaded

    @classmethod
    def of(cls, program: BpfObject, capacity: Capacity, build: int = 0) -> Self:
        """What was loaded from an object that `prepare` shaped; outlives the object."""
        maps = {name: program.maps[name].duplicate() for name in TABLES}
        programs = {
            hook: Program(program.programs[f"krait_{hook.value}"]).duplicate() for hook in Hook
        }
        tell(maps, capacity, build)
        return cls(maps, programs)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """The datapath that is pinned there."""
        maps = {name: Map.open_pinned(directory / name) for name in TABLES}
        programs = {hook: Program.open_pinned(directory / f"krait_{hook.value}") for hook in Hook}
        return cls(maps, programs)

    @staticmethod
    def is_whole(directory: Path) -> bool:
        """Whether all is pinned there that `open` opens."""
        return all((directory / name).exists() for name in TABLES)

    def pin(self, directory: Path) -> None:
        """Pin all of it under a name that appears at once, or not at all."""
        programs = {f"krait_{hook.value}": program for hook, program in self.programs.items()}
        pin_together(directory, {**self.maps, **programs})

    @property
    def in_force(self) -> ControlWord:
        """Both halves of the control word, read at once."""
        word = self._word.value
        return ControlWord(revision=word >> 32, slot=word & 1)

    @property
    def build(self) -> int:
        """Which object it was loaded from, as `build_of` tells them apart."""
        return build_in(self.maps)

    def is_armed(self) -> bool:
        """Whether a policy is in force; without one every packet drops."""
        return is_armed(self.maps, self.in_force.slot)

    def write(
        self, slot: int, image: Image, *, known: Image | None, held: Mapping[PortList, int]
    ) -> None:
        """See krait.kernel.slot."""
        write_slot(self.maps, slot, image, known=known, held=held)

    def commit(self, slot: int, revision: int) -> None:
        """Put a slot in force, by one store: the next packet on any CPU is judged by it."""
        self._word.value = abi.control_word(revision, slot)

    def differing(self, slot: int, image: Image, is_over: Callable[[], bool]) -> tuple[str, ...]:
        """See krait.kernel.reading_back."""
        return differing(self.maps, slot, image, is_over)

    def wait_for_readers(self) -> None:
        """Return once no packet is still being judged by what was in force before the call."""
        self._barrier.wait()

    def lists(self, slot: int) -> dict[PortList, int]:
        """The port lists that a slot's pairs use, read back from the tables."""
        return read_lists(self.maps, slot)

    def flows(self) -> Iterator[LiveFlow]:
        """See krait.kernel.flows."""
        return read_flows(self.maps)

    def drops(self) -> dict[Reason, Count]:
        """Dropped packets by reason; those that never occurred are left out."""
        counts = self.counts("reasons")
        return {reason: counts[reason] for reason in Reason if counts[reason].packets}

    def counts(self, table: str) -> list[Count]:
        """By number: of `rules`, `peers`, `reasons`, `rejections` or `shadow_rules`."""
        return [Count(*each) for each in self.maps[table].folded(_FOLDS)]

    def now(self) -> Moment:
        """The time on the counters' clock; one that was read before has nothing later."""
        with TickClock() as clock:
            return Moment(clock.now64(), ticks_per_second())

    def forget(self, table: str, numbers: Iterable[int]) -> None:
        """Begin anew under these numbers of `rules`, `peers` or `budgets`: they are others' now."""
        counters = self.maps[table]
        for number in numbers:
            counters.update(number.to_bytes(4, "little"), bytes(counters.value_bytes))

    def close(self) -> None:
        """Let the descriptors go; what is pinned or attached runs on."""
        self._word.close()
        self._barrier.close()
        for each in (*self.maps.values(), *self.programs.values()):
            each.close()

    def _count_on(self, after: Self) -> None:
        """Begin with another's counters, all copies made one: where it lies does not matter.

        And with what peers have left of their budgets; of what is opened between this and the
        swap of the programs nothing is taken off.
        """
        former, budgets = after.maps["budgets"], self.maps["budgets"]
        for keys, values in former.items():
            budgets.update_batch(keys, values, len(keys) // former.info.key_bytes)
        for name in _COUNTED:
            counters = self.maps[name]
            for number, count in enumerate(after.maps[name].folded(_FOLDS)):
                if any(count) and number < counters.info.max_entries:
                    value = structs.COUNT.codec.pack(*count).ljust(counters.value_bytes, b"\0")
                    counters.update(number.to_bytes(4, "little"), value)


@cache
def build_of(path: Path) -> int:
    """A number for the object's bytes. Raises SystemRefused if they cannot be read."""
    try:
        return int.from_bytes(sha256(path.read_bytes()).digest()[:8], "little")
    except OSError as error:
        raise SystemRefused(
            f"cannot read {path}: {error.strerror}", hint="install Krait again: it comes with it"
        ) from error
