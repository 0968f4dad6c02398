# SPDX-License-Identifier: Apache-2.0
"""Network interfaces: what one looks like now, and word from the kernel when any changes.

Sources: include/uapi/linux/{rtnetlink,if_link,if_addr}.h, net/core/rtnetlink.c.
"""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from errno import ENOBUFS, ENODEV
from ipaddress import IPv4Interface, IPv6Interface
from struct import Struct

from krait.common.errors import SystemRefused, UsageError
from krait.kernel.netlink import (
    BUFFER_BYTES,
    DUMP,
    ROUTE,
    U32,
    Message,
    Netlink,
    attribute,
    attributes,
    consistent,
    messages,
    refused,
    string,
    text,
)

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR

_LINK = Struct("=BxHiII")  # ifinfomsg: family, hardware type, index, flags, change
_NAME, _MTU, _LINKINFO, _GROUP, _EXT_MASK = 3, 4, 18, 27, 29  # IFLA_*
_NEW_NAMESPACE = 45  # IFLA_NEW_NETNSID
_INFO_KIND = 1
_NO_STATISTICS = attribute(_EXT_MASK, U32.pack(1 << 3))  # RTEXT_FILTER_SKIP_STATS
_IFF_UP, _IFF_RUNNING, _IFF_MULTICAST = 0x1, 0x40, 0x1000

_ADDRESS_HEADER = Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ADDRESS, _LOCAL = 1, 2  # IFA_*

_MAX_NAME_BYTES = 15


class NoSuchInterface(SystemRefused):
    """There is no interface of that name in this network namespace."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no interface {name}",
            hint="Make it first, or correct the name; it must be in this network namespace.",
        )


class OtherName(UsageError):
    """The interface is called something else: this is one of its alternative names.

    Locks, pins and state go by the name, so that one interface must have one.
    """

    def __init__(self, name: str, real: str) -> None:
        super().__init__(
            f"{name} is only another name of the interface {real}", hint=f"Call it {real}."
        )


@dataclass(frozen=True, slots=True)
class Link:
    """An interface; `kind` is its driver's word (`wireguard`, `tun`), empty for hardware."""

    ifindex: int
    name: str
    kind: str
    mtu: int
    up: bool
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    running: bool = False
    """It is up and has a carrier: for a tun device, a process that drives it."""
    group: int = 0
    """0 unless somebody set it; see `krait.kernel.device.is_ours`."""
    multicast: bool = False
    """It says of itself that it can do multicast."""


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


def observe_link(name: str) -> Link | None:
    """The interface of that name (or alternative name), None if there is none.

    Raises SystemRefused if the kernel does not answer.
    """
    if not 0 < len(os.fsencode(name)) <= _MAX_NAME_BYTES:
        return None
    question = _LINK.pack(0, 0, 0, 0, 0) + text(_NAME, name) + _NO_STATISTICS
    try:
        with Netlink() as netlink:
            (link,) = [_link(reply.body) for reply in netlink.ask(_GETLINK, question)]
            held = consistent(lambda: tuple(_addresses(netlink, link.ifindex)))
    except OSError as error:
        if error.errno == ENODEV:
            return None
        raise refused(f"cannot look at interface {name}", error) from error
    return replace(link, addresses=tuple(each for at, each in held if at == link.ifindex))


def observe_links() -> tuple[Link, ...]:
    """Every interface of this network namespace, in two questions. Raises SystemRefused."""

    def look() -> tuple[Link, ...]:
        held: dict[int, list[IPv4Interface | IPv6Interface]] = {}
        with Netlink() as netlink:
            question = _LINK.pack(0, 0, 0, 0, 0) + _NO_STATISTICS
            links = [_link(reply.body) for reply in netlink.ask(_GETLINK, question, DUMP)]
            for ifindex, address in _addresses(netlink):
                held.setdefault(ifindex, []).append(address)
        return tuple(replace(each, addresses=tuple(held.get(each.ifindex, ()))) for each in links)

    try:
        return consistent(look)
    except OSError as error:
        raise refused("cannot look at the interfaces", error) from error


def observe_own(name: str) -> Link | None:
    """As `observe_link`; raises OtherName if the interface found is called something else."""
    link = observe_link(name)
    if link is not None and link.name != name:
        raise OtherName(name, link.name)
    return link


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
            names = consistent(_names)
            yield Resync()
            while (received := await _receive(subscription, buffer)) is not None:
                for message in messages(received):
                    for event in _events(message, names):
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


def _events(message: Message, names: dict[int, str]) -> Iterator[LinkEvent]:
    """What a message means, given the names known before it; `names` learns from it."""
    if message.kind in (_NEWADDR, _DELADDR):
        ifindex = _ADDRESS_HEADER.unpack_from(message.body)[-1]
        if ifindex in names:
            yield LinkEvent(Change.ADDRESS, ifindex, names[ifindex])
        return
    if message.kind not in (_NEWLINK, _DELLINK) or message.body[0] != socket.AF_UNSPEC:
        return  # a bridge speaks of its ports as links of family AF_BRIDGE
    ifindex, name = _index_and_name(message.body)
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


def _names() -> dict[int, str]:
    with Netlink() as netlink:
        question = _LINK.pack(0, 0, 0, 0, 0) + _NO_STATISTICS
        replies = netlink.ask(_GETLINK, question, DUMP)
        return dict(_index_and_name(reply.body) for reply in replies)


def _index_and_name(body: memoryview) -> tuple[int, str]:
    return _LINK.unpack_from(body)[2], string(dict(attributes(body, _LINK.size))[_NAME])


def _has_moved(body: memoryview) -> bool:
    """Of a link that is no more here (__dev_change_net_namespace() in net/core/dev.c)."""
    return _NEW_NAMESPACE in dict(attributes(body, _LINK.size))


def _link(body: memoryview) -> Link:
    _, _, ifindex, flags, _ = _LINK.unpack_from(body)
    fields = dict(attributes(body, _LINK.size))
    information = dict(attributes(fields.get(_LINKINFO, _EMPTY)))
    return Link(
        ifindex=ifindex,
        name=string(fields[_NAME]),
        kind=string(information.get(_INFO_KIND, _EMPTY)),
        mtu=U32.unpack(fields[_MTU])[0],
        up=bool(flags & _IFF_UP),
        running=bool(flags & _IFF_RUNNING),
        group=U32.unpack(fields[_GROUP])[0],
        multicast=bool(flags & _IFF_MULTICAST),
    )


def _addresses(
    netlink: Netlink, ifindex: int = 0
) -> Iterator[tuple[int, IPv4Interface | IPv6Interface]]:
    """Addresses, each after the number of its interface; the kernel may tell more than is asked."""
    question = _ADDRESS_HEADER.pack(0, 0, 0, 0, ifindex)
    for reply in netlink.ask(_GETADDR, question, DUMP):
        family, length, _, _, index = _ADDRESS_HEADER.unpack_from(reply.body)
        if family not in _INTERFACE_OF:
            continue
        fields = dict(attributes(reply.body, _ADDRESS_HEADER.size))
        # On a point-to-point link IFA_ADDRESS is the other end's.
        own = bytes(fields.get(_LOCAL) or fields[_ADDRESS])
        yield index, _INTERFACE_OF[family]((own, length))


_INTERFACE_OF: dict[int, type[IPv4Interface | IPv6Interface]] = {
    socket.AF_INET: IPv4Interface,
    socket.AF_INET6: IPv6Interface,
}
_EMPTY = memoryview(b"")
