# SPDX-License-Identifier: Apache-2.0
"""What `krait doctor` asks of the running kernel, read from /proc and netlink; changes nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

from krait.kernel.netlink import GENERIC, Netlink

_SYSCTL = Path("/proc/sys/net")


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


def observe_facts() -> Facts:
    """Look at the kernel, which may load its WireGuard module to answer."""
    jit = _number("core/bpf_jit_enable")
    forwarding4, forwarding6 = _number("ipv4/ip_forward"), _number("ipv6/conf/all/forwarding")
    with Netlink(GENERIC) as netlink:
        wireguard = netlink.family("wireguard") is not None
    return Facts(
        kernel=os.uname().release,
        bpf_jit=None if jit is None else jit > 0,
        forwarding4=None if forwarding4 is None else forwarding4 > 0,
        forwarding6=None if forwarding6 is None else forwarding6 > 0,
        wireguard=wireguard,
    )


def reverse_path_filter(interface: str) -> int | None:
    """0 off, 1 strict, 2 loose: what holds on the interface, None if there is no such interface.

    The kernel takes the larger of the interface's and of `all` (ip-sysctl.rst, rp_filter).
    """
    own = _number(f"ipv4/conf/{interface}/rp_filter")
    everywhere = _number("ipv4/conf/all/rp_filter")
    return None if own is None else max(own, everywhere or 0)


def _number(setting: str) -> int | None:
    try:
        return int((_SYSCTL / setting).read_text())
    except (FileNotFoundError, PermissionError):
        return None
