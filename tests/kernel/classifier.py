# SPDX-License-Identifier: Apache-2.0
"""The smallest classifiers: two instructions that return one verdict."""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack

from krait.kernel.bpf.syscall import Command, bpf

GO_ON = -1  # TC_ACT_UNSPEC
DROP = 2  # TC_ACT_SHOT

_SCHED_CLS = 3


class _LoadAttr(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("instruction_count", ctypes.c_uint32),
        ("instructions", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
    )


@contextmanager
def classifier(verdict: int) -> Iterator[int]:
    """A descriptor of a program that returns `verdict` for each packet."""
    code = pack("=BBhi", 0xB7, 0, 0, verdict) + pack("=BBhi", 0x95, 0, 0, 0)  # r0 = verdict; exit
    instructions, license_ = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    attr = _LoadAttr(_SCHED_CLS, 2, ctypes.addressof(instructions), ctypes.addressof(license_))
    fd = bpf(Command.PROG_LOAD, attr, "a test's classifier")
    try:
        yield fd
    finally:
        os.close(fd)


def program_id(fd: int) -> int:
    """The kernel's number for a program, by another way than the code under test takes."""
    facts = Path(f"/proc/self/fdinfo/{fd}").read_text()
    found = re.search(r"^prog_id:\s*(\d+)$", facts, re.MULTILINE)
    assert found
    return int(found[1])
