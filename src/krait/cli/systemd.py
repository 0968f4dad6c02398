# SPDX-License-Identifier: Apache-2.0
"""The unit of an agent, `krait@IFACE.service`, where systemd runs and knows it."""

import subprocess
from pathlib import Path

from krait.agent.paths import Paths
from krait.common.errors import SystemRefused
from krait.kernel import netns

_SYSTEMD = Path("/run/systemd/system")
_LIMIT_S = 180.0  # twice what systemd gives a unit to start or to end


def unit(interface: str) -> str:
    """Its name."""
    return f"krait@{interface}.service"


def has_unit(interface: str, paths: Paths) -> bool:
    """Whether the agent is one's: units live in the first process's network namespace, unless a
    drop-in says otherwise.
    """
    if paths.namespace or not _SYSTEMD.is_dir() or not netns.is_of(1):
        return False
    return _run("cat", interface).returncode == 0


def is_active(interface: str) -> bool:
    """Whether its unit is, or is about to be."""
    return _run("is-active", interface).stdout.strip() in ("active", "activating", "reloading")


def is_enabled(interface: str) -> bool:
    """Whether its unit starts at boot."""
    return _run("is-enabled", interface).returncode == 0


def tell(verb: str, interface: str) -> None:
    """Such as `restart`, and wait for it. Raises SystemRefused."""
    if (done := _run(verb, interface)).returncode:
        said = next(iter(done.stderr.strip().splitlines()), "no reason given")
        raise SystemRefused(
            f"systemd could not {verb} {unit(interface)}: {said}",
            hint=f"journalctl -u {unit(interface)} -n 20",
        )


def _run(verb: str, interface: str) -> subprocess.CompletedProcess[str]:
    command = ["systemctl", "--no-pager", verb, unit(interface)]
    try:
        return subprocess.run(  # noqa: S603 - a fixed command, and a name that was checked
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", error.strerror or "")
    except subprocess.TimeoutExpired as error:
        raise SystemRefused(
            f"systemd does not answer: systemctl {verb} {unit(interface)}",
            hint="see what it waits for: systemctl list-jobs",
        ) from error
