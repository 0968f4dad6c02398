# SPDX-License-Identifier: Apache-2.0
"""What happens to one interface, step by step: packets, passing time, commits."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.strategies.worlds import World

Side: TypeAlias = Literal["ingress", "egress"]


@dataclass(frozen=True)
class Send:
    """One packet, from its IP header, with the protocol its frame claims."""

    frame: bytes
    ethertype: int
    side: Side
    came_in: bool = False  # of one on egress: by the same interface


@dataclass(frozen=True)
class Wait:
    """Time passes. Who plays the scenario keeps away from the edges of time-outs."""

    seconds: int


@dataclass(frozen=True)
class Commit:
    """Another world is put in force."""

    world: int


Step: TypeAlias = Send | Wait | Commit


@dataclass(frozen=True)
class Scenario:
    """The first world is in force before the first step."""

    worlds: tuple[World, ...]
    steps: tuple[Step, ...]
