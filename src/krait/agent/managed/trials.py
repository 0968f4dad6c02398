# SPDX-License-Identifier: Apache-2.0
"""An agent that ends the trials that `krait rollback` did not: it died, of a boot perhaps."""

from pathlib import Path

import structlog

from krait.agent import wiring
from krait.agent.loop import TrialOver
from krait.agent.managed.orders import Standing, read_standing, write_standing
from krait.agent.managed.takedown import take_down
from krait.agent.paths import Paths
from krait.kernel import capability
from krait.kernel.lock import Held, Lock
from krait.kernel.seat import AttachKind

_log = structlog.get_logger()


def keep(
    interface: str,
    *,
    config: Path | None = None,
    kind: AttachKind | None = None,
    paths: Paths | None = None,
) -> None:
    """As `wiring.keep`, with the orders that are due; returns too if none are left."""
    paths = paths or Paths.here()
    _settle(interface, paths)
    while True:
        try:
            return wiring.keep(interface, config=config, kind=kind, paths=paths)
        except TrialOver:
            if not _go_back_in_turn(interface, paths):
                return None


def _go_back_in_turn(interface: str, paths: Paths) -> bool:
    """Whether there is something left to do; a command that works on it right now has its way."""
    try:
        turn = Lock.take(paths.turn_of(interface), f"another command works on {interface}")
    except Held:
        return True
    with turn:
        _settle(interface, paths)
        return read_standing(interface, paths).orders is not None


def _settle(interface: str, paths: Paths) -> None:
    """Go back from a trial that is over.

    Raises SystemRefused where what it is written in cannot be written.
    """
    capability.require(*capability.NEEDED)
    paths.require()
    trial = read_standing(interface, paths).trial
    if trial is None or trial.left_s() > 0:
        return
    _log.warning(f"nobody confirmed {interface} in time: it goes back to what was before")
    if trial.before is None:
        take_down(interface, paths)
    else:
        write_standing(interface, paths, Standing(trial.before))
