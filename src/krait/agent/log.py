# SPDX-License-Identifier: Apache-2.0
"""The agent's log: for a person on a terminal, JSON lines for everybody else, both on stderr."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from krait.common.errors import KraitError
from krait.common.words import printable


def configure(interface: str, stream: TextIO = sys.stderr) -> None:
    """Set up structlog for this process, which keeps one interface."""
    processors: list[Processor] = [structlog.stdlib.add_log_level]
    if stream.isatty():
        stamp = structlog.processors.TimeStamper("%H:%M:%S", utc=False)
        person = structlog.dev.ConsoleRenderer(
            pad_event_to=0,
            colors=not os.environ.get("NO_COLOR"),
            exception_formatter=structlog.dev.plain_traceback,  # with rich it would show values
        )
        processors += [stamp, _printable, person]
    else:

        def in_order(_: object, __: str, event: EventDict) -> EventDict:
            first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
            return {**first, "interface": interface, **event}

        stamp = structlog.processors.TimeStamper("iso", utc=True)
        lines = structlog.processors.JSONRenderer()
        processors += [stamp, structlog.processors.format_exc_info, in_order, lines]
    structlog.configure(
        processors=processors,
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )


def _printable(_: object, __: str, event: EventDict) -> EventDict:
    """No name of an interface or a file reaches a terminal as it is."""
    return {
        key: "\n".join(map(printable, what.split("\n"))) if isinstance(what, str) else what
        for key, what in event.items()
    }


def ended(error: KraitError, details: Sequence[str] = ()) -> None:
    """Log the error that ends this agent; `details` are lines that say more, such as a verifier's.

    For a log of JSON lines: on a terminal the command line tells it in words.
    """
    facts = {"details": list(details)} if details else {}
    structlog.get_logger().error(
        error.message, hint=error.hint, exit_code=int(error.exit_code), **facts
    )
