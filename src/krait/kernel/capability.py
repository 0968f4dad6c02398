# SPDX-License-Identifier: Apache-2.0
"""What this process may do: the few capabilities that Krait needs, and no more.

Numbers: include/uapi/linux/{capability,prctl}.h. Source of the set in force: proc_pid_status(5),
CapEff.
"""

import ctypes
from enum import IntEnum
from pathlib import Path

from krait.common.errors import SystemRefused

_STATUS = Path("/proc/self/status")

_LIBC = ctypes.CDLL(None, use_errno=True)
_DROP_FROM_BOUNDING_SET = 24  # PR_CAPBSET_DROP
_LAST = 63  # more than any kernel has; one that it lacks is no error here
_VERSION_3, _WORDS = 0x20080522, 2  # of capget(2)


class Capability(IntEnum):
    """A capability by its number."""

    NET_ADMIN = 12
    """Netlink changes, WireGuard's settings, TC programs."""
    PERFMON = 38
    """BPF programs that read with pointers, as all that parse packets do."""
    BPF = 39
    """Maps and programs."""


NEEDED = (Capability.NET_ADMIN, Capability.BPF, Capability.PERFMON)


def effective(status: str | None = None) -> frozenset[Capability]:
    """Those of our capabilities that are in force; `status` is text of /proc/PID/status."""
    text = _STATUS.read_text() if status is None else status
    (mask,) = (int(line.split()[1], 16) for line in text.splitlines() if line[:7] == "CapEff:")
    return frozenset(each for each in Capability if mask >> each & 1)


def require(*needed: Capability) -> None:
    """Raise SystemRefused, naming what is missing, unless each of `needed` is in force."""
    in_force = effective()
    missing = [f"CAP_{each.name}" for each in needed if each not in in_force]
    if missing:
        raise SystemRefused(
            f"this process lacks {', '.join(missing)}",
            hint="Run it as root, or give its systemd unit AmbientCapabilities="
            + " ".join(f"CAP_{each.name}" for each in NEEDED),
        )


def confine(*kept: Capability) -> None:
    """Let what this thread starts from now on have no capabilities but these, as far as we may.

    Where the bounding set is not ours to narrow (CAP_SETPCAP), it stays as it is: then nobody can
    gain more than we may have. The thread itself keeps what it has.
    """
    for each in range(_LAST + 1):
        if each not in kept:
            _LIBC.prctl(_DROP_FROM_BOUNDING_SET, each, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)  # of this thread
    sets = (
        ctypes.c_uint32 * (3 * _WORDS)
    )()  # effective, permitted, inheritable; the low word first
    if _LIBC.capget(header, sets) == 0:
        mask = sum(1 << each for each in kept)
        for word in range(_WORDS):
            sets[3 * word + 2] &= mask >> 32 * word & 0xFFFFFFFF
        _LIBC.capset(header, sets)
