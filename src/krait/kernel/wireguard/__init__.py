# SPDX-License-Identifier: Apache-2.0
"""Look at a WireGuard interface, the kernel's or a userspace one, without changing it.

WireGuard tells nobody when its peers change. Who must know compares `fingerprint` from time to
time (at 10,000 peers it reads 2.3 MB and takes about 30 ms) and asks it for the device when it
differs.
"""

from collections.abc import Callable, Iterator
from errno import ENODEV
from functools import partial
from pathlib import Path
from typing import TypeVar

from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.netlink import GENERIC, Netlink, consistent, refused
from krait.kernel.wireguard import driver, module, userspace
from krait.kernel.wireguard.device import NO_KEY, Device, Fingerprint, NotWireguard, Peer

__all__ = ["NO_KEY", "Device", "Fingerprint", "NotWireguard", "Peer", "fingerprint", "observe"]

_T = TypeVar("_T")

_Trust = Callable[[int], None]


def observe(interface: str, *, sockets: Path = userspace.FOLDER) -> Device:
    """The interface as it is now, without any secret of it.

    `sockets` is the folder of userspace implementations. Raises NoSuchInterface, NotWireguard, or
    SystemRefused if the implementation does not answer, or cannot be seen to drive the interface.
    """
    return _look(
        interface,
        sockets,
        module.decode,
        lambda link, path, trust: userspace.decode(link, userspace.converse(path, trust)),
    )


def fingerprint(interface: str, *, sockets: Path = userspace.FOLDER) -> Fingerprint:
    """What changes when a key or an allowed IP does, and not with anything else.

    Comparable only between looks at one interface. Raises as `observe` does.
    """

    def of_module(bodies: Iterator[memoryview]) -> Fingerprint:
        seen = module.essence(bodies)
        return Fingerprint(seen.digest, seen.device)

    def of_process(link: Link, path: Path, trust: _Trust) -> Fingerprint:
        seen = userspace.essence(path, trust)
        return Fingerprint(seen.digest, partial(seen.device, link))

    return _look(interface, sockets, of_module, of_process)


def _look(
    interface: str,
    sockets: Path,
    read_dump: Callable[[Iterator[memoryview]], _T],
    ask_process: Callable[[Link, Path, _Trust], _T],
) -> _T:
    link = observe_link(interface)
    if link is None:
        raise NoSuchInterface(interface)
    if link.kind == module.FAMILY:
        return _ask_module(link, read_dump)
    if link.kind == "tun":
        return _ask_process(link, sockets / f"{link.name}.sock", ask_process)
    raise NotWireguard(link.name, link.kind)


def _ask_module(link: Link, read: Callable[[Iterator[memoryview]], _T]) -> _T:
    try:
        with Netlink(GENERIC) as netlink:
            family = netlink.family(module.FAMILY)
            if family is None:
                raise NoSuchInterface(link.name)  # the module went, and the interface with it
            return consistent(lambda: read(module.dump(netlink, family, link.ifindex)))
    except OSError as error:
        if error.errno == ENODEV:
            raise NoSuchInterface(link.name) from error
        raise refused(f"cannot look at WireGuard interface {link.name}", error) from error


def _ask_process(link: Link, path: Path, ask: Callable[[Link, Path, _Trust], _T]) -> _T:
    with driver.answering(link, path):
        seen = ask(link, path, partial(driver.require, link, path))
    now = observe_link(link.name)
    if now is None or now.ifindex != link.ifindex:
        raise NoSuchInterface(link.name)  # what was driven then has the name no more
    return seen
