# SPDX-License-Identifier: Apache-2.0
"""The network namespace of this thread: its name for people, and a number of its own."""

import os
import socket
from contextlib import suppress
from errno import ENOPROTOOPT
from pathlib import Path
from struct import Struct

NAMED = Path("/run/netns")
"""Where `ip netns` gives names (ip-netns(8))."""

_HERE = Path("/proc/thread-self/ns/net")
_NETNS_COOKIE = 71  # SO_NETNS_COOKIE, include/uapi/asm-generic/socket.h
_COOKIE = Struct("=Q")


def name(folder: Path = NAMED) -> str:
    """What the namespace is called, empty if nobody named it; the first of several names."""
    here = _HERE.stat()
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError):  # removed meanwhile
            if os.path.samestat(each.stat(), here):
                return each.name
    return ""


def is_of(pid: int) -> bool:
    """Whether a process is in it too. Raises OSError where /proc does not tell."""
    return os.path.samestat(Path(f"/proc/{pid}/ns/net").stat(), _HERE.stat())


def cookie() -> int | None:
    """Its number, which is not used again before the next boot; None before Linux 5.14."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            (number,) = _COOKIE.unpack(probe.getsockopt(socket.SOL_SOCKET, _NETNS_COOKIE, 8))
        except OSError as error:
            if error.errno == ENOPROTOOPT:
                return None
            raise
    return int(number)
