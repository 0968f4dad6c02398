# SPDX-License-Identifier: Apache-2.0
"""Addresses that no prefix around them gives to anybody: link-local ones, and multicast.

Every link has all of the first, so that `::/0` or `fe80::/64` behind a peer says nothing about one:
it is somebody's only by a prefix of its own length. The others belong to the groups that a document
names, whatever allowed IPs say of where WireGuard sends them.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from krait.common.reason import Reason
from krait.policy.model import Address, Network, is_within

T = TypeVar("T")

LINK_LOCAL: tuple[Network, ...] = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))
"""RFC 3927 and RFC 4291, 2.5.6."""
MULTICAST: tuple[Network, ...] = (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8"))
"""RFC 5771 and RFC 4291, 2.7."""
RESERVED: tuple[Network, ...] = (IPv4Network("240.0.0.0/4"), IPv6Network("ffff::/16"))
"""With the broadcast address: nobody's, not even a group's."""
_NEVER: tuple[Network, ...] = (*LINK_LOCAL, IPv4Network("224.0.0.0/3"), IPv6Network("ff00::/8"))
_RANGES = (*LINK_LOCAL, *MULTICAST)


def carved(owners: Mapping[Network, T | None]) -> dict[Network, T | None]:
    """The owners of prefixes without those that are not theirs to have.

    What is shorter than an address has nothing of these ranges: such prefixes inside of one go, and
    one that holds a range has nobody (None) in its place. So does what is multicast.
    """
    left: dict[Network, T | None] = {}
    holes: dict[Network, None] = {}
    for cidr, owner in owners.items():
        if cidr.prefixlen < cidr.max_prefixlen:
            if any(is_within(cidr, each) for each in _RANGES):
                continue
            holes |= dict.fromkeys(each for each in _RANGES if is_within(each, cidr))
        elif cidr.network_address.is_multicast:
            continue
        left[cidr] = owner
    return left | holes


def never_passes(cidr: Network) -> bool:
    """Whether every packet drops that is to or from this subnet of somebody's, whatever rules say.

    One link-local address by itself may pass.
    """
    if cidr.prefixlen == cidr.max_prefixlen and cidr.is_link_local:
        return False
    return any(is_within(cidr, each) for each in _NEVER)


def of_nobody(address: Address, unknown: Reason) -> Reason:
    """Why a packet drops if nobody owns this one of its addresses."""
    if address.is_multicast:
        return Reason.MULTICAST
    return Reason.LINK_LOCAL if address.is_link_local else unknown
