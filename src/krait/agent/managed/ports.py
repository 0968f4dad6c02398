# SPDX-License-Identifier: Apache-2.0
"""What keeping a device asks of the system. `krait.agent.wiring` alone chooses who answers."""

from collections.abc import Mapping, Set
from enum import Enum
from typing import Protocol

from krait.common.errors import KraitError
from krait.kernel.link import Link
from krait.kernel.wireguard import Device
from krait.kernel.wireguard.configure import DeviceChange
from krait.policy.device import WantedDevice
from krait.policy.model import Network
from krait.policy.view import InterfaceAddress


class Lead(Enum):
    """What of ours leads packets for the mesh: by other routes they would leave in plaintext."""

    THROUGH = "route"
    """Through the device, in the main table."""
    REFUSAL = "unreachable route"
    """For when the device is away; behind all others of the main table."""
    OWN_THROUGH = "preferred route"
    OWN_REFUSAL = "preferred unreachable route"
    OWN_THROW = "throw route"
    """Out of our table, for what is behind this node inside of the mesh's range."""
    RULE = "rule"
    """That has our table asked first."""

    @property
    def needs_device(self) -> bool:
        """Those go with it."""
        return self is Lead.THROUGH or self is Lead.OWN_THROUGH

    @property
    def is_in_own_table(self) -> bool:
        """Not in the main one."""
        return self in (Lead.OWN_THROUGH, Lead.OWN_REFUSAL, Lead.OWN_THROW)


class Maker(Protocol):
    """Makes and changes one device, by its name; what the kernel refuses raises SystemRefused."""

    def link(self) -> Link | None:
        """None: it is not there."""

    def is_ours(self, link: Link) -> bool:
        """Whether Krait made it."""

    def device(self) -> Device:
        """WireGuard's part, without secrets."""

    def routes(self, ifindex: int | None) -> Mapping[Lead, frozenset[Network]]:
        """What of ours leads to the mesh, by kind; each of them is there."""

    def private_key(self) -> bytes:
        """32 bytes of a file. Raises KraitError if it is not there, or others may read it."""

    def preshared_key(self, path: str) -> bytes:
        """32 bytes of a file. Raises KraitError if it is not there, or others may read it."""

    def has_ipv6(self) -> bool:
        """Whether the device may have IPv6 addresses, or could, if there is none yet."""

    def overlap(self, device: WantedDevice) -> KraitError | None:
        """Who else on this host has addresses or routes inside, or around, the mesh's ranges; or
        which endpoints are sought through the tunnel that leads to them.
        """

    def require_apart(self, device: WantedDevice) -> None:
        """Raise UsageError for an `overlap`, but for one of a range that is on our device already:
        somebody came later, and nothing gets better by giving the range up.
        """

    def require_free(self, device: WantedDevice) -> None:
        """As `require_apart`; where there is no device yet, PortInUse if somebody has its port."""

    def require_no_loop(self, device: WantedDevice) -> None:
        """Raise UsageError if a peer's endpoint would be sought through the tunnel to it, but for
        one by a route that is there already.
        """

    def underlay_mtus(self, endpoints: Set[str]) -> Mapping[str, int]:
        """In bytes, on the way to each of them; without those that no way is known to."""

    def make(self, mtu: int) -> Link:
        """Make the device, down. Raises SystemRefused, also if there is one."""

    def delete(self) -> None:
        """Delete it; no error if it is gone."""

    def configure(self, link: Link, change: DeviceChange) -> None:
        """Change WireGuard's settings; not those of another device that has its name by now."""

    def listen(self, link: Link, port: int) -> None:
        """Take another UDP port. Raises PortInUse where somebody has it; its own stays then."""

    def change_addresses(
        self, ifindex: int, gone: tuple[InterfaceAddress, ...], new: tuple[InterfaceAddress, ...]
    ) -> None:
        """Take addresses away and add some."""

    def change_routes(
        self,
        ifindex: int | None,
        lead: Lead,
        gone: tuple[Network, ...],
        new: tuple[Network, ...],
    ) -> None:
        """Add some of one kind, then take some away; through a device only where there is one."""

    def set_mtu(self, ifindex: int, mtu: int) -> None:
        """In bytes."""

    def set_multicast(self, ifindex: int, *, on: bool) -> None:
        """Whether it says that it can do multicast."""

    def set_up(self, ifindex: int) -> None:
        """From here on it carries traffic."""

    def set_down(self, ifindex: int) -> None:
        """From here on it carries none; routes through it go."""
