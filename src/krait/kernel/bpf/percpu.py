# SPDX-License-Identifier: Apache-2.0
"""Values of per-CPU maps: one copy for each CPU that the machine may ever have."""

from functools import cache
from pathlib import Path

_POSSIBLE = Path("/sys/devices/system/cpu/possible")


@cache
def possible_cpus() -> int:
    """How many copies a per-CPU value has; it does not change while the machine runs."""
    return count_cpus(_POSSIBLE.read_text())


def count_cpus(text: str) -> int:
    """How many CPUs a kernel list such as `0-3,8` names."""
    count = 0
    for span in text.strip().split(","):
        first, _, last = span.partition("-")
        count += int(last or first) - int(first) + 1
    return count


def stride_bytes(value_bytes: int) -> int:
    """From one CPU's copy to the next: the kernel rounds a value up to eight bytes."""
    return (value_bytes + 7) & ~7


def sum_words(packed: bytes, words: int, cpus: int) -> list[tuple[int, ...]]:
    """Add the copies of values that are `words` u64 each.

    `packed` holds entries one after the other, each entry all its CPUs' copies; the result has a
    tuple of `words` sums for each entry.
    """
    view = memoryview(packed).cast("Q")
    step = words * cpus
    columns = (
        map(sum, zip(*(view[cpu * words + word :: step] for cpu in range(cpus)), strict=True))
        for word in range(words)
    )
    return list(zip(*columns, strict=True))
