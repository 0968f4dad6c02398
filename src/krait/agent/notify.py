# SPDX-License-Identifier: Apache-2.0
"""Word to systemd, by datagrams to the socket that it names: sd_notify(3), without libsystemd."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Self


class Notifier:
    """Says nothing where nobody listens."""

    def __init__(self, address: str, watchdog_s: float = 0.0) -> None:
        """`address` is a path or, after `@`, an abstract name; empty: nobody listens."""
        self.watchdog_s = watchdog_s
        """How long the agent may be silent; 0: as long as it likes."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._last_s = float("-inf")
        self._status = ""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As the service manager set it up; the watchdog may be meant for another process."""
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_us = int(environment.get("WATCHDOG_USEC", "0")) if meant else 0
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_us / 1e6)

    def ready(self, status: str) -> None:
        """Started, or done with reloading."""
        self._status = status
        self._tell("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        if status != self._status:
            self._status = status
            self._tell(f"STATUS={status}")

    def reloading(self) -> None:
        """SIGHUP was heard; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The agent ends; the policy stays."""
        self._tell("STOPPING=1")

    def alive(self, now_s: float) -> None:
        """All is well; told at most every half of the watchdog's time. `now_s` is monotonic."""
        if self.watchdog_s and now_s - self._last_s >= self.watchdog_s / 2:
            self._last_s = now_s
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return  # a manager that went away is no reason to stop
