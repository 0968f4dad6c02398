# SPDX-License-Identifier: Apache-2.0
"""Where the guard is and what it dropped, asked of the kernel: for `krait status` and `doctor`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from krait.agent.adapters import Adapters, unjudged
from krait.agent.paths import Paths
from krait.agent.state import Live
from krait.agent.subject import Subject
from krait.common.guard import GuardReason
from krait.kernel.generation import Count
from krait.kernel.link import Link
from krait.kernel.surroundings import LOOPBACK

_LOCAL = "vrf"  # what a host says to itself inside a VRF goes by that device, as else by lo


@dataclass(frozen=True, slots=True)
class Guarded:
    """The guard of the other interfaces, as it is."""

    on: Mapping[str, tuple[str, ...]]
    """The interfaces that it is on, by name, and who sees packets there before it."""
    missing: tuple[str, ...]
    """Those that it should be on."""
    drops: Mapping[GuardReason, Count]


def look(name: str, real: Adapters, paths: Paths) -> Guarded | None:
    """The guard of an interface on the others; None if there is none."""
    program = real.guards.program_id()
    if program is None:
        return None
    devices = guarded_devices(unjudged(name, paths), name)
    seats = real.guards.observe(devices, filters=True).seats
    on, missing = {}, []
    for ifindex, device in devices.items():
        ours = [each for each in seats.get(ifindex, ()) if each.program_id == program]
        if ours:
            on[device] = ours[0].ahead
        else:
            missing.append(device)
    return Guarded(on, tuple(missing), real.guards.drops())


def absent(name: str, paths: Paths) -> Guarded:
    """A guard that is to be on all that `look` would name, and is on none of it."""
    return Guarded({}, tuple(guarded_devices(unjudged(name, paths), name).values()), {})


def shortfall(guard: Guarded | None, alive: Live | None, *, is_wanted: bool) -> str:
    """What is wrong with the guard; where there is none, by the word of the living agent.

    `is_wanted`: by what was written down of the commit in force.
    """
    if guard is not None and guard.missing:
        return f"no guard on {', '.join(guard.missing)}"
    fault = alive.fault_of(Subject.GUARD) if alive else None
    if fault is not None:
        return fault.message.removeprefix("degraded: ")
    return "the document wants a guard, and there is none" if is_wanted and guard is None else ""


def guarded_devices(links: Iterable[Link], interface: str) -> dict[int, str]:
    """Those by which what belongs into the tunnel `interface` could come in, by ifindex."""
    return {
        link.ifindex: link.name
        for link in links
        if link.ifindex != LOOPBACK and link.name != interface and link.kind != _LOCAL
    }
