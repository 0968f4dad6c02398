# SPDX-License-Identifier: Apache-2.0
"""Listening to a stream of events for as long as the agent lives, whatever becomes of the stream.

The first event of a stream says that it listens; what happened before is for who hears it to see.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import structlog

from krait.agent.faults import unexpected
from krait.agent.lookout import INTERVAL_S
from krait.common.errors import KraitError

Event = TypeVar("Event")

_log = structlog.get_logger()


async def keep_hearing(
    stream: Callable[[], AsyncGenerator[Event, None]],
    heard: Callable[[Event], None],
    trouble: Callable[[KraitError | None], None],
) -> None:
    """Hand each event to `heard`; a stream that fails or ends is opened again after a pause.

    `trouble` is told why it failed, and None once it is listened to again. Ends by cancellation.
    """
    failed = False
    while True:
        try:
            async with aclosing(stream()) as events:
                async for event in events:
                    if failed:
                        failed = False
                        trouble(None)
                    heard(event)
        except KraitError as error:
            failed = True
            trouble(error)
        except Exception as error:  # noqa: BLE001 - deaf is worse than any fault of a stream
            failed = True
            _log.exception("unexpected error while listening")
            trouble(unexpected(error))
        await asyncio.sleep(INTERVAL_S)
