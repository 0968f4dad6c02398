# SPDX-License-Identifier: Apache-2.0
"""A guest whose PID 1 is systemd: the host's own, booted into a small target.

What the host enables is hidden; what a machine without disks, terminals and users has no use for is
masked, above all udev, which costs an emulated processor most of a boot. So there are no `.device`
units. Commands can run before the target is reached: wait for units, or for `BOOTED`.
"""

import sys
from collections.abc import Mapping, Sequence

from krait.lab.virtual.initramfs import PORTER_PATH, Setting

BOOTED = ("systemctl", "is-system-running", "--wait")
"""Succeeds, by "running", once all units of the boot have started; fails if one of them failed."""

_SYSTEMD = "/lib/systemd/system"
_UNITS = "/etc/systemd/system"
_TARGET = "default.target"
_MASKED = (
    *("apparmor.service", "dev-hugepages.mount", "dev-mqueue.mount", "kmod-static-nodes.service"),
    *("ldconfig.service", "proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount"),
    *("sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("systemd-ask-password-console.path", "systemd-ask-password-wall.path"),
    *("systemd-binfmt.service", "systemd-boot-system-token.service", "systemd-firstboot.service"),
    *("systemd-hwdb-update.service", "systemd-journal-flush.service", "systemd-repart.service"),
    *("systemd-machine-id-commit.service", "systemd-modules-load.service"),
    *("systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-pstore.service"),
    *("systemd-random-seed.service", "systemd-remount-fs.service", "systemd-sysctl.service"),
    *("systemd-sysusers.service", "systemd-timesyncd.service", "systemd-tmpfiles-clean.timer"),
    *("systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service"),  # it empties /tmp
    *("systemd-udev-trigger.service", "systemd-udevd.service", "systemd-update-utmp.service"),
    *("systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-initctl.socket"),
)
_PORTER = f"""
[Unit]
Description=Commands of the lab
DefaultDependencies=no
[Service]
ExecStart={sys.executable} -I -S {PORTER_PATH}
StandardError=journal+console
"""


def systemd(wanted: Sequence[str] = (), files: Mapping[str, str] | None = None) -> Setting:
    """How a guest starts under systemd: `wanted` are units that its boot starts, `files` are put
    on its root before, such as units in /etc/systemd/system, where there is nothing else.
    """
    target = f"[Unit]\nRequires=basic.target\nAfter=basic.target {' '.join(wanted)}\n"
    target += f"Wants=krait-lab.service {' '.join(wanted)}\n"
    return Setting(
        init="/lib/systemd/systemd",
        hidden=("/var/lib/krait", "/etc/krait", _UNITS),
        files={
            "/etc/fstab": "",
            "/etc/machine-id": "6b726169740000000000000000000001\n",
            f"{_UNITS}/{_TARGET}": target,
            f"{_UNITS}/krait-lab.service": _PORTER.lstrip(),
            **dict.fromkeys((f"{_UNITS}/{unit}" for unit in _MASKED), ""),  # empty is masked
            **(files or {}),
        },
    )
