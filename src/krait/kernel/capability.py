# SPDX-License-Identifier: Apache-2.0
"""What this process may do: the few capabilities that Krait needs, and no more.

Numbers: include/uapi/linux/capability.h. Source of the set in force: proc_pid_status(5), CapEff.
"""

from enum import IntEnum
from pathlib import Path

from krait.common.errors import SystemRefused

_STATUS = Path("/proc/self/status")


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
