# SPDX-License-Identifier: Apache-2.0
"""The kernel's own WireGuard, asked over generic netlink.

A dump is many messages. The first alone has the device's own facts; a peer whose allowed IPs do
not fit goes on in the next message with nothing but its key and more of them.

Sources: include/uapi/linux/wireguard.h; drivers/net/wireguard/netlink.c, get_peer().
"""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network

from krait.kernel.netlink import (
    DUMP,
    GENERIC_HEADER,
    U16,
    U32,
    U64,
    Netlink,
    attribute,
    attributes,
    string,
    whole,
)
from krait.kernel.wireguard.device import (
    KEY_BYTES,
    NETWORKS,
    NO_KEY,
    NO_KEY_SEAL,
    Device,
    Peer,
    seal,
)

FAMILY = "wireguard"
VERSION = 1
_GET_DEVICE = 0

_IFINDEX, _IFNAME, _PUBLIC_KEY, _LISTEN_PORT, _FWMARK, _PEERS = 1, 2, 4, 6, 7, 8  # WGDEVICE_A_*

_PEER_KEY, _PEER_PRESHARED, _PEER_ENDPOINT, _PEER_KEEPALIVE = 1, 2, 4, 5  # WGPEER_A_*
_PEER_HANDSHAKE, _PEER_RX, _PEER_TX, _PEER_ALLOWED = 6, 7, 8, 9

_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3  # WGALLOWEDIP_A_*


def dump(netlink: Netlink, family: int, ifindex: int) -> Iterator[memoryview]:
    """The bodies of the kernel's messages about a device, each valid until the next.

    Raises OSError (ENODEV: no such device; EOPNOTSUPP: it is not WireGuard) and DumpInterrupted.
    """
    question = GENERIC_HEADER.pack(_GET_DEVICE, VERSION, 0)
    question += attribute(_IFINDEX, U32.pack(ifindex))
    return (message.body for message in netlink.ask(family, question, DUMP))


@whole("a WireGuard dump")
def decode(bodies: Iterable[memoryview]) -> Device:
    """The device in a dump. Raises ValueError if a message lacks a part, or all lack the device.

    Attributes not named here, the private key among them, are stepped over, not copied; a preshared
    key is read for its seal.
    """
    name, ifindex, public_key, listen_port, fwmark = "", 0, NO_KEY, 0, 0
    drafts: dict[bytes, _Draft] = {}
    for body in bodies:
        for kind, payload in attributes(body, GENERIC_HEADER.size):
            if kind == _PEERS:
                for _, peer in attributes(payload):
                    _take(peer, drafts)
            elif kind == _IFINDEX:
                (ifindex,) = U32.unpack(payload)
            elif kind == _IFNAME:
                name = string(payload)
            elif kind == _PUBLIC_KEY:
                public_key = _key(payload)
            elif kind == _LISTEN_PORT:
                (listen_port,) = U16.unpack(payload)
            elif kind == _FWMARK:
                (fwmark,) = U32.unpack(payload)
    if not ifindex:
        raise ValueError("a WireGuard dump without a device in it")
    peers = tuple(draft.peer(key) for key, draft in drafts.items())
    return Device(
        name, ifindex, public_key, listen_port, userspace=False, peers=peers, fwmark=fwmark
    )


