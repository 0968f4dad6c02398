# SPDX-License-Identifier: Apache-2.0
"""A WireGuard interface as it was seen, whichever implementation stands behind it.

No private or preshared key has a place here; those who fill these in never copy one. What stands
for a preshared key is its seal: a hash under a key that this process drew and nobody else knows.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network

from krait.common.errors import UsageError
from krait.policy import view

KEY_BYTES = 32
NO_KEY = bytes(KEY_BYTES)

NETWORKS = 1 << 15
"""How many prefixes are kept from one look to the next: what stays is not made, and is the same
object, which compares at once."""

_SEALING_KEY = secrets.token_bytes(KEY_BYTES)


def seal(key: bytes | memoryview) -> bytes:
    """16 bytes that are the same for the same key, within this process, and tell nothing else."""
    return blake2b(key, key=_SEALING_KEY, digest_size=16).digest()


NO_KEY_SEAL = seal(NO_KEY)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another end of the tunnel, known by its key."""

    public_key: bytes
    endpoint: str | None
    """`192.0.2.1:51820` or `[2001:db8::1]:51820`; None until one is set or heard from."""
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    """In the order of the implementation; no two peers of a device share one."""
    latest_handshake_s: int
    """Wall clock, seconds since 1970; 0 if there was none."""
    rx_bytes: int
    tx_bytes: int
    keepalive_s: int
    """0 if off."""
    preshared: bytes = field(default=NO_KEY_SEAL, repr=False, compare=False)
    """The seal of its preshared key."""

    def has_preshared(self, key: bytes) -> bool:
        """Whether its preshared key is this one; `NO_KEY` asks for having none."""
        return secrets.compare_digest(self.preshared, seal(key))


@dataclass(frozen=True, slots=True)
class Device:
    """An interface and its peers."""

    name: str
    ifindex: int
    public_key: bytes
    """`NO_KEY` while the interface has no key."""
    listen_port: int
    userspace: bool
    peers: tuple[Peer, ...]
    fwmark: int = 0
    """The mark of the packets that WireGuard itself sends; 0 if there is none."""

    def as_policy_sees_it(self, addresses: tuple[view.InterfaceAddress, ...]) -> view.Interface:
        """Its keys and allowed IPs, with the addresses that its link has."""
        peers = tuple(view.Peer(peer.public_key, peer.allowed_ips) for peer in self.peers)
        return view.Interface(self.public_key, addresses, peers)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Two of one interface are equal if no key and no allowed IP of it changed in between."""

    digest: bytes
    """16 bytes."""
    device: Callable[[], Device] = field(compare=False, repr=False)
    """What was seen, or is seen by looking again; what WireGuard counts may be left out."""


class NotWireguard(UsageError):
    """The interface is there, and is something else."""

    def __init__(self, name: str, kind: str, hint: str = "") -> None:
        super().__init__(
            f"{name} is not a WireGuard interface (kind {kind or 'hardware'})",
            hint=hint or "Name an interface that `wg show interfaces` lists.",
        )
