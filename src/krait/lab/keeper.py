# SPDX-License-Identifier: Apache-2.0
"""Keeps machines up after the process that made them has gone: `python -I -S keeper.py`.

A keeper does nothing but hold the machines' lifelines. However it ends, they end. Keepers are found
by their command line, so nothing has to be written down that could be wrong later.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from os import kill
from pathlib import Path

_COMMAND = [sys.executable, "-I", "-S", str(Path(__file__))]


def keep(lifelines: Sequence[int]) -> int:
    """Start a keeper of these descriptors; its PID."""
    keeper = subprocess.Popen(  # noqa: S603  fixed arguments
        _COMMAND,
        pass_fds=lifelines,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's end is not its own
    )
    return keeper.pid


def kept() -> tuple[int, ...]:
    """The PIDs of all keepers that this installation of Krait started."""
    wanted = b"\0".join(map(str.encode, _COMMAND)) + b"\0"
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if (folder / "cmdline").read_bytes() == wanted:
                found.append(int(folder.name))
    return tuple(sorted(found))


def end(pids: Sequence[int]) -> None:
    """End keepers, and with them their machines."""
    for pid in pids:
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    signal.pause()