@dataclass(frozen=True, slots=True)
class Essence:
    """The keys and allowed IPs of a device, and nothing else of it."""

    name: str
    ifindex: int
    public_key: bytes
    peers: dict[bytes, bytes]
    """By public key: the attributes of its allowed IPs, as they lie in the messages."""

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for all that the policy goes by, wherever the dump was split."""
        state = blake2b(self.public_key, digest_size=16)
        for key, allowed in self.peers.items():
            state.update(key + U32.pack(len(allowed)) + allowed)
        return state.digest()

    @whole("a WireGuard dump")
    def device(self) -> Device:
        """Without endpoints and what is counted. Raises as `decode` does."""
        peers = tuple(
            Peer(key, None, tuple(_networks(memoryview(allowed))), 0, 0, 0, 0)
            for key, allowed in self.peers.items()
        )
        return Device(self.name, self.ifindex, self.public_key, 0, userspace=False, peers=peers)


@whole("a WireGuard dump")
def essence(bodies: Iterable[memoryview]) -> Essence:
    """What identifies the peers in a dump. Raises as `decode` does."""
    name, ifindex, public_key = "", 0, NO_KEY
    peers: dict[bytes, bytes] = {}
    for body in bodies:
        for kind, payload in attributes(body, GENERIC_HEADER.size):
            if kind == _PEERS:
                for _, peer in attributes(payload):
                    key = b""
                    for inner, value in attributes(peer):  # the key comes first
                        if inner == _PEER_KEY:
                            key = _key(value)
                            peers.setdefault(key, b"")
                        elif inner == _PEER_ALLOWED:
                            peers[key] += value
            elif kind == _PUBLIC_KEY:
                public_key = _key(payload)
            elif kind == _IFINDEX:
                (ifindex,) = U32.unpack(payload)
            elif kind == _IFNAME:
                name = string(payload)
    if not ifindex:
        raise ValueError("a WireGuard dump without a device in it")
    return Essence(name, ifindex, public_key, peers)


@dataclass(slots=True)
class _Draft:
    """A peer as far as the messages so far tell of it."""

    endpoint: str | None = None
    allowed_ips: list[IPv4Network | IPv6Network] = field(default_factory=list)
    latest_handshake_s: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    keepalive_s: int = 0
    preshared: bytes = NO_KEY_SEAL

    def peer(self, public_key: bytes) -> Peer:
        return Peer(
            public_key,
            self.endpoint,
            tuple(self.allowed_ips),
            latest_handshake_s=self.latest_handshake_s,
            rx_bytes=self.rx_bytes,
            tx_bytes=self.tx_bytes,
            keepalive_s=self.keepalive_s,
            preshared=self.preshared,
        )


def _take(peer: memoryview, drafts: dict[bytes, _Draft]) -> None:
    fields = dict(attributes(peer))
    key = _key(fields[_PEER_KEY])
    draft = drafts.get(key)
    if draft is None:
        draft = drafts[key] = _Draft()
    for kind, payload in fields.items():
        if kind == _PEER_ALLOWED:
            draft.allowed_ips.extend(_networks(payload))
        elif kind == _PEER_ENDPOINT:
            draft.endpoint = _endpoint(payload)
        elif kind == _PEER_HANDSHAKE:
            (draft.latest_handshake_s,) = U64.unpack_from(payload)  # nanoseconds follow
        elif kind == _PEER_RX:
            (draft.rx_bytes,) = U64.unpack(payload)
        elif kind == _PEER_TX:
            (draft.tx_bytes,) = U64.unpack(payload)
        elif kind == _PEER_KEEPALIVE:
            (draft.keepalive_s,) = U16.unpack(payload)
        elif kind == _PEER_PRESHARED:
            draft.preshared = seal(payload)


def _key(payload: memoryview) -> bytes:
    if len(payload) != KEY_BYTES:
        raise ValueError(f"a key of {len(payload)} bytes")
    return bytes(payload)


def _networks(allowed_ips: memoryview) -> Iterator[IPv4Network | IPv6Network]:
    return (_network(bytes(allowed)) for _, allowed in attributes(allowed_ips))


@lru_cache(NETWORKS)
def _network(allowed: bytes) -> IPv4Network | IPv6Network:
    fields = dict(attributes(memoryview(allowed)))
    (family,) = U16.unpack(fields[_ALLOWED_FAMILY])
    network = IPv4Network if family == socket.AF_INET else IPv6Network
    return network((bytes(fields[_ALLOWED_ADDRESS]), fields[_ALLOWED_LENGTH][0]))


def _endpoint(sockaddr: memoryview) -> str:
    """From a sockaddr_in (family, port, address) or sockaddr_in6 (… flow, address, scope)."""
    (family,) = U16.unpack_from(sockaddr)
    port = int.from_bytes(sockaddr[2:4], "big")
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(family, sockaddr[4:8])}:{port}"
    (scope,) = U32.unpack_from(sockaddr, 24)
    zone = f"%{scope}" if scope else ""
    return f"[{socket.inet_ntop(family, sockaddr[8:24])}{zone}]:{port}"
