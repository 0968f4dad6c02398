# SPDX-License-Identifier: Apache-2.0
"""One load of Krait's object: two programs and the tables they read.

Its capacity is fixed when it is loaded. A policy that outgrows it gets a new datapath, which is
filled before the programs are swapped; the flow table is handed on.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import randbelow
from typing import Self

from krait.common import abi, structs
from krait.common.abi import (
    ABI_VERSION,
    FLOW_TIMEOUT_S,
    FRAGMENT_TIMEOUT_S,
    FlowState,
    PairLayout,
    Rehearsal,
)
from krait.common.errors import SystemRefused
from krait.common.reason import Reason
from krait.kernel.bpf.barrier import ReaderBarrier
from krait.kernel.bpf.btf import check_enum, check_layouts
from krait.kernel.bpf.bundle import pin_together
from krait.kernel.bpf.clock import TickClock, ticks_per_second
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import Program
from krait.kernel.bpf.word import Word
from krait.kernel.flows import LiveFlow, read_flows
from krait.kernel.generation import Count, InForce, Moment
from krait.kernel.hook import Hook
from krait.kernel.reading_back import differing
from krait.policy.capacity import Capacity
from krait.policy.image import ARRAYS, PREFIXES, Image
from krait.policy.pairing import PortList

OBJECT = Path(__file__).parent / "bpf" / "krait.bpf.o"

DEFAULT_FLOWS = 1 << 16

_TABLES = {
    "control": 1,
    "self": abi.SLOTS,
    "addr4": abi.SLOTS,
    "addr6": abi.SLOTS,
    "prefix4": abi.SLOTS,
    "prefix6": abi.SLOTS,
    "principal": abi.SLOTS,
    "pair": abi.SLOTS,
    "shadow_pair": abi.SLOTS,
    "ports": 1,
    "flows": 1,
    "unanswered": 1,
    "budgets": 1,
    "fragments": 1,
    "ends": abi.SLOTS,
    "rejecting": abi.SLOTS,
    "rules": 1,
    "shadow_rules": 1,
    "reasons": 1,
    "rejections": 1,
    "rejection_budgets": 1,
    "peers": 1,
    "shape": 1,
}
"""Every table that outlives the agent, and how many slots share it."""

_SIZED = ("addr4", "addr6", "prefix4", "prefix6", "principal", "pair", "ports", "rules", "peers")
_SEEN = ("flows", "unanswered", "fragments")  # what was learnt from packets
_SHARED = (*_SEEN, "reasons", "rejections", "rejection_budgets")
_COUNTED = ("rules", "shadow_rules", "peers")
_FOLDS = (sum, sum, max)  # of structs.COUNT
_ZERO_KEY = bytes(4)
_UNKNOWN = -1  # no principal's number, nor nobody's


class Datapath:
    """Owns the descriptors; pins and attachments outlive it."""

    def __init__(self, maps: dict[str, Map], programs: dict[Hook, Program]) -> None:
        self.maps = maps
        self.programs = programs
        self.capacity = _capacity(maps)
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
        maps = {name: program.maps[name].duplicate() for name in _TABLES}
        programs = {
            hook: Program(program.programs[f"krait_{hook.value}"]).duplicate() for hook in Hook
        }
        shape = structs.SHAPE.codec.pack(
            ABI_VERSION,
            capacity.layout,
            capacity.columns,
            bool(capacity.shadow_rules),
            abi.FLOW_VERSION,
            0,
            build,
        )
        maps["shape"].update(_ZERO_KEY, shape)
        return cls(maps, programs)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """The datapath that is pinned there."""
        maps = {name: Map.open_pinned(directory / name) for name in _TABLES}
        programs = {hook: Program.open_pinned(directory / f"krait_{hook.value}") for hook in Hook}
        return cls(maps, programs)

    @staticmethod
    def is_whole(directory: Path) -> bool:
        """Whether all is pinned there that `open` opens."""
        return all((directory / name).exists() for name in _TABLES)

    def pin(self, directory: Path) -> None:
        """Pin all of it under a name that appears at once, or not at all."""
        programs = {f"krait_{hook.value}": program for hook, program in self.programs.items()}
        pin_together(directory, {**self.maps, **programs})

    @property
    def in_force(self) -> InForce:
        """Both halves of the control word, read at once."""
        word = self._word.value
        return InForce(revision=word >> 32, slot=word & 1)

    @property
    def build(self) -> int:
        """Which object it was loaded from, as `build_of` tells them apart."""
        shape = self.maps["shape"].lookup(_ZERO_KEY) or bytes(structs.SHAPE.size_bytes)
        *_, build = structs.SHAPE.codec.unpack(shape)
        return int(build)

    def is_armed(self) -> bool:
        """Whether a policy is in force; without one every packet drops."""
        packed = self.maps["self"].lookup(self.in_force.slot.to_bytes(4, "little")) or b""
        fields = dict(zip(structs.SELF.offsets(), structs.SELF.codec.unpack(packed), strict=True))
        return bool(fields["flags"] & abi.SelfFlag.ARMED)

    def write(
        self, slot: int, image: Image, *, known: Image | None, held: Mapping[PortList, int]
    ) -> None:
        """Bring a slot that no packet reads to `image`.

        `known` is what it holds now, None if that is not known; `held` are the port lists of the
        slot in force, which are there already.
        """
        new_lists = {ports: at for ports, at in image.lists.items() if held.get(ports) != at}
        for ports, offset in new_lists.items():
            keys = array("I", range(offset, offset + len(ports))).tobytes()
            self.maps["ports"].update_batch(keys, array("Q", ports).tobytes(), len(ports))
        for name in ARRAYS:
            old = known.arrays.get(name, b"") if known else None
            self._write_array(name, slot, image.arrays.get(name, b""), old)
        for name in PREFIXES:
            self._write_prefixes(
                name, slot, image.prefixes[name], known.prefixes[name] if known else None
            )

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
        intervals = array("Q", b"".join(values for _, values in self.maps["ports"].items()))
        references = {
            reference
            for name in ("pair", "shadow_pair")
            for *_, first, second in structs.PAIR.codec.iter_unpack(self._part(name, slot))
            for reference in (first, second)
            if reference
        }
        found = {}
        for reference in references:
            offset, length = divmod(reference, 1 << abi.LIST_LENGTH_BITS)
            found[tuple(intervals[offset : offset + length])] = offset
        return found

    def _part(self, name: str, slot: int) -> bytes:
        """A slot's values of an array."""
        values = b"".join(values for _, values in self.maps[name].items())
        length = len(values) // _TABLES[name]
        return values[slot * length : (slot + 1) * length]

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

    def _write_array(self, name: str, slot: int, new: bytes, old: bytes | None) -> None:
        table = self.maps[name]
        size, stride = table.info.value_bytes, table.info.max_entries // _TABLES[name]
        if len(new) > stride * size:
            raise ValueError(f"{name}: {len(new) // size} entries in a slot of {stride}")
        length = stride * size if old is None else max(len(new), len(old))
        new = new.ljust(length, b"\0")
        for start, end in _differences(new, old, size):
            first = slot * stride + start // size
            count = (end - start) // size
            keys = array("I", range(first, first + count)).tobytes()
            table.update_batch(keys, memoryview(new)[start:end], count)

    def _write_prefixes(
        self, name: str, slot: int, new: Mapping[bytes, int], old: Mapping[bytes, int] | None
    ) -> None:
        table = self.maps[name]
        if old is None:
            old = dict.fromkeys(self._prefix_keys(name, slot), _UNKNOWN)
        gone = b"".join(_in_slot(key, slot) for key in old.keys() - new.keys())
        table.delete_batch(gone, len(gone) // table.info.key_bytes)
        fresh = [(key, number) for key, number in new.items() if old.get(key) != number]
        keys = b"".join(_in_slot(key, slot) for key, _ in fresh)
        values = array("I", (number for _, number in fresh)).tobytes()
        table.update_batch(keys, values, len(fresh))

    def _prefix_keys(self, name: str, slot: int) -> Iterator[bytes]:
        table = self.maps[name]
        size = table.info.key_bytes
        for keys, _ in table.items():  # noqa: PERF102 - a map, not a dict
            for at in range(0, len(keys), size):
                key = keys[at : at + size]
                if key[4] == slot:
                    yield _in_slot(key, 0)


@cache
def build_of(path: Path) -> int:
    """A number for the object's bytes. Raises SystemRefused if they cannot be read."""
    try:
        return int.from_bytes(sha256(path.read_bytes()).digest()[:8], "little")
    except OSError as error:
        raise SystemRefused(f"cannot read {path}: {error.strerror}") from error


def prepare(program: BpfObject, capacity: Capacity, test_ifindex: int) -> None:
    """Hold an opened object against the ABI, and give it its sizes and constants."""
    check_layouts(program.btf, structs.LAYOUTS)
    for tag, numbers in abi.ENUMERATIONS.items():
        check_enum(program.btf, tag, numbers)
    for name in _SIZED:
        program.resize(name, getattr(capacity, name) * _TABLES[name])
    program.resize("budgets", capacity.peers)
    program.resize("ends", capacity.rules * abi.SLOTS)
    program.resize("rejecting", capacity.rules * abi.SLOTS)
    program.set_constant("n_rules", capacity.rules)
    program.set_constant("rejection_mark", 1 + randbelow((1 << 32) - 1))
    if capacity.shadow_rules:
        program.resize("shadow_rules", capacity.shadow_rules * len(Rehearsal))
        program.resize("shadow_pair", capacity.pair * abi.SLOTS)
        program.set_constant("shadowing", 1)
    for name in ("addr4", "addr6", "principal", "pair"):
        program.set_constant(f"n_{name}", getattr(capacity, name))
    hz = ticks_per_second()
    program.set_constant("pair_layout", capacity.layout)
    program.set_constant("timeout_ticks", [FLOW_TIMEOUT_S[state] * hz for state in FlowState])
    program.set_constant("fragment_ticks", FRAGMENT_TIMEOUT_S * hz)
    program.set_constant("ticks_per_second", hz)
    program.set_constant("test_ifindex", test_ifindex)


def _capacity(maps: Mapping[str, Map]) -> Capacity:
    shape = maps["shape"].lookup(_ZERO_KEY) or bytes(structs.SHAPE.size_bytes)
    version, layout, columns, shadowing, *_ = structs.SHAPE.codec.unpack(shape)
    if version != ABI_VERSION:
        raise SystemRefused(
            f"the pinned tables have layout {version}; this Krait reads {ABI_VERSION}",
            hint="take the filter off with the version that made it: krait detach INTERFACE",
        )
    sizes = {name: maps[name].info.max_entries // _TABLES[name] for name in _SIZED}
    shadow_rules = maps["shadow_rules"].info.max_entries // len(Rehearsal) if shadowing else 0
    return Capacity(**sizes, columns=columns, layout=PairLayout(layout), shadow_rules=shadow_rules)


def _in_slot(key: bytes, slot: int) -> bytes:
    return key[:4] + bytes((slot,)) + key[5:]


def _differences(new: bytes, old: bytes | None, size: int) -> Iterator[tuple[int, int]]:
    """The stretches of `new`, in whole entries, that differ from `old`; all of it if None."""
    if old is None:
        if new:
            yield 0, len(new)
        return
    old = old.ljust(len(new), b"\0")
    step = size * 64
    start = None
    for at in range(0, len(new), step):
        if new[at : at + step] != old[at : at + step]:
            start = at if start is None else start
        elif start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, len(new)
