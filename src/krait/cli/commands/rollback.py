# SPDX-License-Identifier: Apache-2.0
"""`krait rollback IFACE`: go back to what was before `krait up --confirm`."""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from krait.agent.managed.orders import Standing, Trial, read_trial, write_standing
from krait.agent.managed.takedown import take_down
from krait.agent.paths import Paths
from krait.cli import output, service
from krait.common.errors import ExitCode
from krait.kernel.lock import Held, Lock

_LOOK_S = 1.0
_TURN_S = 0.2


def configure(parser: ArgumentParser) -> None:
    """`--when-due` is how `krait up --confirm` leaves a process behind."""
    parser.add_argument("interface", metavar="IFACE", help="an interface on trial")
    parser.add_argument(
        "--when-due", action="store_true", help="wait until the trial is over; not if confirmed"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: all is as it was before; 1: there is nothing to go back from."""
    interface, paths = options.interface, Paths.here()
    if options.when_due:
        _wait(paths.trial_of(interface))
    with _turn(interface, paths, insists=options.when_due):
        trial = read_trial(paths.trial_of(interface))
        goes_back = trial is not None and not (options.when_due and trial.left_s() > 0)
        if trial is not None and goes_back:
            go_back(interface, trial, paths)
    if options.json:
        output.document({"interface": interface, "rolled_back": goes_back})
    elif goes_back:
        output.line(f"{interface}: as it was before")
    else:
        output.line(f"{interface}: nothing is on trial")
    return ExitCode.OK if goes_back else ExitCode.NO


def go_back(interface: str, trial: Trial, paths: Paths) -> None:
    """Restore the orders of before, or take away what there was none of; may be repeated."""
    if trial.before is None:
        service.stop(interface, paths)
        take_down(interface, paths)
        return
    write_standing(interface, paths, Standing(trial.before))
    service.restart(interface, paths)


def _wait(path: Path) -> None:
    """Until the trial is over; a later one of the same interface has a process of its own."""
    first = trial = read_trial(path)
    while trial is not None and trial == first and (left_s := trial.left_s()) > 0:
        time.sleep(min(left_s, _LOOK_S))
        trial = read_trial(path)


def _turn(interface: str, paths: Paths, *, insists: bool) -> Lock:
    while True:
        try:
            return Lock.take(paths.turn_of(interface), f"another command works on {interface}")
        except Held:
            if not insists:
                raise
        time.sleep(_TURN_S)
