# SPDX-License-Identifier: Apache-2.0
"""Krait's programs on an interface, whichever of the two ways they are attached by.

A TCX link is pinned, as `link_ingress` and `link_egress` in the interface's pin folder, and
outlives the agent by its pin; a clsact filter outlives it by the qdisc. What is attached is asked
of the kernel each time; but a link that was seen is held, for a bpf file system that is unmounted
takes its pins with it, and a link that nothing holds leaves the interface. Nothing here leaves a
hook without a program that had one, except `detach` and `free`.

A device that is renamed, or moved to another network namespace, takes its link with it. When
another device gets the name, that link is set aside under a pin of its own, `stray_…`: the device
that left keeps its filter (docs/adr/0008).
"""

import socket
from collections.abc import Iterator, Set
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

from krait.common.errors import SystemRefused
from krait.kernel import clsact
from krait.kernel.bpf.folder import make_private
from krait.kernel.bpf.link import Attached, TcxLink, names, tcx_present, tcx_supported
from krait.kernel.bpf.mount import require_bpffs
from krait.kernel.bpf.program import program_id
from krait.kernel.files import writing
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat

_STRAY = "stray_"


def supported_kind() -> AttachKind:
    """The better way that this kernel knows."""
    return AttachKind.TCX if tcx_supported() else AttachKind.CLSACT


