# SPDX-License-Identifier: Apache-2.0
"""What several verbs are asked alike: the interface, the document."""

from argparse import ArgumentParser
from pathlib import Path

from krait.agent.inspect import instances
from krait.agent.paths import Paths
from krait.common.errors import UsageError


def interface_option(parser: ArgumentParser) -> None:
    """Give a verb the option `--iface`; see `interface_of`."""
    parser.add_argument(
        "--iface", metavar="IFACE", help="the interface; may be left out where Krait is on one"
    )


def config_option(parser: ArgumentParser) -> None:
    """Give a verb the option `--config`: a document that is searched for if none is named."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the document (default: /etc/krait/IFACE.yaml, then /etc/krait/krait.yaml)",
    )


def interface_of(asked: str | None, paths: Paths) -> str:
    """The interface asked for, else the only one of this network namespace that Krait is on.

    Raises UsageError where there is none, or more than one.
    """
    if asked is not None:
        return asked
    names, _ = instances(paths)
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(
            "Krait is on no interface of this network namespace",
            hint="put a policy on one first: krait --iface IFACE, or krait up",
        )
    raise UsageError(
        f"Krait is on several interfaces: {', '.join(names)}",
        hint=f"say which one is meant: --iface {names[0]}",
    )
