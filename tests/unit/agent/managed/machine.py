# SPDX-License-Identifier: Apache-2.0
"""Where a keeper works in memory, and the document of its device."""

from base64 import b64encode
from collections.abc import Set
from dataclasses import dataclass, field, replace

from krait.agent.desired import Source
from krait.agent.managed.adopted import Adopted
from krait.agent.managed.diff import (
    Addresses,
    Configure,
    Listen,
    Make,
    Routes,
    SetMtu,
    SetMulticast,
    Up,
    Wish,
)
from krait.agent.managed.ports import Lead
from krait.common.errors import KraitError, SystemRefused, UsageError
from krait.kernel.link import Link
from krait.kernel.udp import PortInUse
from krait.kernel.wireguard import Device
from krait.kernel.wireguard.configure import DeviceChange
from krait.policy.device import WantedDevice, wanted
from krait.policy.document import load
from krait.policy.loops import loops
from krait.policy.model import Network
from krait.policy.view import InterfaceAddress
from tests.unit.agent.managed.bench import IFINDEX, Bench

PRIVATE = b"p" * 32
OWN, PEER = (b64encode(key * 32).decode() for key in (b"o", b"b"))
DOCUMENT = f"""
interface: wg0
mesh: {{cidr: [10.8.0.0/24, "fd00:8::/64"]}}
nodes:
  me: {{public_key: "{OWN}", tags: a, address: [10.8.0.1, "fd00:8::1"]}}
  you: {{public_key: "{PEER}", tags: a, address: [10.8.0.2, "fd00:8::2"]}}
policy: {{rules: [{{from: a, to: a}}]}}
"""
FOREIGN = Link(9, "wg0", "veth", 1500, up=True)


@dataclass
class Machine:
    """Where a keeper works: a `ports.Maker` over a bench."""

    ipv6: bool = True
    secrets: dict[str, bytes] = field(default_factory=dict)
    is_taken: bool = False
    others: set[Network] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    deleted: int = 0
    bench: Bench = field(init=False)

    def want(self, found: Source, known: Adopted | None = None) -> WantedDevice:
        del known
        device = wanted(found.document, "me")
        if not hasattr(self, "bench"):
            self.bench = Bench(Wish(device, PRIVATE, {}, {}))
        return device

    def prepare(self, text: str) -> None:
        """So that there is something to look at before a document is read."""
        document = load(text.encode(), "wg0.yaml")
        self.bench = Bench(Wish(wanted(document, "me"), PRIVATE, {}, {}))

    @property
    def mtu(self) -> int:
        assert self.bench.link
        return self.bench.link.mtu

    def link(self) -> Link | None:
        return self.bench.link

    def is_ours(self, link: Link) -> bool:
        return link.ifindex == IFINDEX

    def device(self) -> Device:
        assert self.bench.device
        return self.bench.device

    def routes(self, ifindex: int | None) -> dict[Lead, frozenset[Network]]:
        found = self.bench.leads()
        return {
            lead: frozenset() if lead.needs_device and ifindex is None else each
            for lead, each in found.items()
        }

    def private_key(self) -> bytes:
        return PRIVATE

    def preshared_key(self, path: str) -> bytes:
        if path not in self.secrets:
            raise UsageError(f"there is no preshared key {path}")
        return self.secrets[path]

    def has_ipv6(self) -> bool:
        return self.ipv6

    def overlap(self, device: WantedDevice) -> KraitError | None:
        taken = self.others.intersection(device.mesh)
        return UsageError(f"{taken} overlaps") if taken else None

    def require_apart(self, device: WantedDevice) -> None:
        is_later = self.bench.link is not None and self.bench.routes[Lead.REFUSAL] & self.others
        if (error := self.overlap(device)) and not is_later:
            raise error

    def require_free(self, device: WantedDevice) -> None:
        self.require_apart(device)

    def require_no_loop(self, device: WantedDevice) -> None:
        if found := tuple(loops(device)):
            raise UsageError(str(found[0]))

    def underlay_mtus(self, endpoints: Set[str]) -> dict[str, int]:
        return dict.fromkeys(endpoints, 1400)

    def make(self, mtu: int) -> Link:
        if self.is_taken:
            raise SystemRefused("there is an interface wg0 already")
        self.bench.do(Make(mtu))
        assert self.bench.link
        return self.bench.link

    def delete(self) -> None:
        self.deleted += 1
        self.lose()

    def lose(self) -> None:
        """The device goes, and what leads through it."""
        self.bench.link = self.bench.device = None
        for lead in Lead:
            if lead.needs_device:
                self.bench.routes[lead].clear()

    def configure(self, link: Link, change: DeviceChange) -> None:
        assert self.is_ours(link)
        self.bench.do(Configure(change))

    def listen(self, link: Link, port: int) -> None:
        assert self.is_ours(link)
        if port in self.used:
            raise PortInUse(port)
        self.bench.do(Listen(port))

    def change_addresses(
        self, ifindex: int, gone: tuple[InterfaceAddress, ...], new: tuple[InterfaceAddress, ...]
    ) -> None:
        assert ifindex == IFINDEX
        self.bench.do(Addresses(gone, new))

    def change_routes(
        self,
        ifindex: int | None,
        lead: Lead,
        gone: tuple[Network, ...],
        new: tuple[Network, ...],
    ) -> None:
        assert lead.needs_device == (ifindex is not None)
        self.bench.do(Routes(lead, gone, new))

    def set_mtu(self, ifindex: int, mtu: int) -> None:
        assert ifindex == IFINDEX
        self.bench.do(SetMtu(mtu))

    def set_multicast(self, ifindex: int, *, on: bool) -> None:
        assert ifindex == IFINDEX
        self.bench.do(SetMulticast(on))

    def set_up(self, ifindex: int) -> None:
        assert ifindex == IFINDEX
        self.bench.do(Up())

    def set_down(self, ifindex: int) -> None:
        assert self.bench.link
        assert ifindex == IFINDEX
        self.bench.link = replace(self.bench.link, up=False)
