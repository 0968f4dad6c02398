# SPDX-License-Identifier: Apache-2.0
"""One load of the guard: a program for the ingress of any interface, and what it holds it to."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from krait.common import guard as abi
from krait.common.errors import SystemRefused
from krait.common.guard import GuardMark, GuardReason
from krait.kernel.bpf.btf import check_enum, check_layouts
from krait.kernel.bpf.bundle import pin_together
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import Program, program_id
from krait.kernel.generation import Count
from krait.policy.model import Network

OBJECT = Path(__file__).parent / "bpf" / "guard.bpf.o"

_PROGRAM = "krait_guard"
_MAPS = ("marks4", "marks6", "drops")
_PREFIXES = {"marks4": abi.PREFIX4, "marks6": abi.PREFIX6}
_MARK_BYTES = 4


class GuardLoad:
    """Owns the descriptors; pins and attachments outlive it."""

    def __init__(self, maps: dict[str, Map], program: Program) -> None:
        self.program = program
        self._maps = maps

    @classmethod
    def load(cls, path: Path = OBJECT) -> Self:
        """Load the object; nothing is marked, so that everything passes."""
        if not path.exists():
            raise SystemRefused(f"{path} is missing", hint="build it: ./just build-all")
        with BpfObject.open(path) as opened:
            check_layouts(opened.btf, abi.LAYOUTS)
            for tag, numbers in abi.ENUMERATIONS.items():
                check_enum(opened.btf, tag, numbers)
            opened.load()
            maps = {name: opened.maps[name].duplicate() for name in _MAPS}
            return cls(maps, Program(opened.programs[_PROGRAM]).duplicate())

    @classmethod
    def open(cls, directory: Path) -> Self:
        """The one that is pinned there."""
        maps = {name: Map.open_pinned(directory / name) for name in _MAPS}
        return cls(maps, Program.open_pinned(directory / _PROGRAM))

    def pin(self, directory: Path) -> None:
        """Pin all of it under a name that appears at once, or not at all."""
        pin_together(directory, {**self._maps, _PROGRAM: self.program})

    @property
    def program_id(self) -> int:
        """The kernel's number for it."""
        return program_id(self.program.fd)

    @property
    def marks(self) -> dict[Network, GuardMark]:
        """What is marked, read back."""
        return {cidr: mark for name in _PREFIXES for cidr, mark in self._read(name)}

    def mark(self, marks: Mapping[Network, GuardMark]) -> None:
        """Mark these, and nothing else, by `changes`.

        Raises MapFull if there are more than the guard has room for: some are marked then.
        """
        for cidr, mark in changes(self.marks, marks):
            name, key = _key(cidr)
            if mark is None:
                self._maps[name].delete(key)
            else:
                self._maps[name].update(key, mark.to_bytes(_MARK_BYTES, "little"))

    @property
    def drops(self) -> dict[GuardReason, Count]:
        """Dropped packets by reason; those that never occurred are left out."""
        sums = self._maps["drops"].folded((sum, sum))  # packets, bytes
        return {reason: Count(*sums[reason]) for reason in GuardReason if sums[reason][0]}

    def close(self) -> None:
        """Let the descriptors go; what is pinned or attached runs on."""
        for each in (*self._maps.values(), self.program):
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, name: str) -> Iterator[tuple[Network, GuardMark]]:
        layout = _PREFIXES[name].codec
        for keys, values in self._maps[name].items():
            for number, (length, *address) in enumerate(layout.iter_unpack(keys)):
                at = number * _MARK_BYTES
                mark = int.from_bytes(values[at : at + _MARK_BYTES], "little")
                # What lies behind a prefix counts for nothing, and another tool may leave it there.
                yield ip_network((bytes(address), length), strict=False), GuardMark(mark)


def changes(
    there: Mapping[Network, GuardMark], wanted: Mapping[Network, GuardMark]
) -> Iterator[tuple[Network, GuardMark | None]]:
    """What to mark, and what no more (None), one after the other. Pure.

    In between, however far it came, each address has the mark that it had or the one that it gets:
    what is new comes longest first, so that no prefix shows before those inside of it; what goes
    follows, shortest first, so that none shows that was hidden.
    """
    for cidr in sorted(wanted, key=lambda each: -each.prefixlen):
        if there.get(cidr) != wanted[cidr]:
            yield cidr, wanted[cidr]
    for cidr in sorted(there.keys() - wanted.keys(), key=lambda each: each.prefixlen):
        yield cidr, None


def is_whole(directory: Path) -> bool:
    """Whether all of a load is pinned there: somebody may have removed some of it."""
    return all((directory / name).is_file() for name in (*_MAPS, _PROGRAM))


def _key(cidr: Network) -> tuple[str, bytes]:
    """The table of a prefix, and its key there."""
    name = f"marks{cidr.version}"
    packed = cidr.network_address.packed
    return name, _PREFIXES[name].codec.pack(cidr.prefixlen, *packed)
