# SPDX-License-Identifier: Apache-2.0
"""What is around a tunnel: the ways that its packets leave by, and who else has its addresses.

Sources: include/uapi/linux/{rtnetlink,if_link}.h, net/ipv4/route.c, net/ipv6/route.c.
"""

import socket
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH, ENODEV
from ipaddress import IPv4Address, IPv6Address, ip_network
from struct import Struct

from krait.kernel.link import Link, NoSuchInterface, observe_links
from krait.kernel.netlink import (
    DUMP,
    U32,
    Netlink,
    attribute,
    attributes,
    consistent,
    refused,
    whole,
)
from krait.kernel.route import METRIC, PROTOCOL
from krait.policy.model import EVERYTHING_BITS, Network, is_within

_GETLINK, _GETROUTE = 18, 26

_LINK = Struct("=BxHiII")  # ifinfomsg: family, hardware type, index, flags, change
_XDP, _XDP_PROGRAMS = 43, range(4, 8)  # IFLA_XDP, and IFLA_XDP_*PROG_ID in it: any, by mode

_ROUTE = Struct("=8BI")  # rtmsg: family, lengths of dst and src, tos, table, protocol, scope, type
_DST, _OIF, _PRIORITY, _METRICS, _MULTIPATH, _TABLE = 1, 4, 6, 8, 9, 15  # RTA_*
_METRIC_MTU = 2  # RTAX_MTU
_NEXT_HOP = Struct("=HBBi")  # rtnexthop: length, flags, hops, ifindex
_UNICAST, _REFUSALS = 1, (6, 7, 8)  # RTN_*; blackhole, unreachable, prohibit
_TABLES = (253, 254)  # RT_TABLE_DEFAULT, RT_TABLE_MAIN: those that every packet asks
_BY_KERNEL = 2  # RTPROT_KERNEL: comes and goes with an address

_NO_WAY = (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, ENODEV)
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_BYTES = {socket.AF_INET: 4, socket.AF_INET6: 16}


@dataclass(frozen=True, slots=True)
class Way:
    """An interface by which packets leave, and the MTU there: the route's, where it has one."""

    ifindex: int
    name: str
    mtu: int
    version: int
    """Of the IP that they bear, 4 or 6."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """An address with its network, or a route: who has a range of addresses already."""

    cidr: Network
    interface: str
    """Empty for a route that refuses (blackhole, unreachable, prohibit)."""
    ifindex: int = 0
    protocol: int = 0
    """Who made the route (RTPROT_*); 0: it is an address."""
    address: IPv4Address | IPv6Address | None = None
    """None: it is a route."""
    metric: int = 0
    """Of the route; the least of one prefix counts."""

    def __str__(self) -> str:
        if self.address is not None:
            return f"{self.interface} has {self.address}/{self.cidr.prefixlen}"
        return f"{self.interface or 'nothing'} has a route to {self.cidr}"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A range of the mesh, and who has some of it, or all and more."""

    range: Network
    occupant: Occupant


def conflicts(
    ranges: Iterable[Network],
    occupants: Iterable[Occupant],
    *,
    ifindex: int,
    behind: Collection[Network] = (),
) -> tuple[Conflict, ...]:
    """Who is in the mesh's way, or has the mesh in theirs. Pure.

    What is on the mesh's own interface (`ifindex`, 0 if there is none yet) is not, nor is what is
    wholly in a subnet that the mesh has `behind` this machine, nor are unreachable routes of
    Krait's, which outlive their device, default routes, and refusals of more than the range, which
    the mesh's route overrides. A route that came with an address is told as that.
    """
    found = tuple(occupants)
    addressed = {(each.ifindex, each.cidr) for each in found if each.address is not None}

    def counts(each: Occupant, wanted: Network) -> bool:
        if each.cidr.version != wanted.version or not each.cidr.overlaps(wanted):
            return False
        if each.ifindex and each.ifindex == ifindex:
            return False
        if any(is_within(each.cidr, subnet) for subnet in behind):
            return False
        if each.address is not None:
            return True
        if each.cidr.prefixlen <= EVERYTHING_BITS or (
            each.protocol == PROTOCOL and not each.interface
        ):
            return False
        if each.protocol == _BY_KERNEL and (each.ifindex, each.cidr) in addressed:
            return False
        return bool(each.interface) or each.cidr.prefixlen >= wanted.prefixlen

    return tuple(Conflict(r, each) for r in ranges for each in found if counts(each, r))


def leads_past(
    address: IPv4Address | IPv6Address,
    tunnel: Network,
    occupants: Iterable[Occupant],
    *,
    ifindex: int,
) -> bool:
    """Whether a packet passes by the mesh's interface (`ifindex`, 0 if there is none yet), though
    `tunnel`, around its address, is routed through that in the main table. Pure.
    """
    return any(
        address in each.cidr and (each.cidr.prefixlen, -each.metric) > (tunnel.prefixlen, -METRIC)
        for each in occupants
        if each.address is None
        and not (each.ifindex and each.ifindex == ifindex)
        and (each.interface or each.protocol != PROTOCOL)
    )


