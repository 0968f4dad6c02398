# SPDX-License-Identifier: Apache-2.0
"""`krait down IFACE`: take away the interface that `krait up` made."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from krait.agent.managed.takedown import require_made_here, take_down
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
from krait.cli import output, service
from krait.cli.waiting import progress
from krait.common.errors import ExitCode
from krait.kernel import capability


def configure(parser: ArgumentParser) -> None:
    """The interface must be said."""
    parser.add_argument("interface", metavar="IFACE", help="an interface that `krait up` made")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: nothing of it is left but its key and its document."""
    interface, paths = options.interface, Paths.here()
    capability.require(*capability.NEEDED)
    paths.require()
    with Turn.take(interface, paths) as turn:
        require_made_here(turn)
        with progress(f"ending the agent of {interface}"):
            service.stop(interface, paths)
        taken = take_down(turn)
    if options.json:
        output.document({"interface": interface, **asdict(taken)})
    elif taken.device or taken.routes or taken.policy:
        output.line(f"{interface} is down: device, routes, filters and state removed")
        output.line(f"  its key stays: {paths.key_of(interface)}")
        if at_boot := service.command_for_boot(interface, paths, wanted=False):
            output.line(f"  at boot an agent starts all the same, unless: {at_boot}")
    else:
        output.line(f"{interface}: there was nothing of Krait")
    return ExitCode.OK
