# SPDX-License-Identifier: Apache-2.0
"""The commits that are written down, each before the store that puts it in force.

Whoever comes after a crash finds there who had which number in the tables.
"""

from contextlib import suppress
from pathlib import Path

import structlog

from krait.agent import state
from krait.common.errors import SystemRefused
from krait.kernel.files import sweep, writing
from krait.policy.numbering import Numbers

_log = structlog.get_logger()


class Ledger:
    """The records of one interface, as they are to be in their file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: state.Records = ()
        self._is_written = True

    def sweep(self) -> None:
        """Take away what an agent left that died as it wrote."""
        sweep(self._path)

    def read(self) -> None:
        """Go on with what an earlier agent wrote; what cannot be used is told and left out."""
        self._records = state.read_records(self._path, _log.warning)

    @property
    def last_revision(self) -> int:
        """The highest that was written down, put in force or not; 0: none was."""
        return max((each.revision for each in self._records), default=0)

    def numbers_of(self, revision: int) -> Numbers:
        """Who had which number under it; nobody any, if nothing is known of it."""
        known = (each.numbers for each in self._records if each.revision == revision)
        return next(known, Numbers())

    def enter(self, new: state.Record, in_force: int) -> None:
        """The new record, and that of what is in force now, whichever agent made it.

        A full disk costs the names of numbers after a crash; it must not hold up a revocation. See
        `write` for what becomes of it.
        """
        former = (each for each in self._records if each.revision == in_force)
        self._records, self._is_written = (new, *former), False
        with suppress(SystemRefused):
            self.write()

    def write(self) -> None:
        """Write the last commits down, if that is still to be done. Raises SystemRefused."""
        if not self._is_written:
            with writing(self._path):
                state.write_records(self._path, self._records)
            self._is_written = True
