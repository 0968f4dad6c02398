# SPDX-License-Identifier: Apache-2.0
"""Makes and changes one device on the running kernel: see `ports.Maker`."""

from collections.abc import Sequence, Set
from pathlib import Path

from krait.agent import key
from krait.agent.managed.ports import Lead
from krait.agent.paths import Paths
from krait.common.errors import KraitError, UsageError
from krait.kernel import device, facts, udp, underlay, wireguard
from krait.kernel.files import writing
from krait.kernel.link import Link, observe_own
from krait.kernel.route import (
    Route,
    Table,
    add_routes,
    observe_routes,
    remove_routes,
    through,
    thrown,
    unreachable,
)
from krait.kernel.rule import add_rules, observe_rules, remove_rules
from krait.kernel.underlay import Conflict
from krait.kernel.wireguard import Device
from krait.kernel.wireguard.configure import DeviceChange, configure
from krait.kernel.wireguard.spawn import claim, spawn
from krait.policy.device import WantedDevice
from krait.policy.endpoint import numeric
from krait.policy.loops import Loop, loops
from krait.policy.model import Network, is_within
from krait.policy.view import InterfaceAddress


class Overlap(UsageError):
    """The mesh's addresses are others' on this machine."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(
            "\n".join(f"{each.range} of the mesh overlaps: {each.occupant}" for each in conflicts),
            hint="choose another range for the mesh, or take that address or route away",
        )


class Looped(UsageError):
    """Peers could not be reached: their packets would be for the tunnel again."""

    def __init__(self, found: Sequence[Loop]) -> None:
        super().__init__(
            "\n".join(map(str, found)),
            hint="name an address outside, or take the route out: its peers would send what is for "
            "the endpoint into the tunnel",
        )


class InBoth(KraitError):
    """What is behind a node is around this machine, too; or a network that says so is."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(
            "\n".join(
                f"{each.range} is behind a node of the mesh, and {each.occupant}"
                for each in conflicts
            ),
            hint="`ip route get ADDRESS` says which of them counts: the narrower, then the one of "
            "the smaller metric. If this machine belongs there, let go of that node's route.",
        )


