# SPDX-License-Identifier: Apache-2.0
"""Keeping the device that a document wants, stage by stage.

The agent asks for one stage after the other and brings the filter up to date in between. A stage
that is reached costs a comparison; all is looked at again when the document, the device or an
answer of the resolver changes, and every `LOOK_S`, for what tells nobody: routes, and sessions that
died.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog

from krait.agent.desired import Source
from krait.agent.lookout import Sight
from krait.agent.managed.adopted import Adopted, Want, adopt
from krait.agent.managed.apply import apply
from krait.agent.managed.calls import Calls
from krait.agent.managed.diff import (
    Listen,
    Make,
    Seen,
    SetMtu,
    Stage,
    Step,
    Wish,
    plan,
)
from krait.agent.managed.endpoints import Endpoints
from krait.agent.managed.mtu import Mtu
from krait.agent.managed.ports import Lead, Maker
from krait.agent.managed.sessions import Sessions
from krait.agent.subject import Subject
from krait.common.errors import KraitError, UsageError
from krait.kernel.link import Link
from krait.kernel.udp import PortInUse
from krait.policy.device import WantedDevice, without_ipv6

LOOK_S = 30.0

_PORT_S = 5.0
"""Between two looks while somebody has the device's port."""

_log = structlog.get_logger()


