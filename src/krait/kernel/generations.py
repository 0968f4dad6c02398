# SPDX-License-Identifier: Apache-2.0
"""The pinned loads of Krait's object for one interface: normally one, two while it is replaced.

Each has a folder of its own, `<layout version>-<number>`, in the interface's pin folder; it appears
whole, by a rename. Which of them is in force is not written down anywhere: it is the one whose
programs are attached.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from errno import ENOENT
from pathlib import Path

from krait.common.abi import ABI_VERSION
from krait.kernel.bpf.bundle import remove_pins
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.folder import make_private
from krait.kernel.bpf.mount import require_bpffs
from krait.kernel.bpf.pin import Kind, WrongKind, open_pinned
from krait.kernel.bpf.program import Program, program_id
from krait.kernel.claim import claim, release
from krait.kernel.datapath import OBJECT, Datapath, build_of
from krait.kernel.files import writing
from krait.kernel.generation import Generation
from krait.kernel.heritage import Heritage
from krait.kernel.hook import Hook
from krait.policy.capacity import Capacity

_NAME = re.compile(r"(\d+)-(\d+)(\+?)")


class Generations:
    """An interface's folder on the bpf file system, and what is open of it."""

    def __init__(self, folder: Path, object_path: Path = OBJECT) -> None:
        self.folder = folder
        self._object = object_path
        self._open: dict[int, Datapath] = {}

    def found(self) -> tuple[Generation, ...]:
        """What is pinned, by number.

        Unfinished ones, which nothing can run, and what only has such a name are left out.
        """
        named = ((path, _NAME.fullmatch(path.name)) for path in _entries(self.folder))
        whole = [(path, name) for path, name in named if name and _is_whole(path, name)]
        found = (_read(path, int(name[1]), int(name[2])) for path, name in whole)
        return tuple(sorted((each for each in found if each), key=lambda each: each.number))

    def open(self, generation: Generation) -> Datapath:
        """Its tables and programs, which stay this object's: `remove` or `close` closes them.

        Raises SystemRefused if this version cannot read them.
        """
        if generation.number not in self._open:
            self._open[generation.number] = Datapath.open(self.folder / generation.name)
        return self._open[generation.number]

    def load(self, capacity: Capacity, after: Generation | None = None) -> Generation:
        """Load the object anew and pin it under the next number; see Datapath.load for `after`.

        Of one that this version cannot read the flows are gone on with, if they can be.
        """
        if after is None or after.readable:
            before = self.open(after) if after else None
            datapath = Datapath.load(capacity, after=before, path=self._object)
        else:
            datapath = self._inherit(capacity, after)
        taken = [_NAME.fullmatch(path.name) for path in _entries(self.folder)]
        numbers = [*(int(name[2]) for name in taken if name), *self._open]
        generation = Generation(
            ABI_VERSION, max(numbers, default=0) + 1, _program_ids(datapath), revision=0
        )
        self._open[generation.number] = datapath
        try:
            self.pin(generation)
        except BaseException:
            self._open.pop(generation.number).close()
            raise
        return generation

    def _inherit(self, capacity: Capacity, after: Generation) -> Datapath:
        heritage = Heritage.of(self.folder / after.name)
        if heritage is None:
            return Datapath.load(capacity, path=self._object)
        try:
            return Datapath.load(capacity, known_flows=heritage.flows, path=self._object)
        finally:
            heritage.close()

    def is_current(self, generation: Generation) -> bool:
        """Whether it was loaded from the object that `load` loads; not another build's."""
        return self.open(generation).build == build_of(self._object)

    def is_pinned(self, generation: Generation) -> bool:
        """Whether its folder is there; somebody may have removed it while it runs."""
        return (self.folder / generation.name).exists()

    def pin(self, generation: Generation) -> None:
        """Pin one that is open, perhaps again: somebody may have removed its folder."""
        require_bpffs(self.folder)
        with writing(self.folder):
            make_private(self.folder)
            claim(self.folder)
            self.open(generation).pin(self.folder / generation.name)

    def remove(self, generation: Generation) -> None:
        """Close and unpin one; its programs run on where they are attached."""
        if (datapath := self._open.pop(generation.number, None)) is not None:
            datapath.close()
        pins = self.folder / generation.name
        unfinished = pins.with_name(pins.name + "+")
        remove_pins(unfinished)
        if pins.exists():
            pins.rename(unfinished)  # at once: half a load is none
            remove_pins(unfinished)

    def sweep(self) -> None:
        """Remove what a crash left half made, or half removed. For whoever alone makes them."""
        for path in _entries(self.folder):
            if (name := _NAME.fullmatch(path.name)) and not _is_whole(path, name):
                remove_pins(path)

    def clear(self) -> None:
        """Remove all of them, unfinished ones too, and the folder if nothing else is in it.

        The folder above it goes too, with the last interface and if it is ours: a unit's is not.
        """
        self.close()
        for path in _entries(self.folder):
            if _NAME.fullmatch(path.name):
                remove_pins(path)
        release(self.folder)
        with suppress(OSError):  # not there, or not empty
            self.folder.rmdir()
            if self.folder.parent.stat().st_uid == os.geteuid():
                self.folder.parent.rmdir()

    def close(self) -> None:
        """Close what is open; the pins stay."""
        while self._open:
            self._open.popitem()[1].close()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _is_whole(path: Path, name: re.Match[str]) -> bool:
    """Its programs are there; and its tables, as far as this version knows which they are."""
    if name[3] or not all((path / f"krait_{hook.value}").is_file() for hook in Hook):
        return False
    return int(name[1]) != ABI_VERSION or Datapath.is_whole(path)


def _read(path: Path, abi_version: int, number: int) -> Generation | None:
    """None for what is not of Krait's making, or gone by now, outgrown."""
    programs = {}
    try:
        for hook in Hook:
            with Program(open_pinned(path / f"krait_{hook.value}", Kind.PROGRAM)) as program:
                programs[hook] = program_id(program.fd)
        return Generation(abi_version, number, programs, _revision(path, abi_version))
    except WrongKind:
        return None
    except BpfRefused as error:
        if error.errno == ENOENT:
            return None
        raise


def _revision(path: Path, abi_version: int) -> int:
    if abi_version != ABI_VERSION:
        heritage = Heritage.of(path)
        if heritage is None:
            return 0
        heritage.close()
        return heritage.revision
    datapath = Datapath.open(path)
    try:
        return datapath.in_force.revision
    finally:
        datapath.close()


def _program_ids(datapath: Datapath) -> Mapping[Hook, int]:
    return {hook: program_id(program.fd) for hook, program in datapath.programs.items()}
