# SPDX-License-Identifier: Apache-2.0
"""`krait status [IFACE]`: what is enforced, and what was dropped; with the agent dead, too."""

import time
from argparse import ArgumentParser, Namespace

from krait.agent.inspect import Condition, condition, inspect, interfaces
from krait.agent.paths import Paths
from krait.cli import output
from krait.cli.inspection import report, show
from krait.common.errors import ExitCode
from krait.kernel.capability import NEEDED, require


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "interface", metavar="IFACE", nargs="?", help="one interface; all of Krait's, if left out"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: each interface shown has a filter on it, or waits for one; 1: nothing enforces."""
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
    bare = any(condition(each)[0] is Condition.BARE for each in found)
    return ExitCode.NO if bare or not found else ExitCode.OK
