# SPDX-License-Identifier: Apache-2.0
"""What `krait up` left for the agent to do, and how long it is on trial.

Orders say that Krait makes the device, and from which document; without them an agent gives policy
to a device that something else makes. They outlive the agent and the boot. A trial beside them says
what to go back to if nobody confirms: the orders of before, or none. They are read here by whoever
asks; only who has the turn changes them (`turn`).
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from krait.agent.paths import Paths
from krait.common.errors import SystemRefused
from krait.kernel.files import read_at_most
from krait.kernel.lock import holder

VERSION = 1
_GRACE_S = 10.0
_MAX_BYTES = 1 << 16
_END_S = 1 << 40  # no machine is up for so long; NaN and infinity would never be over
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Orders:
    """How to make the device."""

    config: str
    """Absolute path of the document."""
    node: str | None = None
    """Which node this machine is, where it was said."""
    userspace: str | None = None
    """The program that stands in where the kernel has no WireGuard."""
    attach: str | None = None
    """`tcx` or `clsact`; None: the best that the kernel knows."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Orders that nobody confirmed yet."""

    boot_id: str
    until_s: float
    """CLOCK_BOOTTIME, which no change of the clock moves: a trial does not outlive its boot."""
    before: Orders | None
    """What to go back to; None: there was no device of ours."""

    def left_s(self) -> float:
        """Seconds until it is over; not more than 0 if it is."""
        if self.boot_id != boot_id():
            return 0.0
        return self.until_s - time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands on the disk for one interface."""

    orders: Orders | None = None
    trial: Trial | None = None

    @property
    def is_over(self) -> bool:
        """Whether a trial is, that nobody confirmed."""
        return self.trial is not None and self.trial.left_s() <= 0

    @property
    def confirmed(self) -> Orders | None:
        """The orders that are not on trial: what there is to go back to."""
        return self.trial.before if self.trial else self.orders


def read_standing(interface: str, paths: Paths) -> Standing:
    """Raises SystemRefused for what is no file of ours."""
    return Standing(read_orders(paths.orders_of(interface)), read_trial(paths.trial_of(interface)))


def is_overdue(interface: str, paths: Paths) -> bool:
    """Whether a trial is over and whoever should end it does not: killed, perhaps."""
    try:
        trial = read_trial(paths.trial_of(interface))
    except SystemRefused:
        return False  # nothing to go by; who starts an agent is told
    is_late = trial is not None and trial.left_s() < -_GRACE_S
    return is_late and holder(paths.turn_of(interface)) is None


def begin_trial(length_s: float, before: Orders | None) -> Trial:
    """One that begins now."""
    return Trial(boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME) + length_s, before)


def boot_id() -> str:
    """Another one after each boot (random(4))."""
    return _BOOT_ID.read_text().strip()


def read_orders(path: Path) -> Orders | None:
    """None where there are none. Raises SystemRefused for what is no file of ours."""
    found = _read(path)
    return None if found is None else _orders(path, found)


def read_trial(path: Path) -> Trial | None:
    """None where there is none. Raises SystemRefused for what is no file of ours."""
    found = _read(path)
    if found is None:
        return None
    match found:
        case {
            "boot_id": str(boot),
            "until_s": int() | float() as until_s,
            "before": before,
        } if 0 <= until_s < _END_S:
            return Trial(boot, float(until_s), None if before is None else _orders(path, before))
    raise _strange(path)


def _orders(path: Path, found: object) -> Orders:
    match found:
        case {
            "config": str(config),
            "node": str() | None as node,
            "userspace": str() | None as userspace,
            "attach": None | "tcx" | "clsact" as attach,
        } if _are_names(config, userspace or ""):
            return Orders(config, node, userspace, attach)
    raise _strange(path)


def _are_names(*texts: str) -> bool:
    """Whether a file can be called so."""
    try:
        return all(b"\0" not in os.fsencode(each) for each in texts)
    except UnicodeEncodeError:
        return False


def _read(path: Path) -> dict[str, object] | None:
    try:
        found = json.loads(read_at_most(path, _MAX_BYTES))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise SystemRefused(f"cannot read {path}: {error.strerror}", hint="run as root") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _strange(path) from error
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise _strange(path)
    return found


def _strange(path: Path) -> SystemRefused:
    return SystemRefused(
        f"{path} cannot be understood",
        hint=f"It is what `krait up` writes. Remove it, and say `krait up` again: rm {path}",
    )
