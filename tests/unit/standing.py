# SPDX-License-Identifier: Apache-2.0
"""What stands for wg0, written as whoever has the turn does."""

from krait.agent.managed.orders import Standing
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths


def stand(paths: Paths, standing: Standing) -> None:
    with Turn.take("wg0", paths) as turn:
        turn.restore(standing)
