# SPDX-License-Identifier: Apache-2.0
"""`krait status [IFACE]`: what is enforced, and what was dropped; with the agent dead, too."""

import time
from argparse import ArgumentParser, Namespace

from krait.agent.inspect import inspect, interfaces
from krait.agent.paths import Paths
from krait.cli import output
from krait.cli.inspection import enforces, report, show
from krait.common.errors import ExitCode
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
    paths = Paths()
    names = (options.interface,) if options.interface else interfaces(paths)
    found = tuple(inspect(name, paths) for name in names)
    if options.json:
        output.document({"interfaces": [report(each) for each in found]})
    elif found:
        for number, each in enumerate(found):
            if number:
                output.line()
            show(each, time.time())
    else:
        output.line("nothing enforces: Krait is on no interface of this machine")
    return ExitCode.OK if found and all(map(enforces, found)) else ExitCode.NO
