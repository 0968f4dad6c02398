# SPDX-License-Identifier: Apache-2.0
"""What is wrong now, by subject: told once, kept for `status`, told again when it is mended."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import structlog

from krait.agent.state import Fault
from krait.agent.subject import Subject
from krait.common.errors import KraitError

_log = structlog.get_logger()


class Faults:
    """Each subject has one cause, which clears it too. For one thread, but for `hand_over`."""

    def __init__(self) -> None:
        self._known: dict[Subject, Fault] = {}
        self._waiting: SimpleQueue[tuple[Subject, KraitError | None]] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def known(self) -> tuple[Fault, ...]:
        """In the order they were met; told again, a fault keeps the time of its first."""
        return tuple(self._known.values())

    def note(self, subject: Subject, error: KraitError | None) -> None:
        """`error` is what is wrong with the subject now; None: nothing is."""
        known = self._known.get(subject)
        if error is None:
            if self._known.pop(subject, None):
                _log.info(f"{subject}: mended")
        elif known is None or known.message != error.message:
            self._known[subject] = Fault(error.message, error.hint, time.time(), subject)
            # Its word: of an enum with a space in it, a terminal would be shown the repr.
            _log.error(error.message, subject=subject.value, hint=error.hint)

    def attempt(self, subject: Subject, doing: Callable[[], None]) -> None:
        """Do it, and note how it went; nothing that is wrong with it is raised."""
        try:
            doing()
        except Exception as error:  # noqa: BLE001 - no fault may end what keeps the filter on
            self.note(subject, worded(error, subject))
        else:
            self.note(subject, None)

    def hand_over(self, subject: Subject, error: KraitError | None) -> None:
        """Note it at the next `collect`; from any thread."""
        self._waiting.put((subject, error))

    def collect(self) -> None:
        """Note what was handed over."""
        while not self._waiting.empty():
            self.note(*self._waiting.get())


def worded(error: BaseException, subject: Subject) -> KraitError:
    """The error, or one that says in words what nobody expected; the log has where that was."""
    if isinstance(error, KraitError):
        return error
    _log.error("unexpected error", subject=subject.value, exc_info=error)
    return unexpected(error)


def unexpected(error: BaseException) -> KraitError:
    """What no layer put into words, with a guess at who can mend it."""
    is_machine = isinstance(error, OSError | MemoryError)  # such as a disk that is full
    return KraitError(
        f"{type(error).__name__}: {error}",
        hint="Mend what it names; `krait doctor` says what this machine lacks."
        if is_machine
        else "This is a fault of Krait's own: report it, with what the agent's log has of it.",
    )


@contextmanager
def best_effort(doing: str) -> Iterator[None]:
    """Tell of what goes wrong here, and go on: it is not what the caller is asked for."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - what it is about is done, or undone, already
        _log.warning(f"cannot {doing}", error=str(error))
