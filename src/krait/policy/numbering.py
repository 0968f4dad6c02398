# SPDX-License-Identifier: Apache-2.0
"""Small dense numbers that stay with their owners from one revision to the next.

Identities, rules and peers are numbered for the kernel's tables. Whoever stays keeps its number,
so that a commit writes only what changed and counters keep their meaning; who leaves makes room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from krait.policy.model import Labels

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who has which number in the tables; the place in each tuple is the number.

    None marks a number that is free. Peer 0 is this node itself and rule 0 a policy's default, so
    places in all but the first count from 1.
    """

    identities: tuple[Labels | None, ...] = ()
    rules: tuple[str | None, ...] = ()
    peers: tuple[bytes | None, ...] = ()
    shadow_rules: tuple[str | None, ...] = ()


def renumber(known: Sequence[T | None], wanted: Iterable[T]) -> tuple[T | None, ...]:
    """The places of `wanted`: those known stay, newcomers fill the gaps and then the end."""
    order = dict.fromkeys(wanted)
    places = [each if each in order else None for each in known]
    there = set(known)
    newcomers = [each for each in order if each not in there]
    free = [i for i, each in enumerate(places) if each is None]
    for i, each in zip(free, newcomers, strict=False):
        places[i] = each
    return (*places, *newcomers[len(free) :])
