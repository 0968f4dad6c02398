# SPDX-License-Identifier: Apache-2.0
"""A command that starts agents, and fails or is interrupted, leaves things as they were."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import NoReturn, Self

from krait.agent.managed.takedown import take_down
from krait.agent.managed.turn import Turn
from krait.cli import output, service, systemd
from krait.cli.waiting import progress
from krait.common.errors import KraitError
from krait.kernel.lock import holder

_INTERRUPTIONS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class Undo:
    """From here on, until it is dismissed or the block ends well.

    SIGTERM and SIGHUP, of a connection that was lost, are interruptions as SIGINT is.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn, self._before = turn, turn.standing
        self._agent = holder(turn.paths.lock_of(turn.interface))
        self._is_dismissed = False
        self._handlers = {number: signal.getsignal(number) for number in _INTERRUPTIONS}

    def dismiss(self) -> None:
        """What was done stays."""
        self._is_dismissed = True

    def __enter__(self) -> Self:
        for number in _INTERRUPTIONS:
            signal.signal(number, _interrupt)
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if error is not None and not self._is_dismissed:
                with _uninterrupted(), progress(f"undoing what was done to {self._turn.interface}"):
                    self._undo()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _undo(self) -> None:
        interface, paths = self._turn.interface, self._turn.paths
        try:
            self._turn.restore(self._before)
            is_untouched = holder(paths.lock_of(interface)) == self._agent
            if not is_untouched:
                service.stop(interface, paths)
            if self._before.orders is None and (self._agent is None or not is_untouched):
                take_down(self._turn)
            may_live = self._before.orders is not None or systemd.has_unit(interface, paths)
            if self._agent is not None and not is_untouched and may_live:
                service.restart(interface, paths)
        except KraitError as error:
            output.warning(f"{interface} is not as it was before: {error.message}", error.hint)


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _uninterrupted() -> Iterator[None]:
    with suppress(ValueError):  # not in the first thread, which has no signals either
        for number in _INTERRUPTIONS:
            signal.signal(number, signal.SIG_IGN)
    yield
