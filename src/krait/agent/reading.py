# SPDX-License-Identifier: Apache-2.0
"""Which document counts: the one at its path, once it was read and taken as a whole.

What it needs beside itself, a key in a file, may come later: one that was read and could not be
taken is tried again, as it was read.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from krait.agent import source
from krait.agent.backoff import Backoff
from krait.agent.desired import Source
from krait.common.errors import KraitError

_log = structlog.get_logger()


class Reading:
    """The document of one interface. Moments are monotonic, in seconds."""

    def __init__(
        self, path: Path, kept: Path, interface: str, take: Callable[[Source], None]
    ) -> None:
        """`kept` is where what was in force last lies.

        `take` puts a document to use; it raises KraitError for one that cannot be used.
        """
        self.taken: Source | None = None
        """The one that counts."""
        self.attempts = 0
        self._path, self._kept, self._interface = path, kept, interface
        self._take = take
        self._unheard = source.Unheard(path)
        self._untaken: Source | None = None
        self._backoff = Backoff()
        self._must_read = False

    def ask(self) -> None:
        """Have it read by the next round."""
        self._must_read = True

    @property
    def is_asked(self) -> bool:
        """Whether nobody has read it since."""
        return self._must_read

    def is_due(self, now_s: float) -> bool:
        """Whether to read it, or to try again to take it."""
        if self._must_read or self._unheard.is_due(now_s):
            return True
        return self._untaken is not None and self._backoff.is_due(now_s)

    def next_s(self, now_s: float) -> float | None:
        """When to try again to take what was read, in so many seconds; None: there is no such."""
        return None if self._untaken is None else self._backoff.due_in_s(now_s)

    def read(self, now_s: float, *, is_enforcing: bool) -> None:
        """Read it, or take again what was read; `is_enforcing`: a policy is in force already.

        Raises what `source.read` and `take` raise; then what counted so far still does.
        """
        if self._must_read or self._untaken is None or self._unheard.is_due(now_s):
            self._untaken, self._must_read = None, False
            self.attempts += 1
            self._unheard.reading()
            restore = self._how_to_restore(is_enforcing=is_enforcing)
            found = source.read(self._path, self._interface, self.taken, if_missing=restore)
        else:
            found = self._untaken
        if found == self.taken:
            return
        try:
            self._take(found)
        except KraitError:
            if found != self._untaken:
                self._backoff.reset()
            self._untaken = found
            self._backoff.failed(now_s)
            raise
        self.taken, self._untaken = found, None
        _log.info("document read", path=found.path, sha256=found.sha256[:12])

    def read_or_go_back(self, now_s: float, *, is_enforcing: bool) -> KraitError | None:
        """What is wrong with the document, though what was in force last may count now."""
        try:
            self.read(now_s, is_enforcing=is_enforcing)
        except KraitError as error:
            self._go_back()
            return error
        return None

    def _go_back(self) -> None:
        """Have what was in force last count, of before a reboot perhaps; if that can be used."""
        with suppress(KraitError):
            found = source.read(self._kept, self._interface)
            self._take(found)
            self.taken = found
            _log.warning("going on with the document that was in force last")

    def _how_to_restore(self, *, is_enforcing: bool) -> str:
        """What to do without a document while a policy is in force; empty: none is."""
        hint = "restore it; until then the policy in force stays"
        if self._kept.exists():
            return f"{hint} (a copy of it: {self._kept})"
        return hint if is_enforcing else ""
