# SPDX-License-Identifier: Apache-2.0
"""The right to change what stands for an interface: one process at a time.

| what stands | `order` | `order` for a trial | `confirm` | `return_to_before` |
|---|---|---|---|---|
| nothing | orders | trial, from nothing | | |
| orders | the new ones | trial, from the old ones | | |
| trial | the new ones | trial, from where that came | its orders | trial of those before |

Then `end_trial` ends the last, or `clear` all. A trial is written before its orders and removed
after those that follow, so that a crash leaves no orders without a way back that nobody confirmed.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Self

from krait.agent.managed.orders import (
    VERSION,
    Orders,
    Standing,
    Trial,
    begin_trial,
    read_standing,
)
from krait.agent.paths import Paths
from krait.common.errors import UsageError
from krait.kernel.files import remove_file, replace_file, sweep, writing
from krait.kernel.lock import Lock


class TooLate(UsageError):
    """The trial is over."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"too late: {interface} goes back to what was before",
            hint="try it again, for longer: krait up … --confirm 10m",
        )


class Turn:
    """Held until close(), or until the process ends in whatever way.

    What is written is on the disk on return. Raises SystemRefused where it cannot be.
    """

    def __init__(self, interface: str, paths: Paths, lock: Lock) -> None:
        """Use `take`."""
        self.interface, self.paths = interface, paths
        self._lock = lock

    @classmethod
    def take(cls, interface: str, paths: Paths) -> Self:
        """Raises Held while another process has it."""
        lock = Lock.take(
            paths.turn_of(interface),
            f"another command works on {interface}",
            hint="wait until it has ended, and try again",
        )
        return cls(interface, paths, lock)

    @property
    def standing(self) -> Standing:
        """What stands now."""
        return read_standing(self.interface, self.paths)

    def order(self, orders: Orders, trial_s: float | None = None) -> None:
        """These are to be done; for so many seconds on trial, or as if they were confirmed."""
        before = self.standing.confirmed
        self._write(Standing(orders, None if trial_s is None else begin_trial(trial_s, before)))

    def restore(self, before: Standing) -> None:
        """What stood before, where what was ordered failed."""
        self._write(before)

    def confirm(self) -> Trial | None:
        """What is on trial stays; what the trial was, None if there was none. Raises TooLate."""
        standing = self.standing
        if standing.is_over:
            raise TooLate(self.interface)
        self.end_trial()
        return standing.trial

    def return_to_before(self, before: Orders) -> None:
        """Order what was before the trial, which ends once that is in force."""
        self._write(Standing(before, self.standing.trial))

    def end_trial(self) -> None:
        """What is ordered is not on trial any more; no error if it was not."""
        _remove(self.paths.trial_of(self.interface))

    def withdraw_orders(self) -> None:
        """An agent that starts now makes nothing; a trial goes on until `clear`."""
        _remove(self.paths.orders_of(self.interface))

    def clear(self) -> None:
        """Nothing stands."""
        self._write(Standing())

    def close(self) -> None:
        """Let the next one have it; nothing of it is left where nothing stands. May be repeated."""
        if not self._lock.is_held:
            return
        if not any(path.exists() for path in self._files):
            self.paths.turn_of(self.interface).unlink(missing_ok=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _files(self) -> tuple[Path, Path]:
        return self.paths.orders_of(self.interface), self.paths.trial_of(self.interface)

    def _write(self, standing: Standing) -> None:
        for path in self._files:
            sweep(path)
        orders, trial = self._files
        if standing.trial is not None:
            _write(trial, asdict(standing.trial))
        if standing.orders is None:
            _remove(orders)
        else:
            _write(orders, asdict(standing.orders))
        if standing.trial is None:
            _remove(trial)


def _write(path: Path, content: dict[str, object]) -> None:
    """Replace the file as a whole, and return once it is on the disk."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = json.dumps({"version": VERSION, **content}).encode()
        replace_file(path, data, mode=0o600, durable=True)


def _remove(path: Path) -> None:
    """Return once that is on the disk: a trial that came back would take away what is confirmed."""
    with writing(path):
        remove_file(path)
