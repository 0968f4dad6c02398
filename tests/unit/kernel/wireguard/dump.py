# SPDX-License-Identifier: Apache-2.0
"""Packs what the kernel's WireGuard dumps, attribute for attribute in its order.

Source: drivers/net/wireguard/netlink.c, wg_get_device_dump() and get_peer().
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from struct import pack

from krait.kernel.netlink import GENERIC_HEADER, attribute, nested, text

PRIVATE_KEY = b"\xa5" * 32
PRESHARED_KEY = b"\x5a" * 32


@dataclass(frozen=True, slots=True)
class Told:
    """What the kernel tells of a peer in one message."""

    key: bytes
    allowed_ips: tuple[str, ...] = ()
    endpoint: tuple[str, int] | None = None
    scope: int = 0
    handshake_s: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    keepalive_s: int = 0
    continued: bool = False


def message(
    *peers: Told, first: bool = True, public_key: bytes | None = b"\x01" * 32, port: int = 51820
) -> memoryview:
    """The body of one message; only the first one has the device's own attributes."""
    parts = [GENERIC_HEADER.pack(0, 1, 0)]
    if first:
        parts.append(attribute(6, pack("=H", port)))
        parts.append(attribute(7, pack("=I", 0)))
        parts.append(attribute(1, pack("=I", 7)))
        parts.append(text(2, "wg0"))
    if first and public_key is not None:
        parts += [attribute(3, PRIVATE_KEY), attribute(4, public_key)]
    parts.append(nested(8, *map(_peer, peers)))
    return memoryview(b"".join(parts))


def _peer(told: Told) -> bytes:
    parts = [attribute(1, told.key)]
    if not told.continued:
        parts += [
            attribute(2, PRESHARED_KEY),
            attribute(6, pack("=qq", told.handshake_s, 999_999_999)),
            attribute(5, pack("=H", told.keepalive_s)),
            attribute(8, pack("=Q", told.tx_bytes)),
            attribute(7, pack("=Q", told.rx_bytes)),
            attribute(10, pack("=I", 1)),
        ]
        if told.endpoint:
            parts.append(attribute(4, _sockaddr(*told.endpoint, told.scope)))
    if told.allowed_ips:
        parts.append(nested(9, *_allowed(map(ip_network, told.allowed_ips))))
    return nested(0, *parts)


def _allowed(networks: Iterable[IPv4Network | IPv6Network]) -> Iterable[bytes]:
    for network in networks:
        family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        yield nested(
            0,
            attribute(3, pack("=B", network.prefixlen)),
            attribute(1, pack("=H", family)),
            attribute(2, network.network_address.packed),
        )


def _sockaddr(host: str, port: int, scope: int) -> bytes:
    address = ip_address(host)
    port_be = port.to_bytes(2, "big")
    if address.version == 4:
        return pack("=H2s4s8x", socket.AF_INET, port_be, address.packed)
    return pack("=H2sI16sI", socket.AF_INET6, port_be, 0, address.packed, scope)
