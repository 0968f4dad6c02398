# SPDX-License-Identifier: Apache-2.0
"""Whether a process drives a tun device: what a socket's name alone does not tell.

A userspace WireGuard opens its socket once, under the name that its device has then. Renamed, the
device goes on, and so does the socket; the next device of that name is somebody else's.

Source: tun_chr_show_fdinfo() in drivers/net/tun.c, a line `iff:` with the device's name of now.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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


def _devices(descriptors: Path) -> Iterator[str]:
    for each in descriptors.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            for line in each.read_text(errors="replace").splitlines():
                what, _, name = line.partition(":")
                if what == "iff" and name.strip():
                    yield name.strip()
