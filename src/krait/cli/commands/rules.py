# SPDX-License-Identifier: Apache-2.0
"""`krait rules`: what each rule decided, when it last did, and whether it ever can."""

from argparse import ArgumentParser, Namespace

from krait.agent.paths import Paths
from krait.agent.tally import tally
from krait.cli import output
from krait.cli.asked import interface_of, interface_option
from krait.cli.rule_table import report, show
from krait.cli.waiting import progress
from krait.common.errors import ExitCode
from krait.kernel.capability import NEEDED, require


def configure(parser: ArgumentParser) -> None:
    """All rules, or those that could go."""
    interface_option(parser)
    parser.add_argument(
        "--unused", action="store_true", help="only rules that decided nothing yet, or never can"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: they are told, with --unused: there is none; 1: with --unused, there is one."""
    require(*NEEDED)
    paths = Paths.here()
    paths.require_seen()
    interface = interface_of(options.iface, paths)
    with progress(f"looking at the rules of {interface}"):
        found = tally(interface, paths)
    unused = options.unused and any(each.is_unused for each in found.rules)
    if options.json:
        output.document(report(found, unused=options.unused))
    elif options.unused and not unused:
        output.line("every rule that concerns this node has decided something")
    else:
        show(found, unused=options.unused)
    return ExitCode.NO if unused else ExitCode.OK
