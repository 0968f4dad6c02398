# SPDX-License-Identifier: Apache-2.0
"""The document that is rehearsed, if there is one: read when it comes, changes or goes.

It decides nothing: what is wrong with it is told and ends the rehearsal, and no more, and no round
waits until it is read.
"""

from collections.abc import Callable
from pathlib import Path

from krait.agent import source
from krait.agent.desired import Source
from krait.agent.faults import worded
from krait.agent.later import Later
from krait.agent.source import LOOK_S
from krait.agent.subject import Subject
from krait.common.errors import KraitError


class ShadowFile:
    """What is at one path. Moments are monotonic, in seconds."""

    def __init__(self, path: Path, interface: str, wake: Callable[[], None]) -> None:
        """`wake` is called, from another thread, when one was read."""
        self._path, self._interface = path, interface
        self._found: Source | None = None
        self._fault: KraitError | None = None
        self._seen = _stamp(path)
        self._read: object = None
        self._reading: Later[Source] = Later(wake)
        self._since_s = float("-inf")  # what is there at the start is whole

    @property
    def fault(self) -> KraitError | None:
        """Why what is there is not rehearsed."""
        return self._fault

    def look(self, now_s: float) -> Source | None:
        """The document to rehearse now; a new one was read once it kept still for a look.

        Until it is read, that is the one before. Never raises.
        """
        stamp = _stamp(self._path)
        if stamp != self._seen:
            self._seen, self._since_s = stamp, now_s
        if stamp != self._read and now_s - self._since_s >= LOOK_S:
            try:
                self._take(stamp)
            except Exception as error:  # noqa: BLE001 - what is rehearsed must end no round
                self._fault = worded(error, Subject.SHADOW)
        return self._found

    def _take(self, stamp: tuple[int, ...] | None) -> None:
        if stamp is None:
            self._read, self._found, self._fault = stamp, None, None
            return
        read = self._reading.of(stamp, self._load)
        if read is not None:
            error = read.exception()
            self._found = read.result() if error is None else None
            self._fault = None if error is None else worded(error, Subject.SHADOW)
            self._read = stamp

    def _load(self) -> Source:
        return source.read(
            self._path,
            self._interface,
            if_missing="put it there again, or leave it away",
            with_tests=False,  # it is there to be tried
        )


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