class InterfaceFilter:
    """Both hooks of one interface. The interface itself may come and go."""

    def __init__(self, pins: Path, kind: AttachKind) -> None:
        """`pins` is the interface's folder on a bpf file system; `kind` is how to attach."""
        self.kind = kind
        self._pins = pins
        self._has_tcx = kind is AttachKind.TCX or tcx_supported()
        self._held: dict[Hook, TcxLink] = {}

    def observe(self, ifindex: int, hook: Hook) -> tuple[Seat, ...]:
        """Krait's programs on a hook, in the order they run: one, none, or both kinds of one.

        Both are there only while an agent changes from one kind to the other.
        """
        tcx, filters = self._tcx(ifindex, hook), clsact.query(ifindex, hook)
        link_ids = self._link_ids(hook)
        seats = [
            Seat(AttachKind.TCX, each.program_id, names(tcx[:place]))
            for place, each in enumerate(tcx)
            if each.link_id in link_ids
        ]
        others = tuple(each for each in tcx if each.link_id not in link_ids)
        running = [each for each in filters if each.chain == 0]
        seats += [
            Seat(AttachKind.CLSACT, each.program_id, names(others) + _filters(running[:place]))
            for place, each in enumerate(running)
            if each.ours
        ]
        return tuple(seats)

    def attach(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        """Put a program on a hook, as far ahead of others as the kind can.

        TCX: at the head; a program that sits there by an earlier link of ours is taken off only
        after that. The kernel refuses to attach one program twice, so the way back to the head is
        through another load of it. clsact: at the lowest pref that is free.
        """
        if self.kind is AttachKind.TCX:
            self._attach_tcx(ifindex, hook, program_fd)
            return
        clsact.ensure_qdisc(ifindex)
        for pref in count(clsact.HEAD):
            with suppress(clsact.Occupied):
                clsact.attach(ifindex, hook, program_fd, pref=pref)
                return

    def swap(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        """Run another program in the same place: each packet meets the old one or the new one."""
        if self.kind is AttachKind.CLSACT:
            clsact.replace(ifindex, hook, program_fd)
            return
        link = self._link(hook)
        if link is None:
            raise SystemRefused(f"there is no link of {hook.value} to swap the program of")
        link.update(program_fd)

    def detach(self, ifindex: int | None, hook: Hook, kind: AttachKind) -> None:
        """Take the program of one kind off; that there is none, or no interface, is no error."""
        if kind is AttachKind.CLSACT:
            if ifindex is not None:
                clsact.detach(ifindex, hook)
            return
        for pin in (self._pin(hook), self._unfinished(hook)):
            if pin.exists():
                with TcxLink.open_pinned(pin) as link:
                    pin.unlink()
                    link.detach()
        if (held := self._held.pop(hook, None)) is not None:
            with held:
                held.detach()

    def is_pinned(self) -> bool:
        """Whether what is attached outlives this process."""
        return all(
            self._pin(hook).exists() or link.info().severed for hook, link in self._held.items()
        )

    def pin(self) -> None:
        """Pin again what is attached, whose pins somebody removed."""
        require_bpffs(self._pins)
        with writing(self._pins):
            make_private(self._pins)
        for hook, link in self._held.items():
            if not self._pin(hook).exists() and not link.info().severed:
                link.pin(self._pin(hook))

    def close(self) -> None:
        """Hold nothing any more; what is pinned stays attached."""
        while self._held:
            self._held.popitem()[1].close()

    def severed(self, hook: Hook) -> bool:
        """Whether a pinned link is left of an interface that was deleted."""
        return any(self._is_severed(pin) for pin in self._links(hook))

    def unlink_severed(self, hook: Hook) -> None:
        """Remove what `severed` found."""
        for pin in self._links(hook):
            if self._is_severed(pin):
                pin.unlink()

    def elsewhere(self, ifindex: int | None, programs: Set[int]) -> frozenset[int]:
        """Our programs, by kernel id, on devices other than this: renamed ones, or moved away.

        Links are known by their pins; of filters, those count that run one of `programs`.
        """
        found = set()
        for hook in Hook:
            for pin in self._links(hook):
                if self._holds_elsewhere(pin, ifindex, hook):
                    with TcxLink.open_pinned(pin) as link:
                        found.add(link.info().program_id)
            found |= {program for _, program in _filters_elsewhere(ifindex, hook, programs)}
        return frozenset(found)

    def free(self, ifindex: int | None, programs: Set[int]) -> None:
        """Take off what `elsewhere` found: those devices are bare then."""
        for hook in Hook:
            for pin in self._links(hook):
                if self._holds_elsewhere(pin, ifindex, hook):
                    with TcxLink.open_pinned(pin) as link:
                        pin.unlink()
                        link.detach()
            for other, _ in _filters_elsewhere(ifindex, hook, programs):
                clsact.detach(other, hook)
                clsact.remove_qdisc(other)

    def remove_qdisc(self, ifindex: int) -> bool:
        """Take the clsact qdisc away; False if it stays, for it has filters of others."""
        return clsact.remove_qdisc(ifindex) or not any(clsact.query(ifindex, h) for h in Hook)

    def _attach_tcx(self, ifindex: int, hook: Hook, program_fd: int) -> None:
        pin, unfinished = self._pin(hook), self._unfinished(hook)
        self._set_aside(ifindex, hook)
        if unfinished.exists() and self._runs(unfinished, ifindex, hook, program_fd):
            unfinished.rename(pin)  # an agent died between its link and the rename
            return
        with TcxLink.create(program_fd, ifindex, hook) as link, ExitStack() as stack:
            self._hold(hook, link.duplicate())  # it is on, though it should not be pinned
            require_bpffs(pin.parent)
            with writing(pin.parent):
                make_private(pin.parent)
            links = self._links(hook)
            names = [each for each in links if not self._holds_elsewhere(each, ifindex, hook)]
            earlier = [stack.enter_context(TcxLink.open_pinned(each)) for each in names]
            unfinished.unlink(missing_ok=True)
            link.pin(unfinished)
            unfinished.rename(pin)
            for name, each in zip(names, earlier, strict=True):
                if name not in (pin, unfinished):  # this device had left, and is back
                    name.unlink()
                each.detach()  # the kernel would do it a little after the last name goes

    def _set_aside(self, ifindex: int, hook: Hook) -> None:
        """A device that left must not lose its link to the one that has its name now."""
        for pin in (self._pin(hook), self._unfinished(hook)):
            if pin.exists() and self._holds_elsewhere(pin, ifindex, hook):
                with TcxLink.open_pinned(pin) as link:
                    pin.rename(self._pins / f"{_STRAY}{hook.value}_{link.info().link_id}")
                if (held := self._held.pop(hook, None)) is not None:
                    held.close()

    def _holds_elsewhere(self, pin: Path, ifindex: int | None, hook: Hook) -> bool:
        """Whether a pinned link is on another device than this one.

        Told by the link's number: its ifindex may be of another network namespace.
        """
        with TcxLink.open_pinned(pin) as link:
            info = link.info()
        on = self._tcx(ifindex, hook) if ifindex is not None else ()
        return not info.severed and all(each.link_id != info.link_id for each in on)

    def _runs(self, pin: Path, ifindex: int, hook: Hook, program_fd: int) -> bool:
        with TcxLink.open_pinned(pin) as link:
            info = link.info()
        there = {each.link_id for each in self._tcx(ifindex, hook)}
        return info.link_id in there and info.program_id == program_id(program_fd)

    def _link_ids(self, hook: Hook) -> set[int]:
        link = self._link(hook)
        return set() if link is None else {link.info().link_id}

    def _link(self, hook: Hook) -> TcxLink | None:
        """The link of a hook: the one that is pinned, or that was, if its pin is gone."""
        if self._pin(hook).exists():
            self._hold(hook, TcxLink.open_pinned(self._pin(hook)))
        return self._held.get(hook)

    def _hold(self, hook: Hook, link: TcxLink) -> None:
        if (before := self._held.get(hook)) is not None:
            before.close()
        self._held[hook] = link

    def _links(self, hook: Hook) -> tuple[Path, ...]:
        """Every link that is pinned for a hook."""
        strays = sorted(self._pins.glob(f"{_STRAY}{hook.value}_*"))
        own = (self._pin(hook), self._unfinished(hook))
        return *(each for each in own if each.exists()), *strays

    def _is_severed(self, pin: Path) -> bool:
        if not pin.exists():
            return False
        with TcxLink.open_pinned(pin) as link:
            return link.info().severed

    def _tcx(self, ifindex: int, hook: Hook) -> tuple[Attached, ...]:
        return tcx_present(ifindex, hook) if self._has_tcx else ()

    def _pin(self, hook: Hook) -> Path:
        return self._pins / f"link_{hook.value}"

    def _unfinished(self, hook: Hook) -> Path:
        return self._pins / f"link_{hook.value}+"


def _filters_elsewhere(
    ifindex: int | None, hook: Hook, programs: Set[int]
) -> Iterator[tuple[int, int]]:
    """The (ifindex, program) of our filters on other devices of this network namespace.

    There are none in another: a device that moves loses its qdiscs.
    """
    for other, _ in socket.if_nameindex():
        if other != ifindex:
            found = clsact.query(other, hook)
            yield from ((other, f.program_id) for f in found if f.ours and f.program_id in programs)


def _filters(filters: list[clsact.Filter]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each) for each in filters if not each.ours))
