# SPDX-License-Identifier: Apache-2.0
"""A machine's WireGuard interface: the kernel's, or wireguard-go for want of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from krait.common.errors import SystemRefused
from krait.lab.machine import CommandFailed, CommandTimedOut, Machine
from krait.lab.namespace import require

CONFINED = ("setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all,+net_admin")
"""A userspace WireGuard needs no more, and one that may do more than an agent hides from it which
device it drives: /proc shows a process's descriptors to those who may do as much (ptrace(2))."""


@dataclass(frozen=True, slots=True)
class Key:
    """A WireGuard key and its public half, in base64."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def generate(cls, machine: Machine) -> Self:
        """A new one, made on a machine."""
        private = machine.succeed(["wg", "genkey"]).strip()
        return cls(private, machine.succeed(["wg", "pubkey"], stdin=private).strip())


def make_interface(machine: Machine, interface: str) -> bool:
    """Make one that has no key yet; whether it is the kernel's.

    Raises SystemRefused where there is neither, CommandFailed if wireguard-go does not come up.
    """
    code, _ = machine.execute(["ip", "link", "add", interface, "type", "wireguard"])
    if not code:
        return True
    require("wireguard-go", "setpriv")
    if not Path("/dev/net/tun").exists():
        raise SystemRefused(
            "no WireGuard in this kernel, and no tun device for wireguard-go",
            hint="modprobe wireguard, or modprobe tun",
        )
    daemon = machine.spawn([*CONFINED, "wireguard-go", "-f", interface])
    try:
        machine.wait_until_succeeds(is_served(interface))
    except CommandTimedOut:
        raise CommandFailed(
            f"{machine.name}: wireguard-go made no {interface}",
            stdout=daemon.stdout,
            stderr=daemon.stderr,
        ) from None
    return False


def is_served(interface: str) -> list[str]:
    """The command that succeeds once a userspace WireGuard listens for `wg`.

    `wg` itself is no way to ask: it deletes a socket that is bound and does not listen yet, taking
    it for one that was left behind. 10000 is the kernel's flag of one that listens, __SO_ACCEPTCON.
    """
    return ["grep", "-q", f" 00010000 .*/wireguard/{interface}[.]sock$", "/proc/net/unix"]
