# SPDX-License-Identifier: Apache-2.0
"""Pins: names on a bpf file system that keep maps, programs and links alive without a process."""

import ctypes
import os
import re
from enum import Enum
from pathlib import Path

from krait.common.errors import SystemRefused, UsageError
from krait.kernel.bpf.mount import require_bpffs
from krait.kernel.bpf.syscall import Command, bpf

_INTERFACE = re.compile(r"[a-zA-Z0-9_=+.-]{1,15}")  # what wg-quick takes


class Kind(Enum):
    """What a descriptor stands for, by the name of its inode."""

    MAP = "bpf-map"
    PROGRAM = "bpf-prog"
    LINK = "bpf-link"


class WrongKind(SystemRefused):
    """Something else has the name where Krait pins a thing of its own."""


class _ObjectAttr(ctypes.Structure):
    _fields_ = (
        ("path", ctypes.c_char_p),
        ("fd", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


def is_interface(name: str) -> bool:
    """Whether an interface can have that name."""
    return _INTERFACE.fullmatch(name) is not None


def require_interface(name: str) -> None:
    """Raise UsageError unless an interface can have that name."""
    if not is_interface(name):
        raise UsageError(
            f"{name!r} is not the name of an interface",
            hint="A name has 1 to 15 of the characters a-z A-Z 0-9 _ = + . -",
        )


def escape(name: str) -> str:
    """A name as a file name on a bpf file system, which allows no dot."""
    return name.replace("%", "%25").replace(".", "%2e")


def unescape(name: str) -> str:
    """What escape() was given."""
    return name.replace("%2e", ".").replace("%25", "%")


def pin(fd: int, path: Path) -> None:
    """Give the object behind `fd` the name `path`, which must be free."""
    require_bpffs(path.parent)
    bpf(Command.OBJ_PIN, _ObjectAttr(os.fsencode(path), fd), path)


def open_pinned(path: Path, kind: Kind) -> int:
    """A new descriptor (close-on-exec) of what is pinned at `path`.

    Something of another kind raises SystemRefused: the kernel would answer for it, in other words.
    """
    fd = bpf(Command.OBJ_GET, _ObjectAttr(os.fsencode(path)), path)
    inode = str(Path(f"/proc/self/fd/{fd}").readlink()).removeprefix("anon_inode:")
    inode = inode.replace("_", "-")  # a link has one name where it is made and another where opened
    if inode != kind.value:
        os.close(fd)
        raise WrongKind(
            f"{path} is a pinned {inode}, not a {kind.value}",
            hint=f"Something else pinned it: look at it with `bpftool`, and remove {path}.",
        )
    return fd
