# SPDX-License-Identifier: Apache-2.0
"""Routes of Krait's own: through its device, or unreachable.

In the main table they are two among all. In a table of Krait's own they are alone, and rules
(`rule`) have it asked first: no route of anybody else's, however narrow, leads past the tunnel.
What is not for the tunnel inside of such a range is thrown: the tables after ours are asked of it.

They are known by their protocol, a number that the kernel keeps and gives no meaning to. Taking a
route away names it, too, so that no route of anybody else's ever goes. An unreachable route has no
device that tells which mesh it belongs to: its metric does.

Sources: include/uapi/linux/rtnetlink.h; net/ipv4/fib_{trie,semantics}.c, net/ipv6/route.c.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from errno import EEXIST, ENOENT, EOPNOTSUPP, ESRCH
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from itertools import chain, product
from struct import Struct
from zlib import crc32

from krait.common.errors import SystemRefused
from krait.kernel.netlink import (
    CREATE,
    DUMP,
    EXCLUSIVE,
    U32,
    Netlink,
    Request,
    attribute,
    attributes,
    consistent,
    refused,
    whole,
)
from krait.policy.model import Network

PROTOCOL = 75
"""`K` in ASCII; nobody's in /etc/iproute2/rt_protos."""

METRIC = 1
"""Of routes through the device: before whatever a network of the host's may bring along later, so
that what belongs into the tunnel does not leave in plaintext."""

_UNREACHABLE_METRIC = 1 << 31
_THROW_METRIC = 1 << 30

_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_HEADER = Struct("=BBBBBBBBI")
# rtmsg: family, prefix length, the source's, TOS, table, protocol, scope, type, flags
_DST, _OIF, _PRIORITY, _TABLE = 1, 4, 6, 15  # RTA_*
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_ANY = 0, 253, 255  # RT_SCOPE_*, the last one NOWHERE
_UNICAST, _UNREACHABLE, _THROW = 1, 7, 9  # RTN_*

_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_NETWORK_OF: dict[int, type[IPv4Network | IPv6Network]] = {
    socket.AF_INET: IPv4Network,
    socket.AF_INET6: IPv6Network,
}
_NOWHERE = {socket.AF_INET: bytes(4), socket.AF_INET6: bytes(16)}


class Table(IntEnum):
    """Where routes of ours are."""

    MAIN = 254  # RT_TABLE_MAIN
    OWN = 0x6B72  # `kr` in ASCII: 27506 in `ip route show table 27506`


@dataclass(frozen=True, slots=True)
class Route:
    """A route of ours."""

    destination: Network
    ifindex: int | None
    """The device that it leads through; None: unreachable, or thrown."""
    metric: int = METRIC
    table: Table = Table.MAIN
    is_thrown: bool = False  # the tables after this one are asked


def through(destination: Network, ifindex: int, table: Table = Table.MAIN) -> Route:
    """A route through a device, which must be up."""
    return Route(destination, ifindex, table=table)


def unreachable(destination: Network, interface: str, table: Table = Table.MAIN) -> Route:
    """A route that refuses what no other route takes: what is left when the device is gone.

    Its metric, behind all others, has 31 bits of the interface's name, by which it is known again
    when there is no device: several meshes of one machine do not take away each other's.
    """
    return Route(destination, None, _UNREACHABLE_METRIC | crc32(interface.encode()), table)


def thrown(destination: Network, interface: str) -> Route:
    """A route of our table that has the others asked; it is known again as an unreachable one is.

    Another metric, because IPv6 tells routes of one metric apart by their device alone.
    """
    metric = _THROW_METRIC | crc32(interface.encode()) % _THROW_METRIC
    return Route(destination, None, metric, Table.OWN, is_thrown=True)


def observe_routes() -> frozenset[Route]:
    """The routes of ours, in both tables. Raises SystemRefused."""
    try:
        with Netlink() as netlink:
            found = [
                consistent(partial(_dump, netlink, family, table))
                for family, table in product(_NETWORK_OF, Table)
            ]
    except (OSError, ValueError) as error:
        raise refused("cannot look at the routes", error) from error
    return frozenset(chain.from_iterable(found))


