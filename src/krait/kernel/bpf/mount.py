# SPDX-License-Identifier: Apache-2.0
"""The bpf file system: whether it is there, and whether it is the one that this machine pins on.

`ip netns exec` mounts a fresh /sys, which hides it (ip-netns(8)), and who mounts another one there
sees none of the pins. The machine's is what its first process sees; a container has a first process
of its own.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from krait.common.errors import SystemRefused
from krait.kernel import netns
from krait.kernel.bpf.errors import refused
from krait.kernel.bpf.syscall import LIBC

BPFFS = Path("/sys/fs/bpf")

_FIRST_PROCESS = Path("/proc/1/root")
_MAGIC = 0xCAFE4A11  # include/uapi/linux/magic.h
_STATFS_BYTES = 256  # more than any architecture's struct statfs, whose first long is the type


class Hidden(SystemRefused):
    """What is pinned cannot be seen from this mount namespace."""

    def __init__(self, message: str) -> None:
        name = netns.name()
        place = f"--net={netns.NAMED / name}" if name else "-t 1 -m"
        by = "`ip netns exec` hides it, so outside of that" if name else "run this where it is seen"
        super().__init__(message, hint=f"{by}: nsenter {place} krait …")


def require_bpffs(path: Path = BPFFS) -> None:
    """Raise SystemRefused unless `path`, or where it would be made, is on a bpf file system.

    Hidden is raised where the first process of this machine sees one there.
    """
    existing = _existing(path)
    if _is_bpffs(existing):
        return
    with suppress(OSError):  # not ours to look at
        if _is_bpffs(_existing(for_first_process(path))):
            raise Hidden(f"the bpf file system is not visible here: {existing} is another")
    raise SystemRefused(
        f"{existing} is not on a bpf file system", hint=f"mount -t bpf -o mode=0700 bpf {BPFFS}"
    )


def for_first_process(path: Path) -> Path:
    """The path as the first process of this machine sees it, for who may look."""
    return _FIRST_PROCESS / path.absolute().relative_to("/")


def is_private(path: Path = BPFFS) -> bool:
    """Whether the first process sees another bpf file system there; False if that is not known."""
    with suppress(OSError):
        there = _existing(for_first_process(path))
        return _is_bpffs(there) and there.stat().st_dev != _existing(path).stat().st_dev
    return False


def _existing(path: Path) -> Path:
    """The path, or the nearest one above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _is_bpffs(path: Path) -> bool:
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if LIBC.statfs(os.fsencode(path), buffer) < 0:
        raise refused(ctypes.get_errno(), path, "statfs")
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF == _MAGIC
