# SPDX-License-Identifier: Apache-2.0
"""The clock of the kernel program, held against the one that /proc tells to the privileged."""

from pathlib import Path

from krait.kernel.bpf.clock import TickClock
from tests.requirements import cannot_run

TIMER_LIST = Path("/proc/timer_list")


def jiffies() -> int:
    with TIMER_LIST.open() as lines:
        found = next(line for line in lines if line.startswith("jiffies:"))
    return int(found.split()[1])


def test_a_program_tells_the_jiffies_of_the_kernel() -> None:
    if not TIMER_LIST.exists():
        cannot_run("this kernel has no /proc/timer_list")
    with TickClock() as clock:
        before, now, after = jiffies(), clock.now64(), jiffies()
        assert before <= now <= after
        assert (clock.now() - now) % (1 << 32) <= jiffies() - now
