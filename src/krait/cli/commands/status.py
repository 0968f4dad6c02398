# SPDX-License-Identifier: Apache-2.0
"""`krait status [IFACE]`: what is enforced, and what was dropped; with the agent dead, too."""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from krait.agent.inspect import Inspection, inspect, instances
from krait.agent.paths import Instance, Paths
from krait.cli import output
from krait.cli.inspection import enforces, show
from krait.cli.inspection_report import report
from krait.cli.waiting import progress
from krait.common.errors import ExitCode
from krait.common.words import printable
from krait.kernel.capability import NEEDED, require


def configure(parser: ArgumentParser) -> None:
    """Without an interface, every one that Krait is on."""
    parser.add_argument(
        "interface", metavar="IFACE", nargs="?", help="one interface; all of Krait's, if left out"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: no packet passes unjudged an interface shown; 1: one does, or there is none to show."""
    require(*NEEDED)
    paths = Paths.here()
    paths.require_seen()
    names, others = ((options.interface,), ()) if options.interface else instances(paths)
    with progress(f"looking at {', '.join(names)}"):
        found = tuple(inspect(name, paths) for name in names)
    if options.json:
        elsewhere: list[output.Json] = [each._asdict() for each in others]
        output.document({"interfaces": [report(each) for each in found], "elsewhere": elsewhere})
    else:
        _print(found, others)
    return ExitCode.OK if found and all(map(enforces, found)) else ExitCode.NO


def _print(found: Sequence[Inspection], others: Sequence[Instance]) -> None:
    for number, each in enumerate(found):
        if number:
            output.line()
        show(each, time.time())
    if not found:
        where = "network namespace" if others else "machine"
        output.line(f"nothing enforces: Krait is on no interface of this {where}")
    if others:
        output.line()
    for other in others:
        where = (
            f"network namespace {other.namespace}"
            if other.namespace
            else "a network namespace without a name"
        )
        output.line(printable(f"{other.interface}: in {where}: ask there"))