def add_routes(routes: Sequence[Route]) -> None:
    """Add routes; one of ours that is there already stays.

    Raises SystemRefused, naming the first that was refused; the others are made.
    """
    refusals = _batch(_NEWROUTE, routes, CREATE | EXCLUSIVE)
    taken = {each for each, error in refusals.items() if error.errno == EEXIST}
    ours = observe_routes() if taken else frozenset()
    for each, error in refusals.items():
        if each in ours:
            continue
        if each in taken:
            raise SystemRefused(
                f"there is a route to {each.destination} of the same metric already, not Krait's",
                hint=f"`ip route show {each.destination}` shows it: delete it, or take the prefix "
                "out of the mesh.",
            ) from error
        raise refused(f"cannot add route {each.destination}", error) from error


def remove_routes(routes: Sequence[Route]) -> None:
    """Take routes of ours away; no error for one that is gone. Raises as `add_routes`."""
    for each, error in _batch(_DELROUTE, routes, 0).items():
        if error.errno != ESRCH:
            raise refused(f"cannot remove route {each.destination}", error) from error


def _dump(netlink: Netlink, family: int, table: Table) -> list[Route]:
    question = _HEADER.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
    question += attribute(_TABLE, U32.pack(table))
    try:
        found = [decode(reply.body, table) for reply in netlink.ask(_GETROUTE, question, DUMP)]
        return [each for each in found if each is not None]
    except OSError as error:
        # A table is made with its first route; a kernel may be without IPv6.
        if error.errno in (ENOENT, EOPNOTSUPP):
            return []
        raise


@whole("a route")
def decode(body: memoryview, table: Table) -> Route | None:
    """The route of a message, None if it is not ours, or not in this table.

    One of our protocol is not ours if it is of a type that we do not make there, a blackhole say.
    Raises ValueError if it lacks a part.
    """
    family, length, _, _, _, protocol, _, kind, _ = _HEADER.unpack_from(body)
    fields = dict(attributes(body, _HEADER.size))
    is_there = _TABLE in fields and _number(fields[_TABLE]) == table
    if family not in _NETWORK_OF or protocol != PROTOCOL or not is_there:
        return None  # from a kernel that leaves it to us to choose
    if kind not in (_UNICAST, _UNREACHABLE, *([_THROW] if table is Table.OWN else ())):
        return None
    address = bytes(fields.get(_DST, _NOWHERE[family]))
    ifindex = _number(fields[_OIF]) if kind == _UNICAST else None
    metric = _number(fields[_PRIORITY]) if _PRIORITY in fields else 0
    cidr = _NETWORK_OF[family]((address, length))
    return Route(cidr, ifindex, metric, table, is_thrown=kind == _THROW)


def _number(payload: memoryview) -> int:
    return int(U32.unpack(payload)[0])


def _batch(kind: int, routes: Sequence[Route], flags: int) -> dict[Route, OSError]:
    try:
        with Netlink() as netlink:
            refusals = netlink.batch([*_requests(kind, routes, flags)])
    except OSError as error:
        raise refused("cannot change routes", error) from error
    return {routes[place]: error for place, error in refusals.items()}


def _requests(kind: int, routes: Iterable[Route], flags: int) -> Iterator[Request]:
    for route in routes:
        if kind == _DELROUTE:
            scope = _SCOPE_ANY
        else:
            scope = _SCOPE_UNIVERSE if route.ifindex is None else _SCOPE_LINK
        yield Request(kind, packed(route, scope), flags)


def packed(route: Route, scope: int = _SCOPE_ANY) -> bytes:
    """The body of a message that adds a route, or, of any scope, takes it away."""
    to, kind = route.destination, _UNICAST
    if route.ifindex is None:
        kind = _THROW if route.is_thrown else _UNREACHABLE
    body = _HEADER.pack(*(_FAMILY[to.version], to.prefixlen, 0, 0), *(0, PROTOCOL, scope, kind, 0))
    body += attribute(_TABLE, U32.pack(route.table))
    body += attribute(_DST, to.network_address.packed)
    body += attribute(_PRIORITY, U32.pack(route.metric))
    if route.ifindex is not None:
        body += attribute(_OIF, U32.pack(route.ifindex))
    return body
