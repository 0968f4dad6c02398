# SPDX-License-Identifier: Apache-2.0
"""Taking away a device that Krait made, with all that came with it."""

from dataclasses import dataclass

import structlog

from krait.agent.leave import leave
from krait.agent.managed.orders import Standing, read_standing, write_standing
from krait.agent.paths import Paths
from krait.agent.wiring import maker
from krait.common.errors import UsageError
from krait.kernel import capability
from krait.kernel.files import remove_file, sweep
from krait.kernel.lock import Lock, holder

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Taken:
    """What there was."""

    device: bool
    routes: int  # unreachable ones; those through the device go with it
    policy: bool  # filters, pins or state


def take_down(interface: str, paths: Paths) -> Taken:
    """Delete the device, its routes, and what Krait knows of it; its key and document stay.

    The routes that keep the mesh's packets from leaving in plaintext go last. May be repeated after
    a crash. Raises UsageError where another tool made the device; Held while an agent keeps it.
    """
    capability.require(*capability.NEEDED)
    paths.require()
    with Lock.take(paths.lock_of(interface), f"an agent keeps {interface}"):
        make = maker(interface, paths)
        link = make.link()
        if link is not None and not make.is_ours(link):
            raise _made_by_others(interface)
        remove_file(paths.orders_of(interface))  # or the next agent makes it anew
        make.delete()
    left = leave(interface, paths)
    _, unreachable = make.routes(None)
    make.change_routes(None, tuple(unreachable), ())
    write_standing(interface, paths, Standing())
    sweep(paths.key_of(interface))
    return Taken(link is not None, len(unreachable), left.something_was_removed)


def require_ours(interface: str, paths: Paths) -> None:
    """Raise UsageError for a device, or an agent that waits for one, that `up` did not make."""
    make = maker(interface, paths)
    link = make.link()
    if link is not None:
        if not make.is_ours(link):
            raise _made_by_others(interface)
    elif read_standing(interface, paths).orders is None and holder(paths.lock_of(interface)):
        raise _made_by_others(interface)


def settle(interface: str, paths: Paths) -> None:
    """End a trial that was over before its agent started: after a reboot, say.

    Raises SystemRefused where what it is written in cannot be written.
    """
    capability.require(*capability.NEEDED)
    paths.require()
    trial = read_standing(interface, paths).trial
    if trial is None or trial.left_s() > 0:
        return
    _log.warning(f"nobody confirmed {interface} in time: it goes back to what was before")
    if trial.before is None:
        take_down(interface, paths)
    else:
        write_standing(interface, paths, Standing(trial.before))


def _made_by_others(interface: str) -> UsageError:
    return UsageError(
        f"Krait did not make {interface}",
        hint=f"to take the policy off it, and leave the device: krait detach {interface}",
    )
