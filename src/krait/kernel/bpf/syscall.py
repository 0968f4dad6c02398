# SPDX-License-Identifier: Apache-2.0
"""The bpf(2) system call, and the commands Krait uses.

Each command's `union bpf_attr` is a ctypes structure beside the code that fills it, laid out as in
include/uapi/linux/bpf.h. The kernel wants every byte after a command's last field to be zero, which
a fresh structure is.
"""

import ctypes
import os
from enum import IntEnum
from functools import cache

from krait.common.errors import SystemRefused
from krait.kernel.bpf.errors import refused

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280}

NAME_BYTES = 16
"""BPF_OBJ_NAME_LEN, the terminating zero included."""

LIBC = ctypes.CDLL(None, use_errno=True)


_syscall = LIBC.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)


class Command(IntEnum):
    """enum bpf_cmd."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    OBJ_GET_INFO_BY_FD = 15
    PROG_QUERY = 16
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_DETACH = 34


class _InfoAttr(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("info_bytes", ctypes.c_uint32),
        ("info", ctypes.c_uint64),
    )


def bpf(command: Command, attr: ctypes.Structure, subject: object) -> int:
    """Make the call; what the kernel writes back is in `attr`.

    `subject` names the map, link or program in the BpfRefused that a refusal raises; it is turned
    into text only then. The interpreter's lock is released meanwhile.
    """
    result: int = _syscall(_number(), command, ctypes.byref(attr), ctypes.sizeof(attr))
    if result < 0:
        doing = command.name.lower().replace("_", " ")
        raise refused(ctypes.get_errno(), subject, doing)
    return result


def read_info(fd: int, info: ctypes.Structure, subject: object) -> None:
    """Fill `info` for a map, program or link by its descriptor.

    A kernel that knows fewer fields leaves the rest zero; one that knows more leaves them out.
    """
    attr = _InfoAttr(fd, ctypes.sizeof(info), ctypes.addressof(info))
    bpf(Command.OBJ_GET_INFO_BY_FD, attr, subject)


@cache
def _number() -> int:
    machine = os.uname().machine
    if machine not in _NUMBERS:
        raise SystemRefused(
            f"Krait does not know the number of bpf(2) on {machine}",
            hint=f"It runs on {', '.join(_NUMBERS)}.",
        )
    return _NUMBERS[machine]
