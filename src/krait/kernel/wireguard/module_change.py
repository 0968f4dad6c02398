# SPDX-License-Identifier: Apache-2.0
"""A change as the kernel's WireGuard takes it: messages of generic netlink.

What does not fit one message goes on in the next. A peer whose allowed IPs do not fit goes on, too,
with nothing but its key and more of them; the flag that its old ones go is in its first part alone.

Sources: include/uapi/linux/wireguard.h; drivers/net/wireguard/netlink.c, wg_set_device().
"""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from struct import Struct

from krait.kernel.netlink import ATTRIBUTE, GENERIC_HEADER, NESTED, U16, U32
from krait.kernel.wireguard import module
from krait.kernel.wireguard.change import DeviceChange, PeerChange
from krait.policy.endpoint import numeric
from krait.policy.model import Network

MESSAGE_BYTES = 60_000
"""Most of a message: the length of a nest is 16 bits, and a send has to fit net.core.wmem_default.
10,000 peers of one address each are 17 messages."""

_SET_DEVICE = 1
_IFINDEX, _PRIVATE_KEY, _LISTEN_PORT, _FWMARK, _PEERS = 1, 3, 6, 7, 8  # WGDEVICE_A_*
_KEY, _PRESHARED_KEY, _FLAGS, _ENDPOINT, _KEEPALIVE, _ALLOWED = 1, 2, 3, 4, 5, 9  # WGPEER_A_*
_REMOVE, _REPLACE_ALLOWED = 1 << 0, 1 << 1  # WGPEER_F_*

# Family, address and prefix length of an allowed IP, in one piece: a nest of three attributes,
# WGALLOWEDIP_A_*, each padded to four bytes. There may be a million of them.
_ALLOWED_IP = {4: Struct("=HH HHHxx HH4s HHBxxx"), 6: Struct("=HH HHHxx HH16s HHBxxx")}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

_SOCKADDR = Struct("=H2s4s8x")  # sockaddr_in: family, port, address
_SOCKADDR6 = Struct("=H2sI16sI")  # sockaddr_in6: family, port, flow, address, scope

_LONGEST_ALLOWED_IP = _ALLOWED_IP[6].size
_LONGEST_PEER = 128 + _LONGEST_ALLOWED_IP
"""More than any peer takes up to its first allowed IP."""


def pack(ifindex: int, change: DeviceChange, buffer: bytearray) -> Iterator[memoryview]:
    """The bodies of the messages, in order, each valid until the next is asked for.

    `buffer`, of `MESSAGE_BYTES`, is where they are packed: keys are copied there and nowhere else,
    and the caller overwrites it. No message, if there is nothing to change. Raises NotAnEndpoint.
    """
    if not change:
        return
    message = _Message(buffer, ifindex)
    message.device(change)
    for peer in change.ordered:
        if message.room < _LONGEST_PEER:
            yield message.take()
        message.begin(peer.public_key)
        message.rest(peer)
        for network in peer.allowed_ips or () if not peer.remove else ():
            if message.room < _LONGEST_ALLOWED_IP:
                yield message.take()
                message.begin(peer.public_key)
            message.allow(network)
        message.end()
    yield message.take()


class _Message:
    """The message in the making: attributes one after another, within nests that are open."""

    def __init__(self, buffer: bytearray, ifindex: int) -> None:
        self._buffer = buffer
        self._ifindex = ifindex
        self._nests: list[tuple[int, int]] = []  # where each begins, and its type
        self._start()

    @property
    def room(self) -> int:
        """Bytes left."""
        return MESSAGE_BYTES - self._size

    def device(self, change: DeviceChange) -> None:
        if change.private_key is not None:
            self._put(_PRIVATE_KEY, change.private_key)
        if change.listen_port is not None:
            self._put(_LISTEN_PORT, U16.pack(change.listen_port))
        if change.fwmark is not None:
            self._put(_FWMARK, U32.pack(change.fwmark))

    def begin(self, public_key: bytes) -> None:
        """A peer, or its next part."""
        if not self._nests:
            self._open(_PEERS)
        self._open(0)
        self._put(_KEY, public_key)

    def rest(self, peer: PeerChange) -> None:
        """What the first part of a peer has beyond its key."""
        if peer.remove:
            self._put(_FLAGS, U32.pack(_REMOVE))
            return
        if peer.preshared_key is not None:
            self._put(_PRESHARED_KEY, peer.preshared_key)
        if peer.endpoint is not None:
            self._put(_ENDPOINT, _sockaddr(peer.endpoint))
        if peer.keepalive_s is not None:
            self._put(_KEEPALIVE, U16.pack(peer.keepalive_s))
        if peer.allowed_ips is not None:
            self._put(_FLAGS, U32.pack(_REPLACE_ALLOWED))

    def allow(self, network: Network) -> None:
        """One more allowed IP of the peer that is open."""
        if len(self._nests) == len((_PEERS, 0)):
            self._open(_ALLOWED)
        version = network.version
        layout = _ALLOWED_IP[version]
        address = network.network_address.packed
        layout.pack_into(
            self._buffer,
            self._size,
            *(layout.size, NESTED),
            *(ATTRIBUTE.size + U16.size, 1, _FAMILY[version]),
            *(ATTRIBUTE.size + len(address), 2, address),
            *(ATTRIBUTE.size + 1, 3, network.prefixlen),
        )
        self._size += layout.size

    def end(self) -> None:
        """The peer's end."""
        self._close(1)

    def take(self) -> memoryview:
        """The message as it is, its nests closed; the next begins in its place."""
        self._close(0)
        body = memoryview(self._buffer)[: self._size]
        self._start()
        return body

    def _start(self) -> None:
        GENERIC_HEADER.pack_into(self._buffer, 0, _SET_DEVICE, module.VERSION, 0)
        self._size = GENERIC_HEADER.size
        self._put(_IFINDEX, U32.pack(self._ifindex))

    def _put(self, kind: int, payload: bytes) -> None:
        ATTRIBUTE.pack_into(self._buffer, self._size, ATTRIBUTE.size + len(payload), kind)
        start = self._size + ATTRIBUTE.size
        end = start + len(payload)
        self._size = end + 3 & ~3
        self._buffer[start:end] = payload
        self._buffer[end : self._size] = bytes(self._size - end)

    def _open(self, kind: int) -> None:
        self._nests.append((self._size, kind))
        self._size += ATTRIBUTE.size

    def _close(self, depth: int) -> None:
        """Close nests until `depth` of them are open."""
        while len(self._nests) > depth:
            start, kind = self._nests.pop()
            ATTRIBUTE.pack_into(self._buffer, start, self._size - start, kind | NESTED)


def _sockaddr(endpoint: str) -> bytes:
    address, port = numeric(endpoint)
    port_be = port.to_bytes(2, "big")
    if isinstance(address, IPv4Address):
        return _SOCKADDR.pack(socket.AF_INET, port_be, address.packed)
    scope = int(address.scope_id or 0)
    return _SOCKADDR6.pack(socket.AF_INET6, port_be, 0, address.packed, scope)
