# SPDX-License-Identifier: Apache-2.0
"""What a target is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`read` may raise `declared` and nothing else."""

    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    runs: int = 20_000
    """How many inputs it has in each run of the tests: about a second's worth."""
