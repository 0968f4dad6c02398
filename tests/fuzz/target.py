# SPDX-License-Identifier: Apache-2.0
"""What a target is."""

from collections.abc import Callable
from dataclasses import dataclass


class Refused(Exception):
    """Said by a target where its reader refuses without an error, or is not asked.

    Its own, so that a ValueError out of a reader that declares none is a fault.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """`read` may raise `declared` and nothing else."""

    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    runs: int = 20_000
    """How many inputs it has in each run of the tests: about a second's worth."""
