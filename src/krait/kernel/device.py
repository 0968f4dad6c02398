# SPDX-License-Identifier: Apache-2.0
"""Make a WireGuard device of Krait's own, change it, take it away.

A device of Krait's has a mark, its group, from the moment it exists: the kernel sets a group that
comes with RTM_NEWLINK before it registers the device (rtnl_create_link() in net/core/rtnetlink.c),
so that no crash can leave one behind that nobody owns up to.

Devices are named by their number here: a name may be another device's by now.

Sources: include/uapi/linux/{rtnetlink,if_link,if_addr}.h.
"""

import socket
from collections.abc import Sequence
from errno import EADDRINUSE, EADDRNOTAVAIL, EEXIST, ENODEV, EOPNOTSUPP
from ipaddress import IPv4Interface, IPv6Interface
from struct import Struct

from krait.common.errors import SystemRefused
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.netlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    U32,
    Netlink,
    Request,
    attribute,
    nested,
    refused,
    text,
)
from krait.kernel.udp import PortInUse

MARK = 0x6B726169
"""The group of what Krait made, `krai` in ASCII: 1802658153 in `ip link`."""

KIND = "wireguard"
USERSPACE_KIND = "tun"

_NEWLINK, _DELLINK, _NEWADDR, _DELADDR = 16, 17, 20, 21
_LINK = Struct("=BxHiII")  # ifinfomsg: family, hardware type, index, flags, change
_NAME, _MTU, _LINKINFO, _GROUP = 3, 4, 18, 27  # IFLA_*
_INFO_KIND = 1
_IFF_UP, _IFF_MULTICAST = 0x1, 0x1000

_ADDRESS_HEADER = Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ADDRESS, _LOCAL = 1, 2  # IFA_*
# Without it an IPv6 address is tentative, no source of anything, until a worker of the kernel has
# come by, even where the link has no duplicate address detection (net/ipv6/addrconf.c).
_NODAD = {4: 0, 6: 0x02}  # IFA_F_NODAD
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

Address = IPv4Interface | IPv6Interface


class NoKernelWireguard(SystemRefused):
    """This kernel has no WireGuard, so that it makes no device of that kind."""

    def __init__(self) -> None:
        super().__init__(
            "this kernel has no WireGuard",
            hint="Install the kernel package that has the module `wireguard`, or run a userspace "
            "one, slower: `--userspace wireguard-go`.",
        )


def is_ours(link: Link) -> bool:
    """Whether Krait made it: it has the mark, and is of a kind that Krait makes."""
    return link.group == MARK and link.kind in (KIND, USERSPACE_KIND)


def make(name: str, *, mtu: int) -> Link:
    """Make a WireGuard device, down, marked as ours, and without a key or a peer.

    Raises NoKernelWireguard, or SystemRefused, also if there is an interface of that name.
    """
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_NAME, name) + attribute(_MTU, U32.pack(mtu))
    body += attribute(_GROUP, U32.pack(MARK)) + nested(_LINKINFO, text(_INFO_KIND, KIND))
    try:
        with Netlink() as netlink:
            netlink.tell(_NEWLINK, body, CREATE | EXCLUSIVE)
    except OSError as error:
        if error.errno == EOPNOTSUPP:
            raise NoKernelWireguard from error
        if error.errno == EEXIST:
            raise SystemRefused(
                f"there is an interface {name} already",
                hint="Give the mesh another interface name, or delete that one if it is nobody's.",
            ) from error
        raise refused(f"cannot make interface {name}", error) from error
    link = observe_link(name)
    if link is None or not is_ours(link):
        raise NoSuchInterface(name)  # gone again; what has the name now is somebody else's
    return link


def delete(ifindex: int) -> None:
    """Delete a device; no error if it is gone. Raises SystemRefused."""
    try:
        with Netlink() as netlink:
            netlink.tell(_DELLINK, _LINK.pack(0, 0, ifindex, 0, 0))
    except OSError as error:
        if error.errno != ENODEV:
            raise refused(f"cannot delete interface {_name(ifindex)}", error) from error


def mark(ifindex: int) -> None:
    """Mark a device as ours that did not come with the mark. Raises as `set_up`."""
    _change(ifindex, attributes=attribute(_GROUP, U32.pack(MARK)))


def set_up(ifindex: int) -> None:
    """Let it carry traffic. Raises NoSuchInterface, SystemRefused."""
    _change(ifindex, flags=_IFF_UP, change=_IFF_UP)


def set_down(ifindex: int) -> None:
    """Let it carry none; the kernel takes away the routes through it. Raises as `set_up`."""
    _change(ifindex, change=_IFF_UP)


def set_mtu(ifindex: int, mtu: int) -> None:
    """In bytes; below 1280 the kernel takes its IPv6 addresses away. Raises as `set_up`."""
    _change(ifindex, attributes=attribute(_MTU, U32.pack(mtu)))


def set_multicast(ifindex: int, *, on: bool) -> None:
    """Whether it says that it can do multicast, which it does anyhow. Raises as `set_up`."""
    _change(ifindex, flags=_IFF_MULTICAST if on else 0, change=_IFF_MULTICAST)


def add_addresses(ifindex: int, addresses: Sequence[Address]) -> None:
    """Give it addresses; one that it has already stays. Raises as `set_up`.

    Where one replaces another of the same subnet, take the old one away first: a second IPv4
    address of a subnet goes with the first (net.ipv4.conf.*.promote_secondaries).
    """
    _change_addresses(ifindex, _NEWADDR, addresses)


def remove_addresses(ifindex: int, addresses: Sequence[Address]) -> None:
    """Take addresses away; no error for one that is gone. Raises as `set_up`."""
    _change_addresses(ifindex, _DELADDR, addresses)


def _change(ifindex: int, *, flags: int = 0, change: int = 0, attributes: bytes = b"") -> None:
    try:
        with Netlink() as netlink:
            netlink.tell(_NEWLINK, _LINK.pack(0, 0, ifindex, flags, change) + attributes)
    except OSError as error:
        raise _refused(ifindex, f"cannot change interface {_name(ifindex)}", error) from error


def _change_addresses(ifindex: int, kind: int, addresses: Sequence[Address]) -> None:
    adds = kind == _NEWADDR
    flags = CREATE | REPLACE if adds else 0
    requests = [Request(kind, packed_address(ifindex, each), flags) for each in addresses]
    try:
        with Netlink() as netlink:
            refusals = netlink.batch(requests)
    except OSError as error:
        raise _refused(ifindex, "cannot change addresses", error) from error
    for place, refusal in refusals.items():
        if adds or refusal.errno not in (EADDRNOTAVAIL, ENODEV):
            doing = f"{'add' if adds else 'remove'} address {addresses[place]}"
            raise _refused(ifindex, f"cannot {doing} on {_name(ifindex)}", refusal) from refusal


def packed_address(ifindex: int, address: Address) -> bytes:
    """The body of a message that gives an interface an address, or takes it away."""
    length = address.network.prefixlen
    header = _ADDRESS_HEADER.pack(
        _FAMILY[address.version], length, _NODAD[address.version], 0, ifindex
    )
    return header + attribute(_LOCAL, address.packed) + attribute(_ADDRESS, address.packed)


def _refused(ifindex: int, doing: str, error: OSError) -> SystemRefused:
    if error.errno == ENODEV:
        return NoSuchInterface(_name(ifindex))
    if error.errno == EADDRINUSE:
        return PortInUse(None)
    return refused(doing, error)


def _name(ifindex: int) -> str:
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return f"number {ifindex}"
