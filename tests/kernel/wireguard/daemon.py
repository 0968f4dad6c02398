# SPDX-License-Identifier: Apache-2.0
"""A userspace WireGuard for the time of a test."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from krait.kernel.wireguard import userspace
from tests.patience import wait_until

_LISTENS = "00010000"  # __SO_ACCEPTCON


@contextmanager
def wireguard_go(name: str) -> Iterator[None]:
    """A userspace device for the time of the context. Sockets are shared by all namespaces, so
    its name must be nobody else's.
    """
    process = subprocess.Popen(["wireguard-go", "-f", name], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _is_served(name))
        assert process.poll() is None, "wireguard-go ended"
        yield
    finally:
        process.terminate()
        process.wait()


def _is_served(name: str) -> bool:
    """Whether it listens: `wg` deletes a socket that is bound and does not listen yet."""
    path = re.escape(f"{userspace.FOLDER}/{name}.sock")
    sockets = Path("/proc/thread-self/net/unix").read_text()
    return re.search(f" {_LISTENS} .* {path}$", sockets, re.MULTILINE) is not None
