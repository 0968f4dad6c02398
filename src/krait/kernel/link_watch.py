# SPDX-License-Identifier: Apache-2.0
"""Word from the kernel when any network interface changes.

Sources: include/uapi/linux/{rtnetlink,if_link,if_addr}.h, net/core/rtnetlink.c.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from enum import Enum
from errno import ENOBUFS
from struct import Struct

from krait.kernel.link import index_and_name, observe_names
from krait.kernel.netlink import (
    BUFFER_BYTES,
    ROUTE,
    Message,
    attributes,
    consistent,
    messages,
    refused,
    whole,
)

_NEWLINK, _DELLINK = 16, 17
_NEWADDR, _DELADDR = 20, 21
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR

_LINK = Struct("=BxHiII")  # ifinfomsg: family, hardware type, index, flags, change
_NEW_NAMESPACE = 45  # IFLA_NEW_NETNSID
_ADDRESS_HEADER = Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index


class Change(Enum):
    """What happened to an interface."""

    PRESENT = "present"
    """It is there now under this name: made, moved into this namespace, or renamed to it."""
    CHANGED = "changed"
    """Something about it changed: up or down, MTU, carrier."""
    ADDRESS = "address"
    """It got or lost an address."""
    GONE = "gone"
    """Nothing has this name any more: deleted, moved away, or renamed (then PRESENT follows)."""


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """One change of one interface. A rename is GONE and PRESENT with one ifindex."""

    change: Change
    ifindex: int
    name: str
    moved: bool = False
    """Of one that is GONE: it is in another network namespace now."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Events before this one are unknown: look at every interface that matters."""


async def watch(
    receive_buffer_bytes: int = 1 << 20,
) -> AsyncGenerator[LinkEvent | Resync, None]:
    """Every change of the interfaces of this network namespace, as the kernel tells it.

    The first event is a Resync, given once the kernel is listened to: what is looked at from then
    on cannot change unseen. Another follows whenever the kernel had to drop events. Close it
    (`aclosing`) to close its socket. Raises SystemRefused if the kernel does not let us listen.
    """
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with _subscribed(receive_buffer_bytes) as subscription:
        while True:
            _drain(subscription, buffer)
            names = consistent(observe_names)
            yield Resync()
            while (received := await _receive(subscription, buffer)) is not None:
                for event in _told(received, names):
                    yield event


def _subscribed(receive_buffer_bytes: int) -> socket.socket:
    subscription = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, ROUTE)
    try:
        subscription.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        subscription.bind((0, _GROUPS))
    except OSError as error:
        subscription.close()
        raise refused("cannot listen for changes of interfaces", error) from error
    return subscription


async def _receive(subscription: socket.socket, buffer: memoryview) -> memoryview | None:
    """The next messages; none of them if a process other than the kernel sent them; None if the
    kernel had to drop some.
    """
    loop = asyncio.get_running_loop()
    try:
        size, (sender, _) = await loop.sock_recvfrom_into(subscription, buffer)
    except OSError as error:
        if error.errno == ENOBUFS:
            return None
        raise refused("cannot hear of changes of interfaces", error) from error
    return buffer[:size] if sender == 0 else buffer[:0]


def _drain(subscription: socket.socket, buffer: memoryview) -> None:
    """Throw away what waits: after an overrun the kernel drops silently until all of it is read
    (netlink_rcv_wake() in net/netlink/af_netlink.c).
    """
    while True:
        try:
            subscription.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != ENOBUFS:
                raise refused("cannot hear of changes of interfaces", error) from error


def _told(received: memoryview, names: dict[int, str]) -> list[LinkEvent]:
    try:
        return [each for message in messages(received) for each in events(message, names)]
    except ValueError as error:
        raise refused("cannot hear of changes of interfaces", error) from error


@whole("word of an interface")
def events(message: Message, names: dict[int, str]) -> tuple[LinkEvent, ...]:
    """What a message means, given the names known before it; `names` learns from it.

    Raises ValueError for a message that lacks a part.
    """
    return tuple(_events(message, names))


def _events(message: Message, names: dict[int, str]) -> Iterator[LinkEvent]:
    if message.kind in (_NEWADDR, _DELADDR):
        ifindex = _ADDRESS_HEADER.unpack_from(message.body)[-1]
        if ifindex in names:
            yield LinkEvent(Change.ADDRESS, ifindex, names[ifindex])
        return
    if message.kind not in (_NEWLINK, _DELLINK) or message.body[0] != socket.AF_UNSPEC:
        return  # a bridge speaks of its ports as links of family AF_BRIDGE
    ifindex, name = index_and_name(message.body)
    known = names.pop(ifindex, None)
    if message.kind == _DELLINK:
        yield LinkEvent(Change.GONE, ifindex, known or name, moved=_has_moved(message.body))
        return
    names[ifindex] = name
    if known == name:
        yield LinkEvent(Change.CHANGED, ifindex, name)
        return
    if known is not None:
        yield LinkEvent(Change.GONE, ifindex, known)
    yield LinkEvent(Change.PRESENT, ifindex, name)


def _has_moved(body: memoryview) -> bool:
    """Of a link that is no more here (__dev_change_net_namespace() in net/core/dev.c)."""
    return _NEW_NAMESPACE in dict(attributes(body, _LINK.size))
