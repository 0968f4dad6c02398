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
from krait.kernel.wireguard import driver, module, module_change, userspace, userspace_change
from krait.kernel.wireguard.change import DeviceChange, PeerChange
from krait.kernel.wireguard.device import NotWireguard
from krait.policy.endpoint import NotAnEndpoint

__all__ = ["DeviceChange", "PeerChange", "configure"]


def configure(name: str, change: DeviceChange, *, sockets: Path = userspace.FOLDER) -> None:
    """Make the change and return when it is made.

    `sockets` is the folder of userspace implementations. Raises NoSuchInterface, NotWireguard, or
    SystemRefused, also for what WireGuard has no words for; none of them quotes a key.
    """
    link = observe_link(name)
    if link is None:
        raise NoSuchInterface(name)
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
            userspace_change.send(path, change, partial(driver.require, link, path))
        except userspace_change.Refused as error:
            raise _refused(link, change, error) from error


def _refused(link: Link, change: DeviceChange, error: OSError) -> SystemRefused:
    if error.errno == ENODEV:
        return NoSuchInterface(link.name)
    if error.errno == EADDRINUSE and change.listen_port:
        return SystemRefused(
            f"{link.name} cannot listen on UDP port {change.listen_port}: it is in use",
            hint="Choose another listen_port, or stop what listens there: `ss -lunp` names it.",
        )
    return refused(f"cannot configure WireGuard interface {link.name}", error)
