# SPDX-License-Identifier: Apache-2.0
"""A loaded program, known by its descriptor."""

import ctypes
from ctypes import c_char, c_char_p, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass

from krait.kernel.bpf.descriptor import Descriptor
from krait.kernel.bpf.pin import Kind
from krait.kernel.bpf.syscall import NAME_BYTES, Command, bpf, read_info

SCHED_CLS = 3
"""BPF_PROG_TYPE_SCHED_CLS: what TCX and clsact run."""


class Program(Descriptor):
    """A loaded program, held."""

    kind = Kind.PROGRAM


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel says of a program."""

    id: int
    """Unique until reboot: two descriptors of the same id are the same program."""
    name: str
    """Cut to 15 characters."""
    verified_instructions: int
    """How many the verifier walked through, of the million it allows; 0 before Linux 5.16."""
    translated_bytes: int
    """Size after the verifier's rewriting; eight bytes an instruction."""
    jited_bytes: int
    """Machine code; 0 where the JIT is off."""


class _Info(ctypes.Structure):
    """struct bpf_prog_info; left zero, its pointers ask for nothing."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", c_uint8 * 8),
        ("jited_bytes", c_uint32),
        ("translated_bytes", c_uint32),
        ("pointers_and_owner", c_uint8 * 40),
        ("name", c_char * NAME_BYTES),
        ("device_and_debug", c_uint8 * 112),
        ("run_time_ns", c_uint64),
        ("run_count", c_uint64),
        ("recursion_misses", c_uint64),
        ("verified_instructions", c_uint32),
    )


class _LoadAttr(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("instruction_count", c_uint32),
        ("instructions", c_char_p),
        ("license", c_char_p),
    )


def program_info(fd: int) -> ProgramInfo:
    """What the kernel says of a loaded program. Raises BpfRefused."""
    info = _Info()
    read_info(fd, info, "program")
    return ProgramInfo(
        id=info.id,
        name=info.name.decode(),
        verified_instructions=info.verified_instructions,
        translated_bytes=info.translated_bytes,
        jited_bytes=info.jited_bytes,
    )


def program_id(fd: int) -> int:
    """The number by which hooks name a program; unique while it is loaded, then used again."""
    return program_info(fd).id


def load_instructions(instructions: bytes) -> int:
    """Load a classifier without maps from its instructions; a new descriptor."""
    attr = _LoadAttr(SCHED_CLS, len(instructions) // 8, instructions, b"GPL")
    return bpf(Command.PROG_LOAD, attr, "program")
