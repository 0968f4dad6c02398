# SPDX-License-Identifier: Apache-2.0
"""A machine made of Linux namespaces: network, mount, PID, UTS and IPC, on the host's own files.

Each machine is one holder, PID 1 of its own PID namespace, that waits for the end of its standard
input. The driver holds the other end of that pipe and nothing else holds the machine: when the
driver closes it, or dies in any way, the holder ends, the kernel kills all that runs in the
machine, and the namespaces go with their mounts, pins and devices. No name is put on the host
(no /run/netns, no veth end), so labs never collide. A process that inherits a machine's `lifeline`
keeps it beyond the driver's end (`krait.lab.keeper`).

Do not fork the driver (`os.fork`, multiprocessing's fork) while machines run: a fork inherits
their pipes and keeps them alive.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from krait.common.errors import SystemRefused
from krait.lab.machine import (
    TIMEOUT_S,
    Command,
    CommandFailed,
    CommandTimedOut,
    Machine,
    Process,
)

# sysfs is mounted anew because it shows the network namespace of whoever mounts it, bpffs because
# each mount is an instance of its own. What is written to /etc stays in the machine, if the kernel
# has overlayfs; else only a folder that is there can be hidden. The ping range lets a probe use
# unprivileged ICMP sockets, and without duplicate address detection an IPv6 address is soon usable.
# With SIGCHLD ignored the kernel reaps the orphans that PID 1 inherits.
_HOLDER = """
set -e
mount -t tmpfs krait-lab /run
mkdir /run/upper /run/work
if mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work krait-lab /etc; then
    rm -rf /etc/krait
elif [ -d /etc/krait ]; then
    mount -t tmpfs -o mode=0700 krait-lab /etc/krait
fi 2>/dev/null
umount /run
mount -t tmpfs -o mode=0755 krait-lab /run
mount -t sysfs krait-lab /sys
mount -t bpf -o mode=0700 krait-lab /sys/fs/bpf
for folder in /var/lib/krait /var/log/krait; do
  mkdir -p -m 0700 $folder
  mount -t tmpfs -o mode=0700 krait-lab $folder
