# SPDX-License-Identifier: Apache-2.0
"""`krait --iface IFACE [--config FILE]`: keep the policy of an interface true until told to end."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from krait.agent import log, wiring
from krait.common.errors import ExitCode
from krait.kernel.seat import AttachKind


def configure(parser: ArgumentParser) -> None:
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
    """0: ended by SIGTERM or SIGINT; the policy stays in force."""
    log.configure(options.iface)
    kind = None if options.attach == "auto" else AttachKind(options.attach)
    config = options.config.absolute() if options.config else None
    wiring.keep(options.iface, config=config, kind=kind)
    return ExitCode.OK
