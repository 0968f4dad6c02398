# SPDX-License-Identifier: Apache-2.0
"""Taking Krait off an interface: filters first, then all that kept them."""

from dataclasses import dataclass

from krait.agent.adapters import Adapters, adapters
from krait.agent.paths import Paths
from krait.agent.wiring import holding
from krait.kernel import capability
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind


@dataclass(frozen=True, slots=True)
class Left:
    """What was done."""

    interface_is_there: bool
    was_enforcing: bool  # a program of Krait's was on it
    something_was_removed: bool
    had_gone: bool  # a program of Krait's was on a device that lost the name to a rename or a move
    others_keep_qdisc: bool  # the clsact qdisc stays, for it has filters of others
    was_guarding: bool = False  # other interfaces
    strange_pins: tuple[str, ...] = ()  # paths in the pin folder that Krait did not make; they stay


def leave(interface: str, paths: Paths | None = None) -> Left:
    """Take filters, links, pins, state and run files of an interface off, there or not.

    Raises Held, with its pid, while an agent keeps the interface: it would put them on again; and
    Taken, if they are of another network namespace and in force there.
    """
    paths = paths or Paths.here()
    capability.require(*capability.NEEDED)
    paths.require()
    real = adapters(interface, paths, AttachKind.CLSACT)
    with holding(real, interface, paths, f"an agent keeps {interface}"):
        return take_off(real, interface, paths)


def take_off(real: Adapters, interface: str, paths: Paths) -> Left:
    """The same, for who holds the interface; the file of that lock goes too."""
    pins, hooks, link = paths.pins_of(interface), real.hooks, real.eyes.link()
    ifindex = link.ifindex if link else None
    was_enforcing = ifindex is not None and any(hooks.observe(ifindex, each) for each in Hook)
    had_pins = pins.exists()
    was_guarding = real.guards.clear()
    programs = real.programs()
    had_gone = bool(hooks.elsewhere(ifindex, programs))
    hooks.free(ifindex, programs)
    for hook in Hook:
        for kind in AttachKind:
            hooks.detach(ifindex, hook, kind)
    others = ifindex is not None and not hooks.remove_qdisc(ifindex)
    real.loads.clear()
    files = [each(interface) for each in (paths.state_of, paths.kept_of, paths.live_of)]
    had_files = any(each.exists() for each in files)
    for each in (*files, paths.ready_of(interface), paths.lock_of(interface)):
        each.unlink(missing_ok=True)
    return Left(
        interface_is_there=link is not None,
        was_enforcing=was_enforcing,
        something_was_removed=was_enforcing or had_pins or had_files or was_guarding,
        had_gone=had_gone,
        others_keep_qdisc=others,
        was_guarding=was_guarding,
        strange_pins=tuple(sorted(map(str, pins.iterdir()))) if pins.exists() else (),
    )
