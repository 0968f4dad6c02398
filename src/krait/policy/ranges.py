# SPDX-License-Identifier: Apache-2.0
"""The ranges that a mesh can have its addresses from, and those that can be behind a node."""

from ipaddress import ip_network

from krait.common.errors import UsageError
from krait.policy import values
from krait.policy.model import EVERYTHING_BITS, Network
from krait.policy.reserved import never_passes

_SPECIAL: dict[Network, str] = {
    ip_network(cidr): what
    for cidr, what in (
        ("0.0.0.0/8", "unspecified"),  # RFC 791: this network
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
}
"""What is no node's, whatever its document says (RFC 6890)."""


def mesh_range(text: str) -> Network:
    """A range that nodes can have addresses in, all of it. Raises UsageError."""
    cidr = values.network(text)
    if cidr.prefixlen <= EVERYTHING_BITS:
        raise UsageError(
            f"{cidr} is every address, or half of them",
            hint="write the range that the nodes have their addresses from",
        )
    for theirs, what in _SPECIAL.items():
        if overlap(cidr, theirs):
            raise UsageError(
                f"{cidr} holds {what} addresses, {theirs}", hint="choose a private range"
            )
    return cidr


def subnet(text: str) -> Network:
    """What may be behind a node. Raises UsageError for that of which no packet ever passes."""
    cidr = values.network(text)
    if not never_passes(cidr):
        return cidr
    if cidr.is_link_local:
        what = "link-local"
        hint = "every link has the same: a node lists the one that it has itself as `address`"
    elif cidr.is_multicast:
        what, hint = "multicast", "groups that rules may send to stand under `multicast`"
    else:
        what, hint = "reserved", "leave it out"
    raise UsageError(f"{cidr} is {what}: nothing passes to or from it", hint=hint)


def overlap(one: Network, other: Network) -> bool:
    """Whether an address is in both."""
    return one.version == other.version and one.overlaps(other)
