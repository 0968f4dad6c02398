# SPDX-License-Identifier: Apache-2.0
"""Keeping the guard on every interface that there is, as the document in force says.

It comes after the policy and holds nothing up: what goes wrong on one interface is told, and tried
again in the next round; the others have it meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import assert_never

import structlog

from krait.agent.guard import Discard, Load, Observed, Post, Relieve, SetMarks, Step, plan
from krait.agent.guarded import guarded_devices
from krait.agent.ports import Guards
from krait.common.errors import KraitError
from krait.kernel.link import Link
from krait.kernel.seat import AttachKind
from krait.policy.guard import Guard
from krait.policy.model import is_within

_PLANS = 3  # the first may only load
_AT_ONCE = 16
"""Changes in a round: a TCX link takes 20 ms, and a change of the policy must not wait for many."""

_log = structlog.get_logger()


class Unguarded(KraitError):
    """Some interfaces lack the guard, each for a reason of its own."""

    def __init__(self, refused: Mapping[str, KraitError]) -> None:
        """`refused` has the reasons, by the interface's name."""
        names: dict[str, list[str]] = {}
        for name, why in refused.items():
            names.setdefault(why.message, []).append(name)
        told = (f"no guard on {', '.join(those)}: {why}" for why, those in names.items())
        hints = dict.fromkeys(each.hint for each in refused.values() if each.hint)
        super().__init__(
            f"degraded: {'; '.join(told)}", hint=" ".join(hints) or "It is tried again."
        )


class CutOff(KraitError):
    """The guard drops what comes from a network of this host."""

    def __init__(self, found: Iterable[str]) -> None:
        super().__init__(
            f"inside of the mesh's range, and cut off by the guard: {', '.join(found)}",
            hint="Give it other addresses, or name its subnet under this node's `routes`; or say "
            "`guard: false` there.",
        )


class Guarding:
    """The guard of one WireGuard interface. Calls come from one thread at a time."""

    def __init__(
        self, interface: str, guards: Guards, links: Callable[[], tuple[Link, ...]]
    ) -> None:
        """`links` are all of this network namespace but those that Krait judges otherwise."""
        self.is_on = False
        """Whether interfaces that come have to get it."""
        self.is_unfinished = False
        """Whether the next round has more to do, and should come at once."""
        self._interface = interface
        self._guards, self._links = guards, links
        self._marked: Guard | None = None
        self._looks_for_filters = True  # an earlier agent may have attached the other way

    def keep(self, wanted: Guard | None) -> KraitError | None:
        """Bring the guard to what is wanted; what it costs the host's own networks, if anything.

        Raises Unguarded, with all done that could be.
        """
        is_done = not (self.is_on or self.is_unfinished or self._looks_for_filters)
        self.is_unfinished = False  # whatever may be raised: a round is not to come at once for it
        if wanted is None and is_done:
            return None
        self.is_on = wanted is not None
        links = self._links() if wanted is not None else ()
        devices = guarded_devices(links, self._interface)
        refused: dict[str, KraitError] = {}
        left = _AT_ONCE
        for _ in range(_PLANS):
            steps = plan(wanted, self._observe(devices), self._guards.kind)
            for step in steps:
                if left:
                    left -= self._apply(step, refused)
            if refused or not (steps and left):
                break
        self.is_unfinished = not left
        if refused:
            raise Unguarded(refused)
        if self.is_unfinished:
            return None
        self._looks_for_filters = self._guards.kind is AttachKind.CLSACT and self.is_on
        found = [] if wanted is None else list(cut_off(wanted, links, devices))
        return CutOff(found) if found else None

    def _observe(self, devices: Mapping[int, str]) -> Observed:
        guards = self._guards
        return Observed(
            program_id=guards.program_id(),
            outdated=guards.outdated(),
            marked=self._marked,
            posts=guards.observe(devices, filters=self._looks_for_filters),
            devices=devices,
        )

    def _apply(self, step: Step, refused: dict[str, KraitError]) -> bool:
        """Whether it is done; what an interface that is there refuses goes to `refused`."""
        match step:
            case Load(guard):
                self._guards.load(guard.marks)
                self._marked = guard
            case SetMarks(guard):
                self._guards.mark(guard.marks)
                self._marked = guard
            case Post(ifindex, name):
                try:
                    self._guards.attach(ifindex)
                except KraitError as error:
                    if any(each.ifindex == ifindex for each in self._links()):
                        refused[name] = error
                    return False
            case Relieve(ifindex, kind):
                self._guards.detach(ifindex, kind)
            case Discard(outdated):
                self._guards.drop(outdated=outdated)
            case _:
                assert_never(step)
        _log.info(str(step))
        return True


def cut_off(guard: Guard, links: Iterable[Link], devices: Mapping[int, str]) -> Iterator[str]:
    """The addresses of guarded interfaces whose network is the mesh's as well, for people."""
    for link in links:
        for each in link.addresses if link.ifindex in devices else ():
            overlaps = any(
                each.version == cidr.version and each.network.overlaps(cidr) for cidr in guard.mesh
            )
            if overlaps and not any(is_within(each.network, subnet) for subnet in guard.behind):
                yield f"{link.name} has {each}"
