# SPDX-License-Identifier: Apache-2.0
"""Change a WireGuard interface, the kernel's or a userspace one.

A change is not atomic: after an error some of it may be made, and what is made is that which comes
first (the device, then removals, then the others in their order). Look again and send the rest.
"""

from errno import EADDRINUSE, ENODEV
from functools import partial
from pathlib import Path

from krait.common.errors import SystemRefused
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.netlink import GENERIC, Netlink, refused
from krait.kernel.udp import PortInUse
from krait.kernel.wireguard import driver, module, module_change, userspace, userspace_change
from krait.kernel.wireguard.change import DeviceChange, PeerChange
from krait.kernel.wireguard.device import NotWireguard
from krait.policy.endpoint import NotAnEndpoint

__all__ = ["DeviceChange", "PeerChange", "configure"]


def configure(link: Link, change: DeviceChange, *, sockets: Path = userspace.FOLDER) -> None:
    """Make the change and return when it is made.

    `link` is the interface as it was looked at: another one that has its name by now is told
    nothing, least of all a key (NoSuchInterface). The kernel's is addressed by its number. A
    userspace one can only be by name, so it is looked at once more before it hears any secret.

    `sockets` is the folder of userspace implementations. Raises NoSuchInterface, NotWireguard, or
    SystemRefused, also for what WireGuard has no words for; none of them quotes a key.
    """
    try:
        if link.kind == module.FAMILY:
            _tell_module(link, change)
        elif link.kind == "tun":
            _tell_process(link, sockets / f"{link.name}.sock", change)
        else:
            raise NotWireguard(link.name, link.kind)
    except NotAnEndpoint as error:
        raise SystemRefused(
            f"cannot configure WireGuard interface {link.name}: {error.message}", hint=error.hint
        ) from error


def _tell_module(link: Link, change: DeviceChange) -> None:
    buffer = bytearray(module_change.MESSAGE_BYTES)
    try:
        with Netlink(GENERIC) as netlink:
            family = netlink.family(module.FAMILY)
            if family is None:
                raise NoSuchInterface(link.name)  # the module went, and the interface with it
            for body in module_change.pack(link.ifindex, change, buffer):
                netlink.tell(family, body)
    except OSError as error:
        raise _refused(link, change, error) from error
    finally:
        buffer[:] = bytes(len(buffer))  # it holds keys


def _tell_process(link: Link, path: Path, change: DeviceChange) -> None:
    with driver.answering(link, path):
        try:
            userspace_change.send(path, change, partial(_require_same, link, path))
        except userspace_change.Refused as error:
            raise _refused(link, change, error) from error


def _require_same(link: Link, path: Path, pid: int) -> None:
    """Raise unless the process that answers drives the very interface that was looked at."""
    driver.require(link, path, pid)
    now = observe_link(link.name)
    if now is None or (now.ifindex, now.group) != (link.ifindex, link.group):
        raise NoSuchInterface(link.name)


def _refused(link: Link, change: DeviceChange, error: OSError) -> SystemRefused:
    if error.errno == ENODEV:
        return NoSuchInterface(link.name)
    if error.errno == EADDRINUSE and change.listen_port:
        return PortInUse(change.listen_port)
    return refused(f"cannot configure WireGuard interface {link.name}", error)
