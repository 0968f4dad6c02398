# SPDX-License-Identifier: Apache-2.0
"""`krait demo`: four hosts, one policy, real traffic."""

import sys
import time
from argparse import ArgumentParser, Namespace
from itertools import islice

from krait.cli import output
from krait.cli.demo import page, progress, report
from krait.common.errors import ExitCode
from krait.kernel.seat import AttachKind
from krait.lab import keeper
from krait.lab.demo import acts
from krait.lab.demo.findings import Act
from krait.lab.demo.stage import Stage


def configure(parser: ArgumentParser) -> None:
    """To leave the hosts up and to take them down exclude each other."""
    parser.add_argument(
        "--attach",
        choices=[kind.value for kind in AttachKind],
        help="how the agents attach (default: the best this kernel knows)",
    )
    parser.add_argument(
        "--matrix", action="store_true", help="who reaches whom, and nothing after it"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--keep", action="store_true", help="leave the hosts up, to try things")
    group.add_argument("--down", action="store_true", help="take down what --keep left up")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: every cell agrees and every act held; 1: not so."""
    if options.down:
        return _take_down(as_json=options.json)
    started_s = time.monotonic()
    kind = AttachKind(options.attach) if options.attach else None
    try:
        with Stage(kind, report=progress.show) as stage:
            seen = _perform(stage, 1 if options.matrix else None, quiet=options.json)
            took_s = time.monotonic() - started_s
            pid = stage.keep() if options.keep else None
            progress.clear()
            if options.json:
                output.document(report.report(stage, seen, took_s, pid))
            else:
                _epilogue(stage, seen, pid)
    finally:
        progress.clear()
    if not options.json:
        page.closing(seen, took_s, left_up=options.keep)
    return ExitCode.OK if all(act.held for act in seen) else ExitCode.NO


def _perform(stage: Stage, count: int | None, *, quiet: bool) -> tuple[Act, ...]:
    """Play so many acts, or all, and show each when it is over."""
    seen = []
    if not quiet:
        progress.clear()
        page.opening(stage)
        sys.stdout.flush()
    for act in islice(acts.perform(stage), count):
        seen.append(act)
        if not quiet:
            progress.clear()
            page.play(act)
            sys.stdout.flush()
    return tuple(seen)


def _epilogue(stage: Stage, seen: tuple[Act, ...], pid: int | None) -> None:
    """What can be told only while the hosts are up."""
    for host in next((act.suspects for act in seen if not act.held), ()):
        page.status(host, stage.status(host))
    if pid is not None:
        page.kept(stage.hosts, pid)


def _take_down(*, as_json: bool) -> int:
    pids = keeper.kept()
    keeper.end(pids)
    if as_json:
        output.document({"taken_down": pids})
    else:
        output.line(f"taken down: {len(pids)}" if pids else "nothing was left up")
    return ExitCode.OK