class NotOurs(UsageError):
    """The name is taken."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"there is an interface {interface} that Krait did not make",
            hint=f"give it policy as it is: krait --iface {interface}; or delete it, or name "
            "another interface in the document",
        )


class NoIpv6(KraitError):
    """The document has IPv6, and the machine has none."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"{interface} has no IPv6, for it is switched off here: the mesh's IPv6 addresses are "
            "unreachable from this machine",
            hint="switch it on: sysctl -w net.ipv6.conf.default.disable_ipv6=0 "
            f"net.ipv6.conf.{interface}.disable_ipv6=0",
        )


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the age of a session is told by: see `Sessions.lost`."""

    boot_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    wall_s: Callable[[], float] = time.time


class Keeper:
    """One device. Calls come from one thread at a time."""

    def __init__(
        self,
        maker: Maker,
        want: Want,
        endpoints: Endpoints,
        sessions: Sessions,
        clocks: Clocks | None = None,
    ) -> None:
        self._maker = maker
        self._want = want
        self._endpoints = endpoints
        self._sessions = sessions
        self._clocks = clocks or Clocks()
        self._calls = Calls()
        self._mtu = Mtu()
        self._adopted: Adopted | None = None
        self._scene: tuple[Wish, Seen] | None = None
        self._settled: object = None
        self._again_s = float("-inf")
        self._has_made = False
        self._faults: dict[Subject, KraitError | None] = {}

    def adopt(self, source: Source) -> None:
        """From here on the device that this document wants is wanted.

        Raises KraitError, and nothing changes, if it lacks something, a key that it names is not
        there, its addresses are somebody else's here, an edit leads to an endpoint through the
        tunnel, or it would not fit an interface made from it: it is taken whole or not at all.
        """
        device = self._want(source, self._adopted)
        preshared_keys(device, self._maker)
        self._maker.require_apart(device)
        if self._adopted is not None:  # at boot the way past the tunnel may not be there yet
            self._maker.require_no_loop(device)
        self._adopted, self._settled = adopt(source, device, self._adopted), None
        endpoints = (each.endpoint for each in device.peers if each.endpoint)
        self._endpoints.keep(endpoints, device.mesh)

    @property
    def node(self) -> str:
        """Which one of the document this machine is; empty until there is one."""
        return self._adopted.device.node if self._adopted else ""

    @property
    def faults(self) -> Mapping[Subject, KraitError | None]:
        """What is wrong, by subject, though the device is as far as it can be."""
        return {**self._faults, Subject.ENDPOINTS: self._endpoints.fault}

    def reach(self, stage: Stage, sight: Sight, now_s: float) -> bool:
        """Do what a stage lacks; whether anything was done. `now_s` is monotonic.

        Raises NotOurs, or what refused; what was done by then is right by itself.
        """
        if self._adopted is None:
            return False
        wanted = self._adopted.device
        if stage is Stage.SHRINK and self._endpoints.collect(now_s):
            self._settled = None
        state = sight.link, sight.interface
        if state == self._settled and now_s < self._again_s:
            return False
        if stage is Stage.SHRINK or self._scene is None:  # else nothing was done since it was seen
            self._scene = self._look(wanted, sight, now_s)
        wish, seen = self._scene
        steps = plan(stage, wish, seen)
        if steps or stage is Stage.RAISE:
            self._scene = None  # it holds keys
        if any(isinstance(each, Make) for each in steps):
            self._maker.require_free(wanted)
        if stage is Stage.RAISE:
            self._faults[Subject.PORT] = None
        done = self._do(steps, sight.link)
        if stage is Stage.GROW:
            self._calls.made(wish.device.peers, wish.endpoints)
        if stage is Stage.RAISE:
            self._faults[Subject.RANGE] = self._maker.overlap(wanted)
        if stage is Stage.RAISE and not done:
            self._settled = state
            self._again_s = now_s + (_PORT_S if self._faults[Subject.PORT] else LOOK_S)
        return done

    def next_s(self, now_s: float) -> float:
        """When to come again though nothing happens: in so many seconds."""
        again = self._endpoints.next_s(now_s)
        return LOOK_S if again is None else again

    def fence(self, source: Source) -> None:
        """Nothing for a document's mesh leaves in plaintext, whatever becomes of the device.

        Only where the document tells all of the device is it known what is behind this node.
        """
        ranges = frozenset(source.document.mesh.cidrs if source.document.mesh else ())
        wanted = dict.fromkeys((Lead.REFUSAL, Lead.OWN_REFUSAL), ranges)
        with suppress(KraitError):
            device = self._want(source)
            wanted = dict.fromkeys(wanted, ranges.union(device.inner))
            wanted[Lead.OWN_THROW] = frozenset(device.thrown)
        link, there = self._maker.link(), self._maker.routes(None)
        if link is None or not link.up:  # else only `reach` adds the rule, after its routes
            wanted[Lead.RULE] = ranges
        for each, routes in wanted.items():
            if missing := routes - there[each]:
                self._maker.change_routes(None, each, (), tuple(missing))

    def lower(self) -> None:
        """Without a filter it carries nothing."""
        link = self._maker.link()
        if link is not None and link.up and self._maker.is_ours(link):
            self._maker.set_down(link.ifindex)
            _log.error("down: it has no filter", ifindex=link.ifindex)

    def withdraw(self) -> None:
        """After a start that failed: take away what it made."""
        if self._has_made:
            self._maker.delete()

    def _look(self, wanted: WantedDevice, sight: Sight, now_s: float) -> tuple[Wish, Seen]:
        link = sight.link
        if link is not None and not self._maker.is_ours(link):
            raise NotOurs(link.name)
        device = self._maker.device() if link is not None else None
        lost = self._sessions.lost(
            device.peers if device else (),
            now_s=self._clocks.boot_s(),
            wall_s=self._clocks.wall_s(),
        )
        routes = self._maker.routes(link.ifindex if link else None)
        wanted = self._possible(wanted)
        endpoints = self._endpoints.choose_all(wanted.peers, device, lost, now_s)
        wish = Wish(
            device=wanted,
            private_key=self._maker.private_key(),
            preshared_keys=preshared_keys(wanted, self._maker),
            endpoints=endpoints,
            called=self._calls.due(wanted.peers),
            mtu=self._mtu.choose(wanted.mtu, link, endpoints.values(), self._maker.underlay_mtus),
        )
        return wish, Seen(link, device, routes, lost)

    def _possible(self, wanted: WantedDevice) -> WantedDevice:
        """What this machine can have of it."""
        without = without_ipv6(wanted)
        has_all = without == wanted or self._maker.has_ipv6()
        self._faults[Subject.IPV6] = None if has_all else NoIpv6(wanted.interface)
        return wanted if has_all else without

    def _do(self, steps: tuple[Step, ...], link: Link | None) -> bool:
        """Whether anything was done. A port that somebody has holds up nothing else."""
        done = False
        for step in steps:
            began_s = time.perf_counter()
            try:
                link = apply(step, link, self._maker)
            except PortInUse as error:
                if not isinstance(step, Listen):
                    raise
                self._faults[Subject.PORT] = error
                continue
            done = True
            _log.info(str(step), took_ms=round((time.perf_counter() - began_s) * 1e3, 1))
            self._has_made |= isinstance(step, Make)
            if isinstance(step, Make | SetMtu):
                self._mtu.given(step.mtu)
        return done


def preshared_keys(device: WantedDevice, maker: Maker) -> dict[bytes, bytes]:
    """Those that the device names, 32 bytes each, by public key. Raises as the maker does."""
    return {
        each.public_key: maker.preshared_key(each.preshared_key_file)
        for each in device.peers
        if each.preshared_key_file is not None
    }
