# SPDX-License-Identifier: Apache-2.0
"""Rules of Krait's own: what is for a range of the mesh is asked of Krait's table first.

A host's network may bring along routes that are narrower than the mesh's, by DHCP say, and would
have its packets leave in plaintext; the main table knows no other order than by length. A rule
comes before it: one for each range, known as ours by its protocol.

Sources: include/uapi/linux/fib_rules.h, net/core/fib_rules.c.
"""

import socket
from collections.abc import Iterable
from errno import EAFNOSUPPORT, EEXIST, ENOENT, EOPNOTSUPP
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from itertools import chain
from struct import Struct

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
from krait.kernel.route import PROTOCOL, Table
from krait.policy.model import Network

PRIORITY = 1075
"""After the local table (0) and VRFs (1000), before everybody whom the kernel or a tool numbers."""

_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_HEADER = Struct("=BBBBBBBBI")
# fib_rule_hdr: family, lengths of destination and source, TOS, table, reserved, action, flags
_DST, _PRIORITY, _TABLE, _PROTOCOL = 1, 6, 15, 21  # FRA_*
_REALM, _SUPPRESSES, _PAD = 11, 14, 18  # FRA_FLOW, FRA_SUPPRESS_PREFIXLEN
_NAMED = frozenset({_DST, _PRIORITY, _TABLE, _PROTOCOL})
_HARMLESS = frozenset({_REALM, _SUPPRESSES, _PAD})
_NOTHING = U32.pack(0xFFFFFFFF)  # is suppressed
_TO_TABLE, _INVERTED = 1, 2  # FR_ACT_TO_TBL, FIB_RULE_INVERT
_TRIES = 16
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_NETWORK_OF: dict[int, type[IPv4Network | IPv6Network]] = {
    socket.AF_INET: IPv4Network,
    socket.AF_INET6: IPv6Network,
}


def observe_rules() -> frozenset[Network]:
    """The ranges that rules of ours are for. Raises SystemRefused."""
    try:
        with Netlink() as netlink:
            found = [consistent(partial(_dump, netlink, each)) for each in _FAMILY.values()]
    except (OSError, ValueError) as error:
        raise refused("cannot look at the routing rules", error) from error
    return frozenset(chain.from_iterable(found))


def add_rules(ranges: Iterable[Network]) -> None:
    """Have Krait's table asked first for these; one that is there already stays.

    Raises SystemRefused, also on a kernel without CONFIG_IP_MULTIPLE_TABLES.
    """
    # To the kernel one that is for fewer packets is the same, unless it is not asked to compare.
    if there := _change(_NEWRULE, ranges, CREATE | EXCLUSIVE, EEXIST):
        _change(_NEWRULE, there - observe_rules(), CREATE, EEXIST)


def remove_rules(ranges: Iterable[Network]) -> None:
    """Take rules of ours away; no error for one that is gone. Raises as `add_rules`."""
    left = frozenset(ranges)
    for _ in range(_TRIES):
        if not left:
            break
        _change(_DELRULE, left, 0, ENOENT)
        left &= observe_rules()  # one may have gone that was before ours and for fewer packets


def _change(kind: int, ranges: Iterable[Network], flags: int, harmless: int) -> frozenset[Network]:
    """Those of which the kernel said the harmless error."""
    ordered = tuple(ranges)
    requests = [Request(kind, packed(each), flags) for each in ordered]
    try:
        with Netlink() as netlink:
            refusals = netlink.batch(requests)
    except OSError as error:
        raise refused("cannot change routing rules", error) from error
    for refusal in refusals.values():
        if refusal.errno != harmless:
            doing = "add" if kind == _NEWRULE else "remove"
            raise refused(f"cannot {doing} a routing rule for the mesh", refusal) from refusal
    return frozenset(ordered[place] for place in refusals)


def packed(to: Network) -> bytes:
    """The body of a message that adds the rule for a range, or takes it away."""
    header = _HEADER.pack(_FAMILY[to.version], to.prefixlen, 0, 0, 0, 0, 0, _TO_TABLE, 0)
    return (
        header
        + attribute(_DST, to.network_address.packed)
        + attribute(_PRIORITY, U32.pack(PRIORITY))
        + attribute(_TABLE, U32.pack(Table.OWN))
        + attribute(_PROTOCOL, bytes([PROTOCOL]))
    )


def _dump(netlink: Netlink, family: int) -> list[Network]:
    question = _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    try:
        found = [decode(reply.body) for reply in netlink.ask(_GETRULE, question, DUMP)]
        return [each for each in found if each is not None]
    except OSError as error:
        if error.errno in (EAFNOSUPPORT, EOPNOTSUPP):  # no IPv6, or no rules at all
            return []
        raise


@whole("a routing rule")
def decode(body: memoryview) -> Network | None:
    """The range that the rule of a message is for, None if it is not ours.

    One of our protocol and table in another place of the order is not: it may come after a route
    in plaintext, and what takes ours away does not name it. Nor is one that asks for more than the
    destination, a mark say: others of the mesh's packets pass it by. Raises ValueError if it lacks
    a part.
    """
    family, length, source, tos, _, _, _, action, flags = _HEADER.unpack_from(body)
    fields = dict(attributes(body, _HEADER.size))
    if not _NAMED <= fields.keys() <= _NAMED | _HARMLESS:
        return None
    if fields.get(_SUPPRESSES, _NOTHING) != _NOTHING:
        return None
    named = bytes(fields[_PROTOCOL]), *(U32.unpack(fields[at])[0] for at in (_TABLE, _PRIORITY))
    if named != (bytes([PROTOCOL]), Table.OWN, PRIORITY):
        return None
    if (source, tos, action, flags & _INVERTED) != (0, 0, _TO_TABLE, 0):
        return None
    address = bytes(fields[_DST])
    found = _NETWORK_OF[family]((address, length), strict=False)
    # The kernel keeps what lies behind the prefix; no rule of ours has anything there.
    return found if found.network_address.packed == address else None
