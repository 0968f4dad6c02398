# SPDX-License-Identifier: Apache-2.0
"""Now, on the clock by which the kernel program notes when a flow was seen: jiffies, low half.

No system call tells jiffies, and how far they are from CLOCK_MONOTONIC depends on the boot; a
program of two instructions does tell them.
"""

import os
import time
from struct import pack
from typing import Self

from krait.kernel.bpf.program import load_instructions
from krait.kernel.bpf.testrun import run

_JIFFIES64 = 118  # include/uapi/linux/bpf.h, BPF_FUNC_jiffies64; a run returns the low half
_PROGRAM = pack("=BBhi", 0x85, 0, 0, _JIFFIES64) + pack("=BBhi", 0x95, 0, 0, 0)  # call; exit
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
        return run(self._program_fd, _FRAME).verdict & 0xFFFF_FFFF

    def close(self) -> None:
        """Let the program go."""
        os.close(self._program_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