done
echo "$1" >/proc/sys/kernel/hostname
echo 0 0 >/proc/sys/net/ipv4/ping_group_range
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
echo ready
exec env --ignore-signal=CHLD cat >/dev/null
"""
_UNSHARE = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc"]
_UNSHARE += ["--fork", "--kill-child", "--mount-proc"]

# The programs of this environment first (`krait`), then the system's, /usr/sbin included.
PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The parent of a command, outside the machine's PID namespace, ends as the command ends. nsenter's
# own would stop itself with a command that is stopped, and then never reap it. It runs none of its
# own commands (`exec`): its `kill` would be out there, too.
_PARENT = '(exec "$@"); code=$?; [ $code -le 128 ] || kill -$((code - 128)) $$; exit $code'

_PACKAGES = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
}


def require(*tools: str) -> None:
    """Raise SystemRefused, with the mend, unless this is root and every tool is installed."""
    if os.geteuid() != 0:
        raise SystemRefused("machines of namespaces need root", hint="Run it with sudo.")
    if missing := [tool for tool in tools if not shutil.which(tool, path=PATH)]:
        packages = " ".join(sorted({_PACKAGES.get(tool, tool) for tool in missing}))
        raise SystemRefused(
            f"not installed: {', '.join(missing)}", hint=f"apt-get install {packages}"
        )


class NamespaceProcess(Process):
    """A command and, outside the machine, its parent; both in a process group of their own."""

    def __init__(self, prefix: list[str], command: Command, stdin: str) -> None:
        self.command = command
        arguments = ["sh", "-c", command] if isinstance(command, str) else list(command)
        # Files instead of pipes: a command may write without end, leave children behind that hold
        # its outputs, or die with its machine, and what it wrote can still be read.
        self._stdout: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as this
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  likewise
        with tempfile.TemporaryFile() as source:
            source.write(stdin.encode())
            source.seek(0)
            self._parent = subprocess.Popen(  # noqa: S603  running what the scenario says is the purpose
                [*prefix, "--no-fork", "--", "sh", "-c", _PARENT, "sh", *arguments],
                stdin=source,
                stdout=self._stdout,
                stderr=self._stderr,
                env=os.environ | {"PATH": PATH},
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return _content(self._stdout)

    @property
    def stderr(self) -> str:
        return _content(self._stderr)

    def is_running(self) -> bool:
        return self._parent.poll() is None

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        if (code := self._ended(timeout_s)) is None:
            raise CommandTimedOut(
                f"not ended within {timeout_s:g} s: {self.command}",
                stdout=self.stdout,
                stderr=self.stderr,
            )
        return code

    def _ended(self, timeout_s: float) -> int | None:
        # Popen.wait(timeout) looks every 50 ms, as long as most commands take.
        if self.is_running():
            end = os.pidfd_open(self._parent.pid)
            try:
                poll = select.poll()
                poll.register(end, select.POLLIN)
                poll.poll(max(timeout_s, 0.0) * 1000)
            finally:
                os.close(end)
        return self._parent.poll()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """To the command alone: its parent reaps it and hands back how it ended."""
        # The command only: its parent lives on, to reap it and hand back how it ended.
        while self.is_running():
            if child := _only_child(self._parent.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, number)
                return
            time.sleep(0.001)  # not forked yet

    def kill_all(self) -> None:
        # The command first: its parent must reap it, or a zombie holds up the machine's end.
        # The parent itself is reaped last, so that the group's number cannot be another's.
        if self.is_running():
            self.kill()
            with suppress(ChildProcessError):  # of its own accord, and reaped as that was seen
                os.waitid(os.P_PID, self._parent.pid, os.WEXITED | os.WNOWAIT)
                os.killpg(self._parent.pid, signal.SIGKILL)
            self._parent.wait()


class NamespaceMachine(Machine):
    """A machine of namespaces; see the module for how it lives and ends."""

    def __init__(self, name: str, *, uplink: str = "eth0") -> None:
        """`uplink` is the interface whose cable `block` pulls."""
        self.name = name
        self.uplink = uplink
        self._holder: subprocess.Popen[bytes] | None = None
        self.cables: dict[str, tuple[NamespaceMachine, str]] = {}  # interface -> its far end

    @property
    def pid(self) -> int:
        """A process of the host that is in the machine's network and mount namespace."""
        if self._holder is None or not self.is_up():
            raise CommandFailed(f"{self.name}: the machine is down")
        return self._holder.pid

    @property
    def init_pid(self) -> int:
        """The machine's PID 1 by its number on the host, for people's `nsenter --target`."""
        pid = _only_child(self.pid)
        if pid is None:
            raise CommandFailed(f"{self.name}: the machine is down")
        return pid

    @property
    def lifeline(self) -> int:
        """Our descriptor of the pipe: the machine lives while anybody has a copy of it open."""
        if self._holder is None or self._holder.stdin is None or not self.is_up():
            raise CommandFailed(f"{self.name}: the machine is down")
        return self._holder.stdin.fileno()

    @property
    def prefix(self) -> list[str]:
        """The command that runs another one in this machine: nsenter and its options."""
        proc = f"/proc/{self.pid}/ns"
        spaces = [f"--{kind}={proc}/{file}" for kind, file in _SPACES]
        return ["nsenter", *spaces]

    def start(self) -> None:
        """Returns when commands can run. Raises SystemRefused without root, tools, namespaces."""
        require("unshare", "nsenter", "ip")
        with tempfile.TemporaryFile() as stderr:
            holder = subprocess.Popen(  # noqa: S603  fixed arguments and the machine's name
                [*_UNSHARE, "sh", "-c", _HOLDER, "sh", self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | {"PATH": PATH},
                start_new_session=True,  # ^C is for the driver, which then ends its machines
            )
            self._holder = holder
            assert holder.stdout is not None  # noqa: S101  PIPE was asked for; mypy cannot see it
            with holder.stdout as ready:
                if ready.readline() != b"ready\n":
                    self.crash()
                    why = " ".join(_content(stderr).split()) or "no word why"
                    raise SystemRefused(
                        f"{self.name}: no machine of namespaces can be made: {why}",
                        hint="It needs root with all capabilities and a kernel with namespaces, "
                        "tmpfs and bpffs.",
                    )

    def crash(self) -> None:
        """Returns once all of it is dead and its cables are gone at the far ends, too."""
        self.let_go()
        if self._holder is not None:
            self._holder.wait()  # PID 1 is reaped only when all in its namespace have ended
        for far, interface in self.cables.values():
            if far.is_up():  # the kernel takes the far end away a moment later
                far.wait_until_fails(["ip", "link", "show", "dev", interface])
            far.cables.pop(interface, None)
        self.cables.clear()

    def let_go(self) -> None:
        """Begin to crash without waiting for the end, so that many can end side by side."""
        if self._holder is not None and self._holder.stdin is not None:
            self._holder.stdin.close()

    def is_up(self) -> bool:
        """Whether commands can run in it."""
        if self._holder is None or self._holder.stdin is None or self._holder.stdin.closed:
            return False
        return self._holder.poll() is None

    def block(self) -> None:
        """No carrier at `uplink`; raises KeyError if no cable was laid there."""
        self._switch_port("down")

    def unblock(self) -> None:
        self._switch_port("up")

    def plug_in(self, interface: str) -> None:
        """Take a cable that was laid: here its end is the machine's interface already."""

    def spawn(self, command: Command, *, stdin: str = "") -> NamespaceProcess:
        """Start it by nsenter; raises CommandFailed if the machine is down."""
        return NamespaceProcess(self.prefix, command, stdin)

    def _switch_port(self, state: str) -> None:
        # The far end goes down, not ours: no carrier, and every address and route still there.
        far, interface = self.cables[self.uplink]
        far.succeed(["ip", "link", "set", interface, state])


_SPACES = (
    ("mount", "mnt"),
    ("uts", "uts"),
    ("ipc", "ipc"),
    ("net", "net"),
    ("pid", "pid_for_children"),  # unshare itself stays outside the one it made
)


def _content(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def _only_child(pid: int) -> int | None:
    with suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None
