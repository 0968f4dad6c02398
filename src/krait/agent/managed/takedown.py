# SPDX-License-Identifier: Apache-2.0
"""Taking away a device that Krait made, with all that came with it."""

from dataclasses import dataclass

from krait.agent.leave import leave
from krait.agent.managed.orders import Standing, read_standing, write_standing
from krait.agent.paths import Paths
from krait.agent.wiring import Adapters, adapters, holding, maker
from krait.common.errors import UsageError
from krait.kernel import capability
from krait.kernel.files import remove_file, sweep
from krait.kernel.link import Link
from krait.kernel.lock import holder
from krait.kernel.seat import AttachKind


@dataclass(frozen=True, slots=True)
class Taken:
    """What there was."""

    device: bool
    routes: int  # unreachable ones; those through the device go with it
    policy: bool  # filters, pins or state


def take_down(interface: str, paths: Paths) -> Taken:
    """Delete the device, its routes, and what Krait knows of it; its key and document stay.

    The routes that keep the mesh's packets from leaving in plaintext go last. May be repeated after
    a crash. Raises UsageError where another tool made the device, or it was renamed or moved away;
    Held while an agent keeps it.
    """
    capability.require(*capability.NEEDED)
    paths.require()
    real, make = adapters(interface, paths, AttachKind.CLSACT), maker(interface, paths)
    with holding(real, interface, paths, f"an agent keeps {interface}"):
        link = make.link()
        if link is not None and not make.is_ours(link):
            raise _made_by_others(interface)
        _require_here(real, interface, link)
        remove_file(paths.orders_of(interface))  # or the next agent makes it anew
        make.delete()
    left = leave(interface, paths)
    _, unreachable = make.routes(None)
    make.change_routes(None, tuple(unreachable), ())
    write_standing(interface, paths, Standing())
    sweep(paths.key_of(interface))
    return Taken(link is not None, len(unreachable), left.something_was_removed)


def require_ours(interface: str, paths: Paths) -> None:
    """Raise UsageError for a device, or an agent that waits for one, that `up` did not make, and
    for one that is not where it was made.
    """
    make = maker(interface, paths)
    link = make.link()
    _require_here(adapters(interface, paths, AttachKind.CLSACT), interface, link)
    if link is not None:
        if not make.is_ours(link):
            raise _made_by_others(interface)
    elif read_standing(interface, paths).orders is None and holder(paths.lock_of(interface)):
        raise _made_by_others(interface)


def _require_here(real: Adapters, interface: str, link: Link | None) -> None:
    programs = {number for each in real.loads.found() for number in each.programs.values()}
    if real.hooks.elsewhere(link.ifindex if link else None, programs):
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