def occupants() -> tuple[Occupant, ...]:
    """Every address of this network namespace, then every route of the main and default tables.

    `lo` among them, but not what only says that an address is one's own.
    """
    links = observe_links()
    addresses = [
        Occupant(each.network, link.name, link.ifindex, address=each.ip)
        for link in links
        for each in link.addresses
    ]
    names = {link.ifindex: link.name for link in links}

    def look() -> tuple[Occupant, ...]:
        with Netlink() as netlink:
            return tuple(
                occupant
                for family in _BYTES
                for reply in netlink.ask(_GETROUTE, _ROUTE.pack(family, *[0] * 8), DUMP)
                for occupant in decode_occupants(reply.body, names)
            )

    try:
        return (*addresses, *consistent(look))
    except (OSError, ValueError) as error:
        raise refused("cannot list routes", error) from error


def ways(addresses: Iterable[IPv4Address | IPv6Address]) -> tuple[Way | None, ...]:
    """How a packet without a mark would leave to each; None: it would not, or to this machine."""
    links = {link.ifindex: link for link in observe_links()}
    with Netlink() as netlink:
        return tuple(_way(netlink, address, links) for address in addresses)


def xdp_programs(ifindex: int) -> tuple[int, ...]:
    """The kernel ids of XDP programs on an interface, which see packets before everybody else."""
    try:
        with Netlink() as netlink:
            question = _LINK.pack(0, 0, ifindex, 0, 0)
            (found,) = [decode_xdp(reply.body) for reply in netlink.ask(_GETLINK, question)]
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == ENODEV:
            raise NoSuchInterface(str(ifindex)) from error
        raise refused(f"cannot look at interface {ifindex}", error) from error
    return found


@whole("a link")
def decode_xdp(body: memoryview) -> tuple[int, ...]:
    """The kernel ids of the XDP programs of a link. Raises ValueError if it lacks a part."""
    fields = dict(attributes(body, _LINK.size))
    xdp = dict(attributes(fields.get(_XDP, _EMPTY)))
    ids = (U32.unpack(xdp[kind])[0] for kind in _XDP_PROGRAMS if kind in xdp)
    return tuple(dict.fromkeys(number for number in ids if number))


def _way(
    netlink: Netlink, address: IPv4Address | IPv6Address, links: dict[int, Link]
) -> Way | None:
    family = _FAMILY[address.version]
    header = _ROUTE.pack(family, address.max_prefixlen, *[0] * 7)
    try:
        question = header + attribute(_DST, address.packed)
        replies = netlink.ask(_GETROUTE, question)
        ((kind, ifindex, mtu),) = [decode_leaving(reply.body) for reply in replies]
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NO_WAY:
            return None
        raise refused(f"cannot ask for the route to {address}", error) from error
    link = links.get(ifindex)
    if kind != _UNICAST or link is None:
        return None
    return Way(ifindex, link.name, mtu or link.mtu, address.version)


@whole("a route")
def decode_leaving(body: memoryview) -> tuple[int, int, int]:
    """Type of a route, its interface, its MTU; 0 where it has none.

    Raises ValueError if the message lacks a part.
    """
    fields = dict(attributes(body, _ROUTE.size))
    metrics = dict(attributes(fields.get(_METRICS, _EMPTY)))
    numbers = (found.get(at, _ZERO) for found, at in ((fields, _OIF), (metrics, _METRIC_MTU)))
    ifindex, mtu = (U32.unpack(each)[0] for each in numbers)
    return _ROUTE.unpack_from(body)[7], ifindex, mtu


@whole("a route")
def decode_occupants(body: memoryview, names: dict[int, str]) -> tuple[Occupant, ...]:
    """Who has a route's range by it, none if it is no route that every packet asks.

    `names` are those of interfaces, by number. Raises ValueError if the message lacks a part.
    """
    return tuple(_occupants(body, names))


def _occupants(body: memoryview, names: dict[int, str]) -> Iterator[Occupant]:
    family, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(body)
    fields = dict(attributes(body, _ROUTE.size))
    if _TABLE in fields:
        (table,) = U32.unpack(fields[_TABLE])
    if table not in _TABLES or kind not in (_UNICAST, *_REFUSALS):
        return
    packed = bytes(fields[_DST]) if _DST in fields else bytes(_BYTES[family])
    if len(packed) != _BYTES[family]:
        raise ValueError(f"an address of {len(packed)} bytes")
    cidr = ip_network((packed, length))
    (metric,) = U32.unpack(fields.get(_PRIORITY, _ZERO))
    if kind in _REFUSALS:
        yield Occupant(cidr, "", protocol=protocol, metric=metric)
        return
    for ifindex in _leaves_by(fields):
        if not 0 <= ifindex < 1 << 31:
            raise ValueError(f"a route by interface {ifindex}")
        name = names.get(ifindex, f"interface {ifindex}")
        yield Occupant(cidr, name, ifindex, protocol, metric=metric)


def _leaves_by(fields: dict[int, memoryview]) -> Iterator[int]:
    if _OIF in fields:
        yield U32.unpack(fields[_OIF])[0]
    hops, at = fields.get(_MULTIPATH, _EMPTY), 0
    while len(hops) - at >= _NEXT_HOP.size:
        length, _, _, ifindex = _NEXT_HOP.unpack_from(hops, at)
        yield ifindex
        at += max(length + 3 & ~3, _NEXT_HOP.size)


_EMPTY, _ZERO = memoryview(b""), memoryview(bytes(4))
