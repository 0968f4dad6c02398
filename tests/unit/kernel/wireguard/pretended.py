# SPDX-License-Identifier: Apache-2.0
"""A WireGuard device that takes changes as the kernel's does, with a decoder of its own.

As strict as the kernel: lengths of attributes, marks of nests and zeroed padding are checked.
Source: drivers/net/wireguard/netlink.c, wg_set_device() and set_peer(), their policies included.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from struct import unpack, unpack_from

MOST_BYTES = 65_535  # of a nest; a message is kept below that, too


@dataclass
class PretendedPeer:
    preshared_key: bytes = bytes(32)
    endpoint: str | None = None
    keepalive_s: int = 0
    allowed_ips: list[str] = field(default_factory=list)


@dataclass
class PretendedDevice:
    ifindex: int
    private_key: bytes = bytes(32)
    listen_port: int = 0
    fwmark: int = 0
    peers: dict[bytes, PretendedPeer] = field(default_factory=dict)
    removed: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def take(self, body: memoryview) -> None:
        """One message, without its netlink header."""
        assert len(body) <= MOST_BYTES
        self.sizes.append(len(body))
        assert unpack_from("=BBH", body) == (1, 1, 0)
        fields = once(bytes(body[4:]), {1: 4, 3: 32, 6: 2, 7: 4, 8: None})
        assert unpack("=I", fields[1]) == (self.ifindex,)
        if 7 in fields:
            (self.fwmark,) = unpack("=I", fields[7])
        if 6 in fields:
            (self.listen_port,) = unpack("=H", fields[6])
        self.private_key = fields.get(3, self.private_key)
        for peer in array(fields.get(8, b"")):
            self._set_peer(peer)

    def _set_peer(self, packed: bytes) -> None:
        fields = once(packed, {1: 32, 2: 32, 3: 4, 4: (16, 28), 5: 2, 9: None})
        key = fields[1]
        (flags,) = unpack("=I", fields.get(3, bytes(4)))
        assert not flags & ~0b111
        if flags & 0b001:
            self.peers.pop(key, None)
            self.removed.append(key)
            return
        peer = self.peers.setdefault(key, PretendedPeer())
        peer.preshared_key = fields.get(2, peer.preshared_key)
        if 4 in fields:
            peer.endpoint = written(fields[4])
        if flags & 0b010:
            peer.allowed_ips.clear()
        for packed_prefix in array(fields.get(9, b"")):
            prefix = allowed(packed_prefix)
            for other in self.peers.values():
                if prefix in other.allowed_ips:
                    other.allowed_ips.remove(prefix)
            peer.allowed_ips.append(prefix)
        if 5 in fields:
            (peer.keepalive_s,) = unpack("=H", fields[5])


def allowed(packed: bytes) -> str:
    fields = once(packed, {1: 2, 2: (4, 16), 3: 1})
    (family,) = unpack("=H", fields[1])
    assert len(fields[2]) == {socket.AF_INET: 4, socket.AF_INET6: 16}[family]
    return f"{ip_address(fields[2])}/{fields[3][0]}"


def written(sockaddr: bytes) -> str:
    (family,) = unpack_from("=H", sockaddr)
    port = int.from_bytes(sockaddr[2:4], "big")
    if family == socket.AF_INET:
        assert sockaddr[8:] == bytes(8)
        return f"{socket.inet_ntop(family, sockaddr[4:8])}:{port}"
    flow, scope = unpack_from("=I", sockaddr, 4)[0], unpack_from("=I", sockaddr, 24)[0]
    assert flow == 0
    return f"[{socket.inet_ntop(family, sockaddr[8:24])}%{scope}]:{port}"


Lengths = dict[int, int | tuple[int, ...] | None]


def once(packed: bytes, lengths: Lengths) -> dict[int, bytes]:
    """Attributes by their number, each there once, of a length that it may have; None: a nest."""
    found: dict[int, bytes] = {}

    def take(kind: int, nested: bool, value: bytes) -> None:
        want = lengths[kind]
        assert nested is (want is None)
        assert want is None or len(value) in (want if isinstance(want, tuple) else (want,))
        assert kind not in found
        found[kind] = value

    each(packed, take)
    return found


def array(packed: bytes) -> list[bytes]:
    """The nests of an array."""
    found: list[bytes] = []

    def take(kind: int, nested: bool, value: bytes) -> None:
        assert (kind, nested) == (0, True)
        found.append(value)

    each(packed, take)
    return found


def each(packed: bytes, take: Callable[[int, bool, bytes], None]) -> None:
    while packed:
        length, kind = unpack_from("=HH", packed)
        assert 4 <= length <= len(packed)
        end = -(-length // 4) * 4
        assert packed[length:end] == bytes(end - length)
        take(kind & 0x3FFF, bool(kind & 0x8000), packed[4:length])
        packed = packed[end:]
