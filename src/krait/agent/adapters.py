# SPDX-License-Identifier: Apache-2.0
"""What answers for the running kernel, to an agent and to who only looks. Nobody else chooses.

Who makes a device is for `wiring`: nobody who looks needs it.
"""

from dataclasses import dataclass
from functools import partial

from krait.agent.paths import Paths
from krait.agent.ports import Eyes, Filter, Guards, Loads
from krait.kernel import wireguard
from krait.kernel.bpf.folder import require_private
from krait.kernel.filter import InterfaceFilter, supported_kind
from krait.kernel.generations import Generations
from krait.kernel.guards import Guards as KernelGuards
from krait.kernel.hook import Hook
from krait.kernel.link import Link, observe_link, observe_links, observe_own
from krait.kernel.link_watch import watch
from krait.kernel.seat import AttachKind


@dataclass(frozen=True, slots=True)
class Adapters:
    """What there is of one interface. Close the loads."""

    eyes: Eyes
    loads: Loads
    hooks: Filter
    guards: Guards

    def programs(self) -> frozenset[int]:
        """Those of every load that is pinned, by kernel id."""
        return frozenset(each for load in self.loads.found() for each in load.programs.values())


def adapters(interface: str, paths: Paths, kind: AttachKind | None = None) -> Adapters:
    """Those of the running kernel; `kind` is the way to attach, the kernel's best if None.

    Raises SystemRefused if others can write to where the pins are: nothing there is to be trusted.
    """
    pins = paths.pins_of(interface)
    require_private(pins)
    return Adapters(
        eyes=Eyes(
            link=partial(observe_own, interface),
            fingerprint=partial(wireguard.fingerprint, interface, sockets=paths.sockets),
            device=partial(wireguard.observe, interface, sockets=paths.sockets),
            events=watch,
        ),
        loads=Generations(pins),
        hooks=InterfaceFilter(pins, kind or supported_kind()),
        guards=KernelGuards(pins, interface, kind or supported_kind()),
    )


def unjudged(interface: str, paths: Paths) -> tuple[Link, ...]:
    """Every interface of this network namespace but those that Krait judges by another policy."""
    judged = set()
    for each in paths.claimed():
        if each.interface != interface:
            hooks = InterfaceFilter(paths.pins_at(each), AttachKind.CLSACT)
            judged |= {each.interface} if _is_judged(each.interface, hooks) else set()
            hooks.close()
    return tuple(link for link in observe_links() if link.name not in judged)


def _is_judged(interface: str, hooks: Filter) -> bool:
    link = observe_link(interface)
    return link is not None and bool(hooks.observe(link.ifindex, Hook.INGRESS))
