# SPDX-License-Identifier: Apache-2.0
"""`krait --iface IFACE [--config FILE]`: keep the policy of an interface true until told to end."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from krait.agent import log, wiring
from krait.agent.managed.takedown import settle
from krait.agent.paths import Paths
from krait.cli import failure
from krait.common.errors import ExitCode, KraitError
from krait.kernel.seat import AttachKind


def configure(parser: ArgumentParser) -> None:
    """Only the interface must be said; the document is searched for if it is not."""
    parser.add_argument(
        "--iface", metavar="IFACE", required=True, help="a WireGuard interface, such as wg0"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the document (default: /etc/krait/IFACE.yaml, then /etc/krait/krait.yaml)",
    )
    parser.add_argument(
        "--attach",
        choices=["auto", *(kind.value for kind in AttachKind)],
        default="auto",
        help="how to attach to the interface (default: the best this kernel knows)",
    )


def run(options: Namespace) -> int:
    """0: ended by SIGTERM or SIGINT; the policy stays in force.

    What ends it otherwise is raised for a terminal; else it is the last line of the log, whose
    reader expects JSON alone.
    """
    log.configure(options.iface)
    kind = None if options.attach == "auto" else AttachKind(options.attach)
    config = options.config.absolute() if options.config else None
    try:
        settle(options.iface, Paths.here())
        wiring.keep(options.iface, config=config, kind=kind)
    except (KraitError, OSError) as error:
        if sys.stderr.isatty():
            raise
        told = failure.in_words(error)
        log.ended(told, failure.details(told))
        return told.exit_code
    return ExitCode.OK
