# SPDX-License-Identifier: Apache-2.0
"""Values of per-CPU maps: one copy for each CPU that the machine may ever have."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

Fold: TypeAlias = Callable[[Iterable[int]], int]
"""What makes one number of all CPUs' copies of a word, such as `sum` and `max`."""

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


def fold_words(packed: bytes, folds: Sequence[Fold], cpus: int) -> list[tuple[int, ...]]:
    """Make one of the copies of values that are u64 words, one for each of `folds`.

    `packed` holds entries one after the other, each entry all its CPUs' copies; the result has a
    tuple of as many numbers for each entry.
    """
    view = memoryview(packed).cast("Q")
    words = len(folds)
    step = words * cpus
    columns = (
        map(fold, zip(*(view[cpu * words + word :: step] for cpu in range(cpus)), strict=True))
        for word, fold in enumerate(folds)
    )
    return list(zip(*columns, strict=True))
