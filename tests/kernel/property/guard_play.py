# SPDX-License-Identifier: Apache-2.0
"""Frames of many nodes, to the guard and to its reference."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from krait.common.guard import GuardReason
from krait.kernel.guard import GuardLoad
from tests.kernel.property.amount import SEED
from tests.kernel.property.guard_judge import GuardJudge, Reference, can_run
from tests.strategies.guarded import frames, guarded

_FRAMES = 250
"""Of one node."""


def play(program: Path, count: int) -> Iterator[GuardReason]:
    """What both say, frame by frame. AssertionError at the first of which they do not say one."""
    random = Random(SEED)  # noqa: S311 - not for secrets
    with GuardLoad.load(program) as load:
        judge = GuardJudge(load)
        for _ in range(-(-count // _FRAMES)):
            node = guarded(random)
            load.mark(node.marks)
            reference = Reference(node.marks)
            for frame in islice(filter(can_run, frames(random, node)), _FRAMES):
                expected, found = reference.judge(frame), judge.judge(frame)
                assert found is expected, f"{found!r} where {expected!r} is right: {frame}"
                yield found
