# SPDX-License-Identifier: Apache-2.0
"""What `krait doctor` asks of the running kernel, read from /proc, its modules and netlink.

Changes nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from krait.kernel.netlink import GENERIC, Netlink

_SYSCTL = Path("/proc/sys")
_MODULES = Path("/lib/modules")
_CLSACT = ("sch_ingress", "cls_bpf")

_PACKET_SOCKETS = Path("/proc/net/packet")
_IFINDEX = 4  # the column `Iface`; net/packet/af_packet.c, packet_seq_show()


@dataclass(frozen=True, slots=True)
class Facts:
    """The machine as this network namespace sees it; None where the kernel does not say."""

    kernel: str
    """Its release, such as `6.12.48-amd64`."""
    bpf_jit: bool | None
    """None in a network namespace other than the first, which cannot see the setting."""
    forwarding4: bool | None
    forwarding6: bool | None
    wireguard: bool
    """The kernel's own WireGuard is there."""
    unprivileged_bpf: bool | None = None
    """Every user may load programs; None where the kernel has no such setting."""


def observe_facts() -> Facts:
    """Look at the kernel, which may load its WireGuard module to answer."""
    jit = _number("net/core/bpf_jit_enable")
    forwarding4 = _number("net/ipv4/ip_forward")
    forwarding6 = _number("net/ipv6/conf/all/forwarding")
    bpf_disabled = _number("kernel/unprivileged_bpf_disabled")
    with Netlink(GENERIC) as netlink:
        wireguard = netlink.family("wireguard") is not None
    return Facts(
        kernel=os.uname().release,
        bpf_jit=None if jit is None else jit > 0,
        forwarding4=None if forwarding4 is None else forwarding4 > 0,
        forwarding6=None if forwarding6 is None else forwarding6 > 0,
        wireguard=wireguard,
        unprivileged_bpf=None if bpf_disabled is None else bpf_disabled == 0,
    )


def clsact_built(release: str, modules: Path = _MODULES) -> bool | None:
    """Whether the kernel has what clsact filters need, built in or to be loaded.

    None where nothing tells: a kernel without its list of modules.
    """
    lists = [modules / release / name for name in ("modules.builtin", "modules.dep")]
    listed = "".join(each.read_text() for each in lists if each.exists())
    if not listed:
        return None
    return all(f"/{name}.ko" in listed for name in _CLSACT)


def packet_sockets(ifindex: int, table: Path = _PACKET_SOCKETS) -> int:
    """How many packet sockets (packet(7)) of this network namespace see an interface's packets."""
    if not table.exists():  # a kernel that has none
        return 0
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(int(row[_IFINDEX]) in (0, ifindex) for row in rows)


def reverse_path_filter(interface: str) -> int | None:
    """0 off, 1 strict, 2 loose: what holds on the interface, None if there is no such interface.

    The kernel takes the larger of the interface's and of `all` (ip-sysctl.rst, rp_filter).
    """
    own = _number(f"net/ipv4/conf/{interface}/rp_filter")
    everywhere = _number("net/ipv4/conf/all/rp_filter")
    return None if own is None else max(own, everywhere or 0)


def has_ipv6(interface: str) -> bool:
    """Whether the interface may have IPv6 addresses; of one that is not there, whether a new one.

    False too where the kernel knows no IPv6 at all.
    """
    own = _number(f"net/ipv6/conf/{interface}/disable_ipv6")
    return (_number("net/ipv6/conf/default/disable_ipv6") if own is None else own) == 0


def _number(setting: str) -> int | None:
    try:
        return int((_SYSCTL / setting).read_text())
    except (FileNotFoundError, PermissionError):
        return None
