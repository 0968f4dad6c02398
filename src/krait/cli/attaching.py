# SPDX-License-Identifier: Apache-2.0
"""The option `--attach`, for verbs that begin an agent."""

from argparse import ArgumentParser, Namespace

from krait.kernel.seat import AttachKind

_BEST = "auto"


def option(parser: ArgumentParser) -> None:
    """Give it to a verb; `chosen` reads it."""
    parser.add_argument(
        "--attach",
        choices=[_BEST, *(kind.value for kind in AttachKind)],
        help="how to attach the filter (default: the best this kernel knows)",
    )


def chosen(options: Namespace) -> AttachKind | None:
    """None: the best that the kernel knows."""
    return None if options.attach in (None, _BEST) else AttachKind(options.attach)
