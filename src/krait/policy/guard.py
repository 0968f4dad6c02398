# SPDX-License-Identifier: Apache-2.0
"""`guard: true`: which addresses are for the tunnel alone, so that other interfaces drop them.

Pure. docs/adr/0024-guard.md tells which packets, and why.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_network

from krait.common.guard import GuardMark
from krait.policy.device import behind
from krait.policy.model import Document, Network, is_within
from krait.policy.view import HERE, Interface, InterfaceAddress, View, own_node


@dataclass(frozen=True, slots=True)
class Guard:
    """What the other interfaces of a node are held to."""

    marks: Mapping[Network, GuardMark]
    """The longest prefix that holds an address counts alone."""
    mesh: tuple[Network, ...]
    """The ranges: whoever has an address in one on another interface is cut off there."""
    behind: tuple[Network, ...]
    """What is behind this node and inside of a range: no address of the tunnel's."""


def guard_of(document: Document, interface: Interface, view: View) -> Guard | None:
    """What to hold other interfaces to; None: they are none of Krait's business.

    `view` is the document's of this interface, with nothing withheld.
    """
    node = own_node(document, interface.public_key)
    if not (document.policy.guard if node.guard is None else node.guard):
        return None
    inside = tuple(
        each for each in behind(document, node) if any(is_within(each, cidr) for cidr in view.mesh)
    )
    own = {
        *(ip_network(each) for each in node.addresses if not each.is_link_local),
        *(cidr for each in interface.addresses for cidr in _answered(each, view)),
    }
    marks = {
        **dict.fromkeys(view.mesh, GuardMark.MESH),
        **dict.fromkeys(inside, GuardMark.NOTHING),
        **dict.fromkeys(_of_others(view, inside), GuardMark.MESH),
        **dict.fromkeys(own, GuardMark.MESH | GuardMark.OWN),
    }
    return Guard(marks, view.mesh, inside)


def _answered(address: InterfaceAddress, view: View) -> Iterator[Network]:
    """What the kernel takes for itself because an interface has this address.

    That is more than the address: the broadcast address of its network, and the network's own,
    which is broadcast to older kernels and, of IPv6, anycast to a router (RFC 4291, 2.6.1).
    """
    if address.is_link_local:  # each interface's own, by its number
        return
    yield ip_network(address.ip)
    network = address.network
    if network.prefixlen >= network.max_prefixlen - 1:
        return
    ends = [network.network_address]
    if isinstance(address, IPv4Interface):
        ends.append(network.broadcast_address)
    for end in map(ip_network, ends):
        if view.owners.get(end) is None:
            yield end


def _of_others(view: View, behind: tuple[Network, ...]) -> Iterator[Network]:
    """What is another node's inside of a subnet behind this one."""
    if behind:
        for cidr, who in view.owners.items():
            is_mine = who is not None and who.peer == HERE
            if not is_mine and any(is_within(cidr, subnet) for subnet in behind):
                yield cidr
