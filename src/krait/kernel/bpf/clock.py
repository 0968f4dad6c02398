# SPDX-License-Identifier: Apache-2.0
"""Now, on the clock by which the kernel program notes when something was seen: jiffies.

No system call tells jiffies, and how far they are from CLOCK_MONOTONIC depends on the boot; a
program of a few instructions does tell them. They do not move while the machine sleeps, and all 64
bits of them never wrap; the low half begins five minutes before it does (INITIAL_JIFFIES).
"""

import os
import time
from struct import pack
from typing import Self

from krait.kernel.bpf.program import load_instructions
from krait.kernel.bpf.testrun import run

_JIFFIES64 = 118  # include/uapi/linux/bpf.h, BPF_FUNC_jiffies64
_CB_BYTES = 48  # where struct __sk_buff has `cb`


def _instruction(code: int, registers: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return pack("=BBhi", code, registers, offset, immediate)


_PROGRAM = (
    _instruction(0xBF, 0x16)  # r6 = r1, the context, which the call would lose
    + _instruction(0x85, immediate=_JIFFIES64)
    + _instruction(0x7B, 0x06, _CB_BYTES)  # *(u64 *)(r6 + cb) = r0: a verdict has 32 bits
    + _instruction(0x95)
)
_FRAME = bytes(64)


_CLOCK_MONOTONIC_COARSE = 6  # include/uapi/linux/time.h; its resolution is one jiffy


def ticks_per_second() -> int:
    """The kernel's HZ."""
    return round(1 / time.clock_getres(_CLOCK_MONOTONIC_COARSE))


class TickClock:
    """Asks the kernel for its jiffies; needs CAP_BPF and CAP_NET_ADMIN."""

    def __init__(self) -> None:
        self._program_fd = load_instructions(_PROGRAM)

    def now(self) -> int:
        """Jiffies modulo 2**32."""
        return self.now64() & 0xFFFF_FFFF

    def now64(self) -> int:
        """Jiffies, all of them."""
        low, high, *_ = run(self._program_fd, _FRAME).cb
        return high << 32 | low

    def close(self) -> None:
        """Let the program go."""
        os.close(self._program_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
