# SPDX-License-Identifier: Apache-2.0
"""The pinned loads of Krait's object for one interface: normally one, two while it is replaced.

Each has a folder of its own, `<layout version>-<number>`, in the interface's pin folder; it appears
whole, by a rename. Which of them is in force is not written down anywhere: it is the one whose
programs are attached.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from krait.common.abi import ABI_VERSION
from krait.kernel.bpf.pin import Kind, open_pinned
from krait.kernel.bpf.program import program_id
from krait.kernel.datapath import Datapath, Program, remove_pins
from krait.kernel.hook import Hook

_NAME = re.compile(r"(\d+)-(\d+)(\+?)")


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
        return f"{self.abi_version}-{self.number}"


class Generations:
    """An interface's folder on the bpf file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def found(self) -> tuple[Generation, ...]:
        """What is pinned, by number. Unfinished ones, which nothing can run, are left out."""
        named = ((path, _NAME.fullmatch(path.name)) for path in _entries(self.folder))
        whole = [(path, name) for path, name in named if name and not name[3]]
        return tuple(
            sorted(
                (_read(path, int(name[1]), int(name[2])) for path, name in whole),
                key=lambda each: each.number,
            )
        )

    def open(self, generation: Generation) -> Datapath:
        """Its tables and programs. Raises SystemRefused if this version cannot read them."""
        return Datapath.open(self.folder / generation.name)

    def add(self, datapath: Datapath) -> Generation:
        """Pin a load under the next number."""
        taken = [_NAME.fullmatch(path.name) for path in _entries(self.folder)]
        number = max((int(name[2]) for name in taken if name), default=0) + 1
        generation = Generation(ABI_VERSION, number, _program_ids(datapath), 0)
        self.pin(generation, datapath)
        return generation

    def is_pinned(self, generation: Generation) -> bool:
        return (self.folder / generation.name).exists()

    def pin(self, generation: Generation, datapath: Datapath) -> None:
        """Pin a load, perhaps again: somebody may have removed its folder."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        datapath.pin(self.folder / generation.name)

    def remove(self, generation: Generation) -> None:
        """Unpin one; its programs run on where they are attached."""
        remove_pins(self.folder / generation.name)

    def clear(self) -> None:
        """Remove all of them, unfinished ones too, and the folder if nothing else is in it."""
        for path in _entries(self.folder):
            if _NAME.fullmatch(path.name):
                remove_pins(path)
        if self.folder.exists() and not _entries(self.folder):
            self.folder.rmdir()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _read(path: Path, abi_version: int, number: int) -> Generation:
    programs = {}
    for hook in Hook:
        with Program(open_pinned(path / f"krait_{hook.value}", Kind.PROGRAM)) as program:
            programs[hook] = program_id(program.fd)
    return Generation(abi_version, number, programs, _revision(path, abi_version))


def _revision(path: Path, abi_version: int) -> int:
    if abi_version != ABI_VERSION:
        return 0
    datapath = Datapath.open(path)
    try:
        return datapath.in_force.revision
    finally:
        datapath.close()


def _program_ids(datapath: Datapath) -> Mapping[Hook, int]:
    return {hook: program_id(program.fd) for hook, program in datapath.programs.items()}
