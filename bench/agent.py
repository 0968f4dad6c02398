# SPDX-License-Identifier: Apache-2.0
"""A whole agent in a machine of namespaces, with wireguard-go and as many peers as wanted.

Moments are CLOCK_MONOTONIC, which all namespaces share: the agent logs when it stored a commit.
"""

import json
import os
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from bench import document
from krait.lab.namespace import NamespaceMachine
from krait.lab.tunnel import CONFINED

INTERFACE = "wg0"
KRAIT = ["krait"]
_FILE = "/run/mesh.yaml"
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process: CPU seconds since it began, resident memory now and at its most."""

    cpu_s: float
    resident_mib: float
    peak_mib: float


class Host:
    """A machine with the document of a mesh; it is the first node."""

    def __init__(self, machine: NamespaceMachine, nodes: int, rules: int) -> None:
        self.machine, self.nodes = machine, nodes
        self._lines = document.text(nodes, rules).splitlines(keepends=True)
        own = machine.succeed(["krait", "genkey", INTERFACE]).split()[-1]
        self._lines[2] = self._lines[2].replace(_base64(document.public_key(0)), own)
        self.write()

    def make_interface(self) -> None:
        """As another tool would: a WireGuard interface that holds the peers of the document."""
        machine = self.machine
        machine.spawn([*CONFINED, "wireguard-go", "-f", INTERFACE])
        machine.wait_until_succeeds(["wg", "show", INTERFACE])
        machine.succeed(
            ["wg", "setconf", INTERFACE, "/dev/stdin"],
            stdin="".join(self._configuration()),
            timeout_s=_LIMIT_S,
        )
        machine.succeed(
            f"ip address add {document.address(0)}/{document.MESH.prefixlen} dev {INTERFACE}"
            f" && ip link set {INTERFACE} up"
        )

    def write(self) -> int:
        """Write the document in place; when its file was closed, in monotonic nanoseconds."""
        with self.path(_FILE).open("w") as file:
            file.writelines(self._lines)
        return time.monotonic_ns()

    def retag(self, number: int, tag: int) -> int:
        """Change one node's line of the document; when its file was closed."""
        self._lines[2 + number] = document.node(number, tag=tag)
        return self.write()

    def add(self, number: int, *, first: bool = False) -> int:
        """One node more, the last, or one whose line moves all others; when the file was closed."""
        place = 3 if first else self._lines.index("policy:\n")
        self._lines.insert(place, document.node(number))
        return self.write()

    def allow(self, number: int, prefixes: str) -> int:
        """Give a peer other allowed IPs by `wg set`; when that was done."""
        key = _base64(document.public_key(number))
        self.machine.succeed(["wg", "set", INTERFACE, "peer", key, "allowed-ips", prefixes])
        return time.monotonic_ns()

    def path(self, inside: str) -> Path:
        """Where a file of the machine is on the host."""
        return Path(f"/proc/{self.machine.pid}/root{inside}")

    def pid_of(self, words: bytes) -> int:
        """The process, by its number in the machine, whose command line has these words."""
        for each in self.path("/proc").glob("[0-9]*"):
            if words in (each / "cmdline").read_bytes():
                return int(each.name)
        raise SystemExit(f"no process {words!r}")

    def usage(self, pid: int) -> Usage:
        """Of a process by its number in the machine."""
        folder = self.path(f"/proc/{pid}")
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text().splitlines() if line
        )
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        resident, peak = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return Usage(ticks / os.sysconf("SC_CLK_TCK"), resident, peak)

    def _configuration(self) -> Iterator[str]:
        private = self.machine.succeed(["cat", f"/var/lib/krait/{INTERFACE}.key"]).strip()
        yield f"[Interface]\nPrivateKey = {private}\nListenPort = 51820\n"
        for number in range(1, self.nodes):
            key, address = _base64(document.public_key(number)), document.address(number)
            yield f"[Peer]\nPublicKey = {key}\nAllowedIPs = {address}/32\n"


class LivingAgent:
    """A `krait` process on a host, and what it logs."""

    def __init__(self, host: Host, command: Sequence[str], log: str = "") -> None:
        """`log` is where it logs, if not to standard error."""
        self.host = host
        self._read, self._log = 0, log
        began_ns, began_s = time.monotonic_ns(), time.time()
        self._process = host.machine.spawn(command)
        self.store_s = (self.stored_ns() - began_ns) / 1e9
        """From the command's start to the first commit's store."""
        self.enforced_s = self._attached_s() - began_s
        """From the command's start until both hooks have the filter."""
        self.pid = host.pid_of(b"\0--iface\0")

    @classmethod
    def drop_in(cls, host: Host) -> Self:
        """For an interface that is there."""
        return cls(host, [*KRAIT, "--iface", INTERFACE, "--config", _FILE])

    @classmethod
    def up(cls, host: Host) -> Self:
        """One that `krait up` starts, and that makes the interface."""
        command = [*KRAIT, "up", "--config", _FILE, INTERFACE, "--userspace", "wireguard-go"]
        return cls(host, command, f"/var/log/krait/{INTERFACE}.log")

    def wait(self) -> None:
        """Until its command ends."""
        if self._process.wait(_LIMIT_S):
            raise SystemExit(self._process.stderr)

    def stored_ns(self) -> int:
        """When the next commit after the last one asked for was stored."""
        deadline_s = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline_s:
            lines = self._lines()
            for place, line in enumerate(lines[self._read :], start=self._read + 1):
                if stored_ns := line.get("stored_ns"):
                    self._read = place
                    return int(str(stored_ns))
            time.sleep(0.02)
        raise SystemExit(f"no commit within {_LIMIT_S:g} s:\n{self._process.stderr}")

    def skip(self) -> None:
        """Commits so far were asked for."""
        self._read = len(self._lines())

    def look(self) -> None:
        """Make it look now, not at the end of its second."""
        self.host.machine.succeed(["kill", "-HUP", str(self.pid)])

    def end(self) -> None:
        self.host.machine.succeed(["kill", str(self.pid)])
        self._process.wait()

    def _lines(self) -> list[dict[str, object]]:
        log = self.host.path(self._log)
        written = (
            self._process.stderr if not self._log else (log.exists() and log.read_text()) or ""
        )
        whole, _, _ = written.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def _attached_s(self) -> float:
        for line in self._lines():
            if line["event"] == "attach to egress":
                return datetime.fromisoformat(str(line["timestamp"])).timestamp()
        time.sleep(0.01)
        return self._attached_s()


@contextmanager
def host(nodes: int, rules: int) -> Iterator[Host]:
    """One that ends with the context."""
    machine = NamespaceMachine("scale")
    machine.start()
    try:
        yield Host(machine, nodes, rules)
    finally:
        machine.crash()


def _base64(key: bytes) -> str:
    return b64encode(key).decode()
