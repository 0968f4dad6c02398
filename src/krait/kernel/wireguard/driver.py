# SPDX-License-Identifier: Apache-2.0
"""Whether a process drives a tun device: what a socket's name alone does not tell.

A userspace WireGuard opens its socket once, under the name that its device has then. Renamed, the
device goes on, and so does the socket; the next device of that name is somebody else's.

Source: tun_chr_show_fdinfo() in drivers/net/tun.c, a line `iff:` with the device's name of now.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from krait.common.errors import SystemRefused
from krait.kernel.link import Link
from krait.kernel.wireguard.device import NotWireguard

PROCESSES = Path("/proc")


class Unseen(OSError):
    """It cannot be told which devices a process drives."""


def devices(pid: int, processes: Path = PROCESSES) -> frozenset[str]:
    """The names of the tun devices that the process holds open, in whatever network namespace.

    `pid` is as this process sees it, 0 for one that it does not see. Raises Unseen where /proc does
    not show it: another PID namespace, another user, or capabilities that we do not have.
    """
    try:
        return frozenset(_devices(processes / str(pid) / "fdinfo"))
    except OSError as error:
        raise Unseen(
            error.errno, f"/proc does not show its descriptors ({error.strerror})"
        ) from error


def require(link: Link, path: Path, pid: int) -> None:
    """Raise unless the process that answers for a device drives it: its socket's name is a word."""
    try:
        driven = devices(pid)
    except Unseen as error:
        raise SystemRefused(
            f"cannot see whether the WireGuard that answers at {path} drives {link.name}: "
            f"{error.strerror}",
            hint="Run it in Krait's PID namespace, as Krait's user, and with no more capabilities "
            "than Krait has: CAP_NET_ADMIN does for it. The kernel's WireGuard needs none of this.",
        ) from error
    if link.name not in driven:
        others = ", ".join(sorted(driven)) or "no tun device"
        raise NotWireguard(
            link.name,
            link.kind,
            hint=f"The WireGuard that answers at {path} drives {others}: a rename left it its "
            "socket. Start one for this interface, or name the other.",
        )


@contextmanager
def answering(link: Link, path: Path) -> Iterator[None]:
    """A talk with the process behind a device's socket: its OSError becomes one that says the mend,
    NotWireguard where nobody listens. So does a ValueError: it was answered what cannot be.
    """
    try:
        yield
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotWireguard(
            link.name,
            link.kind,
            hint=f"If a userspace WireGuard made it, start that again, or ask where its socket "
            f"is (docs/up.md): nobody answers at {path}.",
        ) from error
    except OSError as error:
        raise SystemRefused(
            f"the userspace WireGuard of {link.name} does not answer: {error.strerror or error}",
            hint=f"Look at the process that holds {path}; it answers its own user, and root.",
        ) from error
    except ValueError as error:  # whose words may quote what is nobody's to read
        raise SystemRefused(
            f"the userspace WireGuard of {link.name} answers what no WireGuard says",
            hint=f"Look at the process that holds {path}: is it WireGuard, and does `wg` read it?",
        ) from error


def _devices(descriptors: Path) -> Iterator[str]:
    for each in descriptors.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            for line in each.read_text(errors="replace").splitlines():
                what, _, name = line.partition(":")
                if what == "iff" and name.strip():
                    yield name.strip()