class KernelMaker:
    """One interface, by its name; `userspace` is the program that stands in for a kernel's
    WireGuard, where the operator named one.
    """

    def __init__(self, interface: str, paths: Paths, userspace: str | None = None) -> None:
        self._interface, self._paths, self._userspace = interface, paths, userspace

    def link(self) -> Link | None:
        link = observe_own(self._interface)
        return link if link is None or self._userspace is None else claim(link)

    def is_ours(self, link: Link) -> bool:
        return device.is_ours(link)

    def device(self) -> Device:
        return wireguard.observe(self._interface, sockets=self._paths.sockets)

    def routes(self, ifindex: int | None) -> dict[Lead, frozenset[Network]]:
        found = observe_routes()
        there: dict[Lead, frozenset[Network]] = {
            lead: frozenset(
                each.destination
                for each in found
                if (ifindex is not None or not lead.needs_device)
                and each == self._route(each.destination, lead, ifindex)
            )
            for lead in Lead
        }
        # A rule does not tell whose it is: ours are those for what is ours in the table.
        return {**there, Lead.RULE: observe_rules() & there[Lead.OWN_REFUSAL]}

    def private_key(self) -> bytes:
        return key.require(self._paths.key_of(self._interface), self._interface).secret

    def preshared_key(self, path: str) -> bytes:
        found = key.read(Path(path))
        if found is None:
            raise UsageError(
                f"there is no preshared key {path}",
                hint=f"make one, and bring it to the other node: (umask 77; wg genpsk >{path})",
            )
        return found.secret

    def has_ipv6(self) -> bool:
        return facts.has_ipv6(self._interface)

    def overlap(self, device: WantedDevice) -> KraitError | None:
        link = self.link()
        if found := self._conflicts(device, link):
            return Overlap(found)
        if looped := self._loops(device, link):
            return Looped(looped)
        subnets = tuple(
            each for each in device.routes if not any(is_within(each, cidr) for cidr in device.mesh)
        )
        both = underlay.conflicts(
            subnets, underlay.occupants(), ifindex=link.ifindex if link else 0
        )
        return InBoth(both) if both else None

    def require_apart(self, device: WantedDevice) -> None:
        self._require_apart(device, self.link())

    def require_free(self, device: WantedDevice) -> None:
        link = self.link()
        self._require_apart(device, link)
        if link is None and device.listen_port:
            udp.require_free(device.listen_port)

    def require_no_loop(self, device: WantedDevice) -> None:
        link = self.link()
        there: frozenset[Network] = frozenset()
        if link is not None and self.is_ours(link):
            there = self.routes(link.ifindex)[Lead.THROUGH]
        if found := [each for each in self._loops(device, link) if each.cidr not in there]:
            raise Looped(found)

    def underlay_mtus(self, endpoints: Set[str]) -> dict[str, int]:
        link = self.link()
        own = link.ifindex if link else None
        asked = tuple(endpoints)
        ways = underlay.ways(numeric(each)[0] for each in asked)
        return {
            each: way.mtu
            for each, way in zip(asked, ways, strict=True)
            if way is not None and way.ifindex != own
        }

    def make(self, mtu: int) -> Link:
        try:
            return device.make(self._interface, mtu=mtu)
        except device.NoKernelWireguard:
            if self._userspace is None:
                raise
            log = self._paths.log_of(self._interface).with_suffix(".userspace.log")
            with writing(log):
                log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return spawn(self._interface, self._userspace, log, sockets=self._paths.sockets)

    def delete(self) -> None:
        link = self.link()
        if link is not None and self.is_ours(link):
            device.delete(link.ifindex)

    def configure(self, link: Link, change: DeviceChange) -> None:
        configure(link, change, sockets=self._paths.sockets)

    def listen(self, link: Link, port: int) -> None:
        # Asked first: a userspace WireGuard lets go of the port that it has, then tries another.
        udp.require_free(port)
        self.configure(link, DeviceChange(listen_port=port))

    def change_addresses(
        self, ifindex: int, gone: tuple[InterfaceAddress, ...], new: tuple[InterfaceAddress, ...]
    ) -> None:
        device.remove_addresses(ifindex, gone)
        device.add_addresses(ifindex, new)

    def change_routes(
        self,
        ifindex: int | None,
        lead: Lead,
        gone: tuple[Network, ...],
        new: tuple[Network, ...],
    ) -> None:
        if lead is Lead.RULE:
            add_rules(new)
            remove_rules(gone)
            return
        add_routes([self._route(each, lead, ifindex) for each in new])
        remove_routes([self._route(each, lead, ifindex) for each in gone])

    def set_mtu(self, ifindex: int, mtu: int) -> None:
        device.set_mtu(ifindex, mtu)

    def set_multicast(self, ifindex: int, *, on: bool) -> None:
        device.set_multicast(ifindex, on=on)

    def set_up(self, ifindex: int) -> None:
        device.set_up(ifindex)

    def set_down(self, ifindex: int) -> None:
        device.set_down(ifindex)

    def _require_apart(self, device: WantedDevice, link: Link | None) -> None:
        found = self._conflicts(device, link)
        if found and link is not None and self.is_ours(link):
            fenced = self.routes(link.ifindex)[Lead.REFUSAL]
            found = tuple(each for each in found if each.range not in fenced)
        if found:
            raise Overlap(found)

    def _conflicts(self, device: WantedDevice, link: Link | None) -> tuple[Conflict, ...]:
        return underlay.conflicts(
            device.mesh,
            underlay.occupants(),
            ifindex=link.ifindex if link else 0,  # that of another tool is refused as such
            behind=device.behind,
        )

    def _loops(self, device: WantedDevice, link: Link | None) -> tuple[Loop, ...]:
        """A table of ours is asked first of what is in the mesh; else the host may have a way."""
        found = tuple(loops(device))
        others = underlay.occupants() if found else ()
        ifindex = link.ifindex if link else 0
        return tuple(
            each
            for each in found
            if any(each.endpoint in cidr for cidr in device.mesh)
            or not underlay.leads_past(each.endpoint, each.cidr, others, ifindex=ifindex)
        )

    def _route(self, destination: Network, lead: Lead, ifindex: int | None) -> Route:
        if lead is Lead.OWN_THROW:
            return thrown(destination, self._interface)
        table = Table.OWN if lead.is_in_own_table else Table.MAIN
        if ifindex is None or not lead.needs_device:
            return unreachable(destination, self._interface, table)
        return through(destination, ifindex, table)
