# SPDX-License-Identifier: Apache-2.0
"""`krait --iface IFACE [--config FILE]`: keep the policy of an interface true until told to end."""

import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from contextlib import ExitStack
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TextIO

from krait.agent import log, wiring
from krait.agent.managed import trials
from krait.agent.paths import Paths
from krait.cli import attaching, failure
from krait.cli.asked import config_option
from krait.cli.waiting import progress
from krait.common.errors import ExitCode, KraitError


def configure(parser: ArgumentParser) -> None:
    """Only the interface must be said; the document is searched for if it is not.

    `--as-ordered` is how `krait up` starts one: it ends if those orders were taken back meanwhile.
    """
    parser.add_argument(
        "--iface", metavar="IFACE", required=True, help="a WireGuard interface, such as wg0"
    )
    config_option(parser)
    parser.add_argument(
        "--shadow",
        metavar="FILE",
        type=Path,
        help="a document to rehearse: counted, never enforced (default: IFACE.shadow.yaml there)",
    )
    parser.add_argument("--as-ordered", action="store_true", help=SUPPRESS)
    attaching.option(parser)


def run(options: Namespace) -> int:
    """0: ended by SIGTERM or SIGINT; the policy stays in force.

    What ends it otherwise is raised for a terminal; else it is the last line of the log, whose
    reader expects JSON alone.
    """
    waiting = ExitStack()
    log.configure(options.iface, _Ending(sys.stderr, waiting))
    kind = attaching.chosen(options)
    config, shadow = (each and each.absolute() for each in (options.config, options.shadow))
    try:
        waiting.enter_context(progress(f"starting the agent of {options.iface}"))
        paths = Paths.here()
        agent = partial(
            wiring.keep,
            options.iface,
            config=config,
            shadow=shadow,
            kind=kind,
            paths=paths,
            as_ordered=options.as_ordered,
        )
        trials.keep(options.iface, paths, agent)
    except (KraitError, OSError) as error:
        if sys.stderr.isatty():
            raise
        told = failure.in_words(error)
        log.ended(told, failure.details(told))
        return told.exit_code
    finally:
        waiting.close()
    return ExitCode.OK


class _Ending(StringIO):
    """A stream for a log, whose first line ends what goes on until then."""

    def __init__(self, stream: TextIO, until_then: ExitStack) -> None:
        super().__init__()
        self._stream, self._until_then = stream, until_then

    def write(self, text: str) -> int:
        self._until_then.close()
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()
