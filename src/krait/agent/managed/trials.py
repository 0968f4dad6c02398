# SPDX-License-Identifier: Apache-2.0
"""An agent that ends the trials that `krait rollback` did not: it died, of a boot perhaps."""

from collections.abc import Callable

import structlog

from krait.agent.loop import TrialOver
from krait.agent.managed.orders import read_standing
from krait.agent.managed.takedown import take_down
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
from krait.kernel import capability
from krait.kernel.lock import Held

_log = structlog.get_logger()


def keep(interface: str, paths: Paths, agent: Callable[[], None]) -> None:
    """Run an agent, such as `wiring.keep`, by the orders that are due.

    Returns too if none are left.
    """
    capability.require(*capability.NEEDED)
    paths.require()
    _settle(interface, paths)
    while True:
        try:
            return agent()
        except TrialOver:
            _settle(interface, paths)
            if read_standing(interface, paths).orders is None:
                return None


def _settle(interface: str, paths: Paths) -> None:
    """Go back from a trial that is over; a command that works on it right now has its way.

    Raises SystemRefused where what it is written in cannot be written.
    """
    try:
        turn = Turn.take(interface, paths)
    except Held:
        return
    with turn:
        trial = turn.standing.trial
        if trial is None or trial.left_s() > 0:
            return
        _log.warning(f"nobody confirmed {interface} in time: it goes back to what was before")
        if trial.before is None:
            take_down(turn)
        else:
            turn.return_to_before(trial.before)
            turn.end_trial()
