# SPDX-License-Identifier: Apache-2.0
"""The guard of one WireGuard interface: its load, and where it is attached.

In the interface's pin folder the load is `guard-<version>`, and `guard_<ifindex>` the TCX link on a
device of this network namespace. A clsact filter is known by its name, which has the WireGuard
interface in it. What is attached is asked of the kernel each time.
"""

import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from errno import ENOENT
from itertools import count
from pathlib import Path

from krait.common.guard import GUARD_VERSION, GuardMark, GuardReason
from krait.kernel import clsact
from krait.kernel.bpf.bundle import remove_pins
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.folder import make_private
from krait.kernel.bpf.link import Attached, TcxLink, names, tcx_present, tcx_supported
from krait.kernel.bpf.mount import require_bpffs
from krait.kernel.claim import claim
from krait.kernel.files import writing
from krait.kernel.generation import Count
from krait.kernel.guard import GuardLoad, is_whole
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Posts, Seat
from krait.policy.model import Network

_LOAD = re.compile(r"guard-(\d+)\+?")
_LINK = re.compile(r"guard_(\d+)")
_FIRST_PREF = clsact.HEAD + 1
"""Krait's own filter, on an interface that has both, runs first."""


class Guards:
    """Attaches one load of the guard to ingress of any number of interfaces."""

    def __init__(self, pins: Path, interface: str, kind: AttachKind) -> None:
        """`pins` is the WireGuard interface's folder on a bpf file system."""
        self.kind = kind
        self._pins = pins
        self._name = f"krait_guard_{interface}"
        self._has_tcx = kind is AttachKind.TCX or tcx_supported()

    def program_id(self) -> int | None:
        """Of the load that is pinned, by the kernel's number; None if none is, or not all of it."""
        if not is_whole(self._load):
            return None
        with GuardLoad.open(self._load) as load:
            return load.program_id

    def outdated(self) -> bool:
        """Whether there are loads of another version, or half ones."""
        return any(path != self._load or not is_whole(path) for path in self._loads())

    def load(self, marks: Mapping[Network, GuardMark]) -> None:
        """Load the guard, marked; nothing runs it yet. One that was there is replaced."""
        require_bpffs(self._pins)
        with GuardLoad.load() as load, writing(self._pins):
            load.mark(marks)
            make_private(self._pins)
            claim(self._pins)
            remove_pins(self._load)
            load.pin(self._load)

    def mark(self, marks: Mapping[Network, GuardMark]) -> None:
        """Hold every interface to these."""
        with GuardLoad.open(self._load) as load:
            load.mark(marks)

    def drops(self) -> Mapping[GuardReason, Count]:
        """What the load dropped, on all interfaces."""
        if not is_whole(self._load):
            return {}
        with GuardLoad.open(self._load) as load:
            return load.drops

    def observe(self, devices: Iterable[int], *, filters: bool) -> Posts:
        """Where our programs are: on these devices, and any other that a link of ours is on.

        `filters`: look for those of clsact, too, on every device, which takes its time.
        """
        links = self._link_ids()
        here = {index for index, _ in socket.if_nameindex()} if filters else set()
        found, lost = {}, set()
        for ifindex in {*devices, *links, *here}:
            tcx = self._tcx(ifindex)
            seats = [
                Seat(AttachKind.TCX, each.program_id, names(tcx[:place]))
                for place, each in enumerate(tcx)
                if each.link_id == links.get(ifindex)
            ]
            if ifindex in links and not seats:
                lost.add(ifindex)
            if filters:
                seats += self._filters(ifindex, tcx)
            if seats:
                found[ifindex] = tuple(seats)
        return Posts(found, frozenset(lost))

    def attach(self, ifindex: int) -> None:
        """Put the guard on an interface, or in the place of an earlier load of it there."""
        with GuardLoad.open(self._load) as load:
            if self.kind is AttachKind.TCX:
                self._attach_link(ifindex, load.program.fd)
            else:
                self._attach_filter(ifindex, load.program.fd)

    def detach(self, ifindex: int, kind: AttachKind) -> None:
        """Take it off; that it is not there, or no interface, is no error."""
        if kind is AttachKind.CLSACT:
            clsact.detach(ifindex, Hook.INGRESS, name=self._name)
            return
        pin = self._pin(ifindex)
        with suppress(FileNotFoundError), _open(pin) as link:
            pin.unlink()
            link.detach()

    def drop(self, *, outdated: bool) -> None:
        """Unpin the load, or only those that `outdated` finds; what is attached runs on."""
        for path in self._loads():
            if path != self._load or not outdated:
                remove_pins(path)

    def clear(self) -> bool:
        """Take all of it off and away; whether there was any. Empty clsact qdiscs go, too."""
        posts, loads = self.observe((), filters=True), self._loads()
        for ifindex in {*posts.seats, *posts.lost}:
            for kind in AttachKind:
                self.detach(ifindex, kind)
        for ifindex, seats in posts.seats.items():
            if any(seat.kind is AttachKind.CLSACT for seat in seats):
                clsact.remove_qdisc(ifindex)
        self.drop(outdated=False)
        return bool(posts.seats or posts.lost or loads)

    @property
    def _load(self) -> Path:
        return self._pins / f"guard-{GUARD_VERSION}"

    def _loads(self) -> list[Path]:
        return [path for path in _entries(self._pins) if _LOAD.fullmatch(path.name)]

    def _link_ids(self) -> dict[int, int]:
        """The links that are pinned, by the ifindex that their device had."""
        found = {}
        for path in _entries(self._pins):
            if name := _LINK.fullmatch(path.name):
                with suppress(FileNotFoundError), _open(path) as link:
                    found[int(name[1])] = link.info().link_id
        return found

    def _attach_link(self, ifindex: int, program_fd: int) -> None:
        if (link_id := self._link_ids().get(ifindex)) is not None:
            if any(each.link_id == link_id for each in self._tcx(ifindex)):
                with _open(self._pin(ifindex)) as link:
                    link.update(program_fd)
                return
            self.detach(ifindex, AttachKind.TCX)
        require_bpffs(self._pins)
        with TcxLink.create(program_fd, ifindex, Hook.INGRESS) as link:
            link.pin(self._pin(ifindex))

    def _attach_filter(self, ifindex: int, program_fd: int) -> None:
        if self._filters(ifindex, ()):
            clsact.replace(ifindex, Hook.INGRESS, program_fd, name=self._name)
            return
        clsact.ensure_qdisc(ifindex, ingress_alone=True)
        for pref in count(_FIRST_PREF):
            with suppress(clsact.Occupied):
                clsact.attach(ifindex, Hook.INGRESS, program_fd, pref=pref, name=self._name)
                return

    def _filters(self, ifindex: int, tcx: tuple[Attached, ...]) -> list[Seat]:
        there = [f for f in clsact.query(ifindex, Hook.INGRESS, name=self._name) if not f.chain]
        return [
            Seat(AttachKind.CLSACT, each.program_id, names(tcx) + _strangers(there[:place]))
            for place, each in enumerate(there)
            if each.ours
        ]

    def _tcx(self, ifindex: int) -> tuple[Attached, ...]:
        return tcx_present(ifindex, Hook.INGRESS) if self._has_tcx else ()

    def _pin(self, ifindex: int) -> Path:
        return self._pins / f"guard_{ifindex}"


def _open(pin: Path) -> TcxLink:
    """A pinned link. Raises FileNotFoundError if somebody was faster to remove it."""
    try:
        return TcxLink.open_pinned(pin)
    except BpfRefused as error:
        if error.errno == ENOENT:
            raise FileNotFoundError(pin) from error
        raise


def _strangers(filters: Iterable[clsact.Filter]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, filters)))


def _entries(folder: Path) -> tuple[Path, ...]:
    return tuple(folder.iterdir()) if folder.is_dir() else ()
