# SPDX-License-Identifier: Apache-2.0
"""Taking away a device that Krait made, with all that came with it."""

from dataclasses import dataclass

from krait.agent.adapters import Adapters, adapters
from krait.agent.leave import take_off
from krait.agent.managed.ports import Lead
from krait.agent.managed.turn import Turn
from krait.agent.wiring import holding, maker
from krait.common.errors import UsageError
from krait.kernel import capability
from krait.kernel.files import sweep
from krait.kernel.link import Link
from krait.kernel.lock import holder
from krait.kernel.seat import AttachKind


@dataclass(frozen=True, slots=True)
class Removed:
    """What there was."""

    device: bool
    routes: int  # unreachable ones; those through the device go with it
    policy: bool  # filters, pins or state


def take_down(turn: Turn) -> Removed:
    """Delete the device, its routes, and what Krait knows of it; its key and document stay.

    The routes that keep the mesh's packets from leaving in plaintext go last, but for a trial: who
    ends that finds the same again after a crash. May be repeated. Raises UsageError where another
    tool made the device, or it was renamed or moved away; Held while an agent keeps it.
    """
    interface, paths = turn.interface, turn.paths
    capability.require(*capability.NEEDED)
    paths.require()
    real, make = adapters(interface, paths, AttachKind.CLSACT), maker(interface, paths)
    with holding(real, interface, paths, f"an agent keeps {interface}"):
        link = make.link()
        if link is not None and not make.is_ours(link):
            raise _made_by_others(interface)
        _require_here(real, interface, link)
        turn.withdraw_orders()  # or the next agent makes it anew
        make.delete()
        left = take_off(real, interface, paths)
        routes = make.routes(None)
        for each in (Lead.RULE, Lead.OWN_THROW, Lead.OWN_REFUSAL, Lead.REFUSAL):
            make.change_routes(None, each, tuple(routes[each]), ())
    turn.clear()
    sweep(paths.key_of(interface))
    return Removed(link is not None, len(routes[Lead.REFUSAL]), left.something_was_removed)


def require_made_here(turn: Turn) -> None:
    """Raise UsageError for a device, or an agent that waits for one, that `up` did not make, and
    for one that is not where it was made.
    """
    interface, paths = turn.interface, turn.paths
    make = maker(interface, paths)
    link = make.link()
    _require_here(adapters(interface, paths, AttachKind.CLSACT), interface, link)
    if link is not None:
        if not make.is_ours(link):
            raise _made_by_others(interface)
    elif turn.standing.orders is None and holder(paths.lock_of(interface)) is not None:
        raise _made_by_others(interface)


def _require_here(real: Adapters, interface: str, link: Link | None) -> None:
    if real.hooks.elsewhere(link.ifindex if link else None, real.programs()):
        raise UsageError(
            f"the device that was {interface} was renamed or moved away with its filter, and would "
            "be bare without",
            hint=f"give it the name {interface} back, or delete it; then: krait down {interface}",
        )


def _made_by_others(interface: str) -> UsageError:
    return UsageError(
        f"Krait did not make {interface}",
        hint=f"to take the policy off it, and leave the device: krait detach {interface}",
    )
