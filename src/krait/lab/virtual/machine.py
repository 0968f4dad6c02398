# SPDX-License-Identifier: Apache-2.0
"""A machine of the lab that is a virtual machine.

A guest stands in namespaces: QEMU and virtiofsd run inside a machine of namespaces, with their
sockets on its /run and their cables in its network, and end with it however the driver ends. So a
guest is wired, blocked and crashed as any other machine; its commands run inside, over a serial
port. Its root is the host's, read-only, under a tmpfs: the checkout is at its own path, everything
can be written, and nothing of it reaches the host.
"""

import os
import time
from pathlib import Path

from krait.common.errors import SystemRefused
from krait.lab.machine import Command, CommandFailed, Report, patient, silent
from krait.lab.namespace import PATH, NamespaceMachine, NamespaceProcess
from krait.lab.virtual.channel import Channel, GuestProcess
from krait.lab.virtual.initramfs import Setting, initramfs
from krait.lab.virtual.kernels import Kernel
from krait.lab.virtual.qemu import (
    ARCHIVE,
    PORT_SOCKET,
    ROOT_SOCKET,
    TAP,
    Board,
    qemu,
    slowness,
    virtiofsd,
)

BOOTS = 3
"""A guest that ends before its first command is booted again, at most twice: emulated processors
die now and then as the kernel patches its own code. Nothing that ran in a guest is repeated."""

_BOOT_S = patient(90.0)
_POLL_S = 0.01

# The host's files cannot be changed from here, whatever the guest does. The guest's segment is its
# tap device and the cable that is plugged in.
_PREPARE = f"""
set -e
mount -o remount,bind,ro /
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
ip link add segment type bridge stp_state 0 mcast_snooping 0
ip tuntap add {TAP} mode tap
ip link set {TAP} master segment up
ip link set segment up
"""
_BOOT = f"""
rm -f {ROOT_SOCKET} {PORT_SOCKET}
$VIRTIOFSD &
until [ -S {ROOT_SOCKET} ]; do
  kill -0 $!
  sleep 0.01
done
exec "$@"
"""


class VirtualMachine(NamespaceMachine):
    """A guest, and the namespaces that it stands in: `pid` and `prefix` are of those."""

    def __init__(
        self,
        name: str,
        kernel: Kernel,
        *,
        board: Board = Board(),  # noqa: B008  a value
        setting: Setting = Setting(),  # noqa: B008  a value
        report: Report = silent,
    ) -> None:
        """`report` hears of boots that were lost."""
        super().__init__(name)
        self.kernel = kernel
        self.board = board
        self.boot_s = 0.0
        """From the start of QEMU until commands can run, of the boot that succeeded."""
        self.lost_boots = 0
        """How often it was booted again since it was made."""
        self.setting = setting
        """That of the next boot: what a guest writes is lost with its power, unless put here."""
        self._report = report
        self._qemu: NamespaceProcess | None = None
        self._channel: Channel | None = None
        self._started_s = 0.0

    @property
    def console(self) -> str:
        """What the guest's kernel, and QEMU, have said since the boot."""
        return self._qemu.stdout + self._qemu.stderr if self._qemu else ""

    def boot(self) -> None:
        """Begin to start, so that many can boot side by side. Raises SystemRefused."""
        super().start()
        prepared = self._beside(["sh", "-c", _PREPARE])
        if prepared.wait():
            self.crash()
            raise SystemRefused(
                f"{self.name}: no place for a virtual machine: {prepared.stderr.strip()}",
                hint="The kernel needs tun, bridge and veth.",
            )
        archive = initramfs(self.kernel, self.name, self.setting)
        Path(f"/proc/{self.pid}/root{ARCHIVE}").write_bytes(archive)
        self._switch_on()

    def start(self) -> None:
        """Returns when commands can run; raises CommandFailed, with the console, if none can."""
        if self._qemu is None or not self.is_up():
            self.boot()
        for left in reversed(range(BOOTS)):
            if self._is_ready():
                self.boot_s = time.monotonic() - self._started_s
                return
            console = self.console
            if left:
                self.lost_boots += 1
                self._report(f"{self.name}: a boot was lost, once more: {console[-2000:]}")
                self._switch_on()
        self.crash()
        failed = f"{self.name}: Linux {self.kernel.release} did not boot in {BOOTS} attempts"
        raise CommandFailed(failed, stdout=console)

    def let_go(self) -> None:
        super().let_go()
        self._channel = None

    def spawn(self, command: Command, *, stdin: str = "") -> GuestProcess:  # type: ignore[override]
        """Start it in the guest; raises CommandFailed if that is down."""
        if self._channel is None or not self._channel.is_open:
            raise CommandFailed(f"{self.name}: the machine is down", stderr=self.console)
        return self._channel.spawn(command, os.environ | {"PATH": PATH}, stdin)

    def plug_in(self, interface: str) -> None:
        """Join the cable with the guest's only network card, which is `uplink`."""
        if interface != self.uplink:
            raise CommandFailed(f"{self.name}: there is no {interface}, only {self.uplink}")
        command = ["ip", "link", "set", interface, "master", "segment", "up"]
        if (process := self._beside(command)).wait():
            raise CommandFailed(f"{self.name}: no cable to join", stderr=process.stderr)

    def _switch_on(self) -> None:
        boot = ["sh", "-ec", _BOOT.replace("$VIRTIOFSD", " ".join(virtiofsd())), "sh"]
        self._started_s = time.monotonic()
        self._channel = None
        self._qemu = self._beside([*boot, *qemu(self.kernel, self.name, self.board)])

    def _is_ready(self) -> bool:
        assert self._qemu is not None  # noqa: S101  switched on
        deadline_s = self._started_s + _BOOT_S
        while self._channel is None:
            try:
                self._channel = Channel(
                    f"/proc/{self.pid}/root{PORT_SOCKET}", slowness(self.kernel)
                )
            except OSError:
                if not self._qemu.is_running() or time.monotonic() > deadline_s:
                    return False
                time.sleep(_POLL_S)
        if self._channel.wait_until_ready(deadline_s - time.monotonic()):
            return True
        self._qemu.kill_all()
        return False

    def _beside(self, command: Command) -> NamespaceProcess:
        """A command in the namespaces, beside the guest."""
        return NamespaceProcess(self.prefix, command, "")
