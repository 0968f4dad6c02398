# SPDX-License-Identifier: Apache-2.0
"""`krait confirm IFACE`: what `krait up --confirm` made stays."""

from argparse import ArgumentParser, Namespace

from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
from krait.cli import output
from krait.common.errors import ExitCode


def configure(parser: ArgumentParser) -> None:
    """The interface must be said."""
    parser.add_argument("interface", metavar="IFACE", help="an interface on trial")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: it stays; 1: there was nothing to confirm. Raises TooLate."""
    interface, paths = options.interface, Paths.here()
    with Turn.take(interface, paths) as turn:
        trial = turn.confirm()
    if options.json:
        output.document({"interface": interface, "confirmed": trial is not None})
    elif trial is not None:
        output.line(f"{interface}: confirmed; it stays as it is")
    else:
        output.line(f"{interface}: nothing waits for a confirmation")
    return ExitCode.NO if trial is None else ExitCode.OK
