# SPDX-License-Identifier: Apache-2.0
"""`krait rollback IFACE`: go back to what was before `krait up --confirm`."""

import time
from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path

import structlog

from krait.agent import log
from krait.agent.backoff import Backoff
from krait.agent.managed.orders import Trial, read_trial
from krait.agent.managed.takedown import take_down
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
from krait.agent.state import Fault
from krait.cli import output, service
from krait.common.errors import ExitCode, KraitError
from krait.kernel.lock import Held

_LOOK_S = 1.0
_TURN_S = 0.2

_log = structlog.get_logger()


def configure(parser: ArgumentParser) -> None:
    """`--when-due` is how `krait up --confirm` leaves a process behind."""
    parser.add_argument("interface", metavar="IFACE", help="an interface on trial")
    parser.add_argument("--when-due", action="store_true", help=SUPPRESS)
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: all is as it was before; 1: there is nothing to go back from."""
    interface, paths = options.interface, Paths.here()
    if options.when_due:
        log.configure(interface)
        return _go_back_when_due(interface, paths)
    with Turn.take(interface, paths) as turn:
        trial = turn.standing.trial
        faults = _go_back(turn, trial) if trial is not None else ()
    if options.json:
        output.document({"interface": interface, "rolled_back": trial is not None})
    elif trial is not None:
        output.line(f"{interface}: as it was before")
        for fault in faults:
            output.warning(fault.message)
    else:
        output.line(f"{interface}: nothing is on trial")
    return ExitCode.NO if trial is None else ExitCode.OK


def _go_back(turn: Turn, trial: Trial) -> tuple[Fault, ...]:
    """Restore the orders of before, or take away what there was none of; what is wrong then. May be
    repeated.

    Raises SystemRefused if that is not in force then. It is, too, if the document of before cannot
    be read, but a copy of it from when it was in force.
    """
    interface, paths, before = turn.interface, turn.paths, trial.before
    if before is None:
        service.stop(interface, paths)
        take_down(turn)
        return ()
    turn.return_to_before(before)
    service.restart(interface, paths)
    kept = str(paths.kept_of(interface))
    live = service.require_in_force(interface, paths, before.config, kept)
    turn.end_trial()
    return live.faults


def _go_back_when_due(interface: str, paths: Paths) -> int:
    """Wait until the trial is over, and go back unless it was confirmed, however often it fails."""
    _wait(paths.trial_of(interface))
    again = Backoff()
    while True:
        try:
            with Turn.take(interface, paths) as turn:
                standing = turn.standing
                if standing.trial is None or not standing.is_over:
                    _log.info(f"{interface} is not on trial any more, or for longer: it stays")
                    return ExitCode.NO
                _log.warning(f"nobody confirmed {interface} in time: it goes back")
                _go_back(turn, standing.trial)
                _log.info(f"{interface} is as it was before")
                return ExitCode.OK
        except Held:
            time.sleep(_TURN_S)
        except KraitError as error:
            _log.error(f"{interface} cannot go back: {error.message}", hint=error.hint)
            now_s = time.monotonic()
            again.failed(now_s)
            time.sleep(again.due_in_s(now_s))


def _wait(path: Path) -> None:
    """Until the trial is over; a later one of the same interface has a process of its own."""
    first = trial = read_trial(path)
    while trial is not None and trial == first and (left_s := trial.left_s()) > 0:
        time.sleep(min(left_s, _LOOK_S))
        trial = read_trial(path)
