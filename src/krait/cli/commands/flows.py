# SPDX-License-Identifier: Apache-2.0
"""`krait flows`: who speaks with whom, by which rule, and for how long still."""

from argparse import ArgumentParser, Namespace

from krait.agent.live_flows import Sought, live_flows
from krait.agent.paths import Paths
from krait.cli import output
from krait.cli.asked import interface_of, interface_option
from krait.cli.flow_list import report, show
from krait.cli.waiting import progress
from krait.common.errors import ExitCode
from krait.kernel.capability import NEEDED, require


def configure(parser: ArgumentParser) -> None:
    """All flows, or those of somebody."""
    interface_option(parser)
    who = "a node's name, an address, or a subnet of the document"
    parser.add_argument("--from", dest="opener", metavar="WHO", help=f"who opened: {who}")
    parser.add_argument("--to", dest="other", metavar="WHO", help=f"to whom: {who}")
    parser.add_argument("--peer", dest="either", metavar="WHO", help=f"one of the two: {who}")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: there are some; 1: there is none."""
    require(*NEEDED)
    paths = Paths.here()
    paths.require_seen()
    interface = interface_of(options.iface, paths)
    sought = Sought(options.opener, options.other, options.either)
    with (
        progress(f"looking at the flows of {interface}"),
        live_flows(interface, paths, sought) as flows,
    ):
        total = report(flows) if options.json else show(flows)
    return ExitCode.OK if total else ExitCode.NO
