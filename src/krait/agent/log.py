# SPDX-License-Identifier: Apache-2.0
"""The agent's log: for a person on a terminal, JSON lines for everybody else, both on stderr."""

import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor


def configure(interface: str, stream: TextIO = sys.stderr) -> None:
    """Set up structlog for this process, which keeps one interface."""
    processors: list[Processor] = [structlog.stdlib.add_log_level]
    if stream.isatty():
        stamp = structlog.processors.TimeStamper("%H:%M:%S", utc=False)
        processors += [stamp, structlog.dev.ConsoleRenderer(pad_event_to=0)]
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
