# SPDX-License-Identifier: Apache-2.0
"""Network interfaces: what one looks like now (`link_watch` hears of changes).

Sources: include/uapi/linux/{rtnetlink,if_link,if_addr}.h, net/core/rtnetlink.c.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from errno import ENODEV
from ipaddress import IPv4Interface, IPv6Interface
from struct import Struct

from krait.common.errors import SystemRefused, UsageError
from krait.kernel.netlink import (
    DUMP,
    U32,
    Netlink,
    attribute,
    attributes,
    consistent,
    refused,
    string,
    text,
    whole,
)

_GETLINK, _GETADDR = 18, 22

_LINK = Struct("=BxHiII")  # ifinfomsg: family, hardware type, index, flags, change
_NAME, _MTU, _LINKINFO, _GROUP, _EXT_MASK = 3, 4, 18, 27, 29  # IFLA_*
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


def observe_link(name: str) -> Link | None:
    """The interface of that name (or alternative name), None if there is none.

    Raises SystemRefused if the kernel does not answer.
    """
    if not 0 < len(os.fsencode(name)) <= _MAX_NAME_BYTES:
        return None
    question = _LINK.pack(0, 0, 0, 0, 0) + text(_NAME, name) + _NO_STATISTICS
    try:
        with Netlink() as netlink:
            (link,) = [decode(reply.body) for reply in netlink.ask(_GETLINK, question)]
            held = consistent(lambda: tuple(_addresses(netlink, link.ifindex)))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == ENODEV:
            return None
        raise refused(f"cannot look at interface {name}", error) from error
    return replace(link, addresses=tuple(each for at, each in held if at == link.ifindex))


def observe_links() -> tuple[Link, ...]:
    """Every interface of this network namespace, in two questions. Raises SystemRefused."""

    def look() -> tuple[Link, ...]:
        held: dict[int, list[IPv4Interface | IPv6Interface]] = {}
        with Netlink() as netlink:
            question = _LINK.pack(0, 0, 0, 0, 0) + _NO_STATISTICS
            links = [decode(reply.body) for reply in netlink.ask(_GETLINK, question, DUMP)]
            for ifindex, address in _addresses(netlink):
                held.setdefault(ifindex, []).append(address)
        return tuple(replace(each, addresses=tuple(held.get(each.ifindex, ()))) for each in links)

    try:
        return consistent(look)
    except (OSError, ValueError) as error:
        raise refused("cannot look at the interfaces", error) from error


def observe_own(name: str) -> Link | None:
    """As `observe_link`; raises OtherName if the interface found is called something else."""
    link = observe_link(name)
    if link is not None and link.name != name:
        raise OtherName(name, link.name)
    return link


def observe_names() -> dict[int, str]:
    """Every interface of this network namespace, by number."""
    with Netlink() as netlink:
        question = _LINK.pack(0, 0, 0, 0, 0) + _NO_STATISTICS
        replies = netlink.ask(_GETLINK, question, DUMP)
        return dict(index_and_name(reply.body) for reply in replies)


def index_and_name(body: memoryview) -> tuple[int, str]:
    """Of the interface of a message. Raises ValueError if it lacks a part."""
    ifindex = _LINK.unpack_from(body)[2]
    name = string(dict(attributes(body, _LINK.size))[_NAME])
    if ifindex <= 0 or not 0 < len(os.fsencode(name)) <= _MAX_NAME_BYTES:
        raise ValueError(f"an interface of number {ifindex} and name {name!r:.40}")
    return ifindex, name


@whole("a link")
def decode(body: memoryview) -> Link:
    """The interface of a message, without its addresses. Raises ValueError if it lacks a part."""
    ifindex, name = index_and_name(body)
    flags = _LINK.unpack_from(body)[3]
    fields = dict(attributes(body, _LINK.size))
    information = dict(attributes(fields.get(_LINKINFO, _EMPTY)))
    return Link(
        ifindex=ifindex,
        name=name,
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
        if (found := decode_address(reply.body)) is not None:
            yield found


@whole("an address")
def decode_address(body: memoryview) -> tuple[int, IPv4Interface | IPv6Interface] | None:
    """The number of an interface, and an address of it; None for one of no IP.

    Raises ValueError if the message lacks a part.
    """
    family, length, _, _, index = _ADDRESS_HEADER.unpack_from(body)
    if family not in _INTERFACE_OF:
        return None
    fields = dict(attributes(body, _ADDRESS_HEADER.size))
    # On a point-to-point link IFA_ADDRESS is the other end's.
    own = bytes(fields.get(_LOCAL) or fields[_ADDRESS])
    return index, _INTERFACE_OF[family]((own, length))


_INTERFACE_OF: dict[int, type[IPv4Interface | IPv6Interface]] = {
    socket.AF_INET: IPv4Interface,
    socket.AF_INET6: IPv6Interface,
}
_EMPTY = memoryview(b"")
