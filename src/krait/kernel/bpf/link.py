# SPDX-License-Identifier: Apache-2.0
"""TCX links (Linux 6.6): a program on one hook of an interface.

A link holds its program on the interface while a descriptor or a pin holds the link. libbpf 1.1
knows nothing of TCX, so the attributes here are the kernel's own.
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from ctypes import addressof, c_uint32, c_uint64
from dataclasses import dataclass
from typing import Self

from krait.common.errors import SystemRefused
from krait.kernel.bpf.descriptor import Descriptor
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.pin import Kind
from krait.kernel.bpf.program import load_instructions
from krait.kernel.bpf.syscall import Command, bpf, read_info
from krait.kernel.hook import Hook

_ATTACH_TYPE = {Hook.INGRESS: 46, Hook.EGRESS: 47}  # BPF_TCX_INGRESS, BPF_TCX_EGRESS
_HOOK = {number: hook for hook, number in _ATTACH_TYPE.items()}

_LINK_TYPE_TCX = 11
_BEFORE = 1 << 3  # BPF_F_BEFORE; with no program to be before, that is the head
_MOST_PROGRAMS = 64  # BPF_MPROG_MAX
_NO_INTERFACE = 0xFFFFFFFF
_RETURN_0 = bytes.fromhex("b7000000000000009500000000000000")


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """Where a link is, and what it runs."""

    link_id: int
    program_id: int
    ifindex: int
    """In the interface's own namespace; 0 once the interface is deleted: the link is severed."""
    hook: Hook

    @property
    def severed(self) -> bool:
        """Whether the interface is gone: the pin alone keeps the link, and it runs nothing."""
        return self.ifindex == 0


@dataclass(frozen=True, slots=True)
class Attached:
    """One of the programs on a hook."""

    program_id: int
    link_id: int
    """0 for a program attached without a link."""

    def __str__(self) -> str:
        return f"program {self.program_id}"


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("program_fd", c_uint32),
        ("ifindex", c_uint32),
        ("attach_type", c_uint32),
        ("flags", c_uint32),
        ("relative_fd", c_uint32),
        ("expected_revision", c_uint64),
    )


class _UpdateAttr(ctypes.Structure):
    _fields_ = (
        ("link_fd", c_uint32),
        ("program_fd", c_uint32),
        ("flags", c_uint32),
        ("old_program_fd", c_uint32),
    )


class _DetachAttr(ctypes.Structure):
    _fields_ = (("link_fd", c_uint32),)


class _QueryAttr(ctypes.Structure):
    _fields_ = (
        ("ifindex", c_uint32),
        ("attach_type", c_uint32),
        ("query_flags", c_uint32),
        ("attach_flags", c_uint32),
        ("program_ids", c_uint64),
        ("count", c_uint32),  # in: room; out: how many there are
        ("program_flags", c_uint64),
        ("link_ids", c_uint64),
        ("link_flags", c_uint64),
        ("revision", c_uint64),
    )


class _Info(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("program_id", c_uint32),
        ("unused", c_uint32),  # the union behind is aligned to eight bytes
        ("ifindex", c_uint32),
        ("attach_type", c_uint32),
    )


class TcxLink(Descriptor):
    """A TCX link by its descriptor, which it owns."""

    kind = Kind.LINK

    @classmethod
    def create(cls, program_fd: int, ifindex: int, hook: Hook) -> Self:
        """Put the program at the head of the hook, before all that is there."""
        attr = _CreateAttr(program_fd, ifindex, _ATTACH_TYPE[hook], _BEFORE)
        return cls(bpf(Command.LINK_CREATE, attr, f"interface {ifindex} {hook.value}"))

    def update(self, program_fd: int) -> None:
        """Swap the program: each packet is judged by the old one or the new one."""
        bpf(Command.LINK_UPDATE, _UpdateAttr(self.fd, program_fd), "TCX link")

    def detach(self) -> None:
        """Take the program off the interface, though a pin may still hold the link (severed).

        That it is off already is no error: to the kernel it is none (tcx_link_detach()).
        """
        bpf(Command.LINK_DETACH, _DetachAttr(self.fd), "TCX link")

    def info(self) -> LinkInfo:
        """Asked of the kernel anew. Raises SystemRefused for a link of another type."""
        info = _Info()
        read_info(self.fd, info, "TCX link")
        if info.type != _LINK_TYPE_TCX:
            raise SystemRefused(
                f"a BPF link of type {info.type} where a TCX link belongs",
                hint="Something else pinned it: remove the pin.",
            )
        return LinkInfo(info.id, info.program_id, info.ifindex, _HOOK[info.attach_type])


def tcx_query(ifindex: int, hook: Hook) -> tuple[Attached, ...]:
    """The programs on a hook in the order they run; filters of clsact run after them all."""
    program_ids, link_ids = (c_uint32 * _MOST_PROGRAMS)(), (c_uint32 * _MOST_PROGRAMS)()
    attr = _QueryAttr(
        ifindex=ifindex,
        attach_type=_ATTACH_TYPE[hook],
        program_ids=addressof(program_ids),
        link_ids=addressof(link_ids),
        count=_MOST_PROGRAMS,
    )
    try:
        bpf(Command.PROG_QUERY, attr, f"interface {ifindex} {hook.value}")
    except BpfRefused as error:
        if error.errno == errno.ENOENT:  # Linux 6.6: nothing was ever attached
            return ()
        raise
    return tuple(map(Attached, program_ids[: attr.count], link_ids[: attr.count]))


def tcx_present(ifindex: int, hook: Hook) -> tuple[Attached, ...]:
    """As `tcx_query`, and nothing where the interface is gone."""
    try:
        return tcx_query(ifindex, hook)
    except BpfRefused as error:
        if error.errno == errno.ENODEV:
            return ()
        raise


def names(attached: Iterable[Attached]) -> tuple[str, ...]:
    """Who that is, for people."""
    return tuple(map(str, attached))


def tcx_supported() -> bool:
    """Whether this kernel has TCX, asked by attaching to an interface that cannot be."""
    program_fd = load_instructions(_RETURN_0)
    try:
        TcxLink.create(program_fd, _NO_INTERFACE, Hook.INGRESS)
    except BpfRefused as error:
        if error.errno in (errno.ENODEV, errno.EINVAL):
            return error.errno == errno.ENODEV
        raise
    finally:
        os.close(program_fd)
    raise SystemRefused("the kernel attached a program to an interface that cannot be")
