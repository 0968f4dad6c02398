# SPDX-License-Identifier: Apache-2.0
"""wireguard-go, started for an operator who asked for it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwuid

import pytest

from krait.common.errors import SystemRefused
from krait.kernel import device
from krait.kernel.link import observe_link
from krait.kernel.wireguard import driver, observe, userspace
from krait.kernel.wireguard.configure import DeviceChange, configure
from krait.kernel.wireguard.spawn import claim, spawn
from tests.patience import wait_until
from tests.requirements import need_tools

need_tools("ip", "wireguard-go", "setpriv", "su")

pytestmark = pytest.mark.usefixtures("netns")

NET_ADMIN = 1 << 12


@pytest.fixture
def name() -> Iterator[str]:
    name = f"kr{os.getpid()}e"
    yield name
    if link := observe_link(name):
        device.delete(link.ifindex)


def driver_of(name: str) -> int:
    """The PID of the process that drives a device."""
    found = [
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdecimal() and name in _devices(int(each.name))
    ]
    (pid,) = found
    return pid


def _devices(pid: int) -> frozenset[str]:
    try:
        return driver.devices(pid)
    except driver.Unseen:
        return frozenset()


def status(pid: int, field: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    (value,) = re.findall(rf"^{field}:\t(.*)$", text, re.MULTILINE)
    return str(value)


def wait_until_ended(pid: int) -> None:
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_its_device_is_there_down_ours_and_ready(name: str, tmp_path: Path) -> None:
    link = spawn(name, "wireguard-go", tmp_path / "log")
    assert link == observe_link(name)
    assert (link.kind, link.up) == ("tun", False)
    assert device.is_ours(link)
    configure(link, DeviceChange(b"\x40" + bytes(30) + b"\x41", 51997))
    assert observe(name).listen_port == 51997


def test_it_may_administer_the_network_and_nothing_else(name: str, tmp_path: Path) -> None:
    spawn(name, "wireguard-go", tmp_path / "log")
    pid = driver_of(name)
    for capabilities in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status(pid, capabilities), 16) == NET_ADMIN
    for capabilities in ("CapInh", "CapAmb"):
        assert int(status(pid, capabilities), 16) & ~NET_ADMIN == 0
    assert int(status(os.getpid(), "CapBnd"), 16) != NET_ADMIN
    assert b"wireguard-go" in Path(f"/proc/{pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert [each.partition(b"=")[0] for each in environment if each] == [b"PATH", b"KRAIT_DEVICE"]


def test_deleting_its_device_ends_it_without_a_trace(name: str, tmp_path: Path) -> None:
    link = spawn(name, "wireguard-go", tmp_path / "log")
    pid = driver_of(name)
    device.delete(link.ifindex)
    wait_until_ended(pid)  # which also says that somebody waited for it
    assert not (userspace.FOLDER / f"{name}.sock").exists()


BY_WHOM = pytest.mark.parametrize(
    "less",
    [(), ("setpriv", "--bounding-set=-all,+net_admin,+bpf,+perfmon", "--inh-caps=-all")],
    ids=["as root", "with an agent's capabilities"],
)

KILLED = """
import os, signal, sys
from pathlib import Path
from krait.kernel.wireguard import spawn
spawn.device.mark = lambda ifindex: os.kill(os.getpid(), signal.SIGKILL)
spawn.spawn(sys.argv[1], "wireguard-go", Path(sys.argv[2]))
"""


@BY_WHOM
def test_what_a_killed_agent_did_not_come_to_mark_is_claimed(
    name: str, tmp_path: Path, less: tuple[str, ...]
) -> None:
    command = [*less, sys.executable, "-c", KILLED, name, str(tmp_path / "log")]
    assert subprocess.run(command, check=False).returncode == -9
    link = observe_link(name)
    assert link
    assert not device.is_ours(link)
    assert device.is_ours(claim(link))
    assert claim(link) == observe_link(name)


def test_what_somebody_else_started_is_not_claimed(name: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        other = subprocess.Popen(["wireguard-go", "-f", name], stdout=log, stderr=log)
    try:
        wait_until(lambda: observe_link(name) is not None)
        link = observe_link(name)
        assert link
        assert claim(link) == link == observe_link(name)
    finally:
        other.kill()
        other.wait()


HOLDS = """
import fcntl, os, struct, sys
name, descriptor, *command = sys.argv[1:]
fcntl.ioctl(int(descriptor), 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))
os.execv(command[0], command)
"""
WAITS = ("/bin/sh", "-c", "echo waits; read answer")
AS_NOBODY = ("setpriv", "--reuid=nobody", "--clear-groups", "--")
AS_AN_AGENT_STARTS_IT = ("setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all", "--")
ASKS_FOR_A_PASSWORD = ("/usr/bin/su", "root")


@contextmanager
def holding(name: str, less: tuple[str, ...], command: tuple[str, ...]) -> Iterator[int]:
    """The PID of a command that was given the device and says that it drives it for Krait; it said
    something since it runs, and waits for an answer.
    """
    with Path("/dev/net/tun").open("r+b", buffering=0) as tun:
        holds = ("/usr/bin/python3", "-c", HOLDS, name, str(tun.fileno()))
        process = subprocess.Popen(
            [*less, *holds, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[tun.fileno()],
            env={"PATH": os.environ["PATH"], "KRAIT_DEVICE": name},
        )
    with process:
        try:
            assert process.stdout
            assert process.stdout.read(1)
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("less", "command", "users", "claimed"),
    [
        (AS_NOBODY, WAITS, "nobody nobody nobody nobody", False),
        (AS_NOBODY, ASKS_FOR_A_PASSWORD, "nobody root root root", False),
        ((), WAITS, "root root root root", False),
        (AS_AN_AGENT_STARTS_IT, WAITS, "root root root root", True),
    ],
    ids=["a user", "a user by su", "all of root's, as by sudo", "as an agent starts it"],
)
def test_who_was_given_a_device_cannot_have_it_claimed(
    name: str, less: tuple[str, ...], command: tuple[str, ...], users: str, *, claimed: bool
) -> None:
    """A user who says that he was started for Krait, or has a program of root's say it."""
    subprocess.run(["ip", "tuntap", "add", name, "mode", "tun", "user", "nobody"], check=True)
    with holding(name, less, command) as pid:
        assert [getpwuid(int(each)).pw_name for each in status(pid, "Uid").split()] == users.split()
        assert name in driver.devices(pid)
        link = observe_link(name)
        assert link
        assert device.is_ours(claim(link)) == claimed


SPAWN = """
import sys
from pathlib import Path
from krait.kernel.wireguard.spawn import spawn
spawn(sys.argv[1], "wireguard-go", Path(sys.argv[2]))
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""


@BY_WHOM
def test_it_outlives_who_started_it_and_is_found_again(
    name: str, tmp_path: Path, less: tuple[str, ...]
) -> None:
    log = tmp_path / "log"
    ended = subprocess.run([*less, sys.executable, "-c", SPAWN, name, str(log)], check=False)
    assert ended.returncode == -9
    pid = driver_of(name)
    assert status(pid, "PPid") != str(os.getpid())
    assert os.getsid(pid) == pid
    assert observe(name).userspace
    assert log.stat().st_mode & 0o777 == 0o600


def test_an_interface_of_that_name_is_refused_before_anything_runs(
    name: str, tmp_path: Path
) -> None:
    subprocess.run(["ip", "tuntap", "add", name, "mode", "tun"], check=True)
    with pytest.raises(SystemRefused, match=f"there is an interface {name} already"):
        spawn(name, "wireguard-go", tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_a_program_that_is_none_or_makes_nothing_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemRefused, match="cannot run no-such-program: No such file") as told:
        spawn(name, "no-such-program", tmp_path / "log")
    assert "Install it" in told.value.hint
    with pytest.raises(SystemRefused, match=f"/bin/false made no interface {name}") as told:
        spawn(name, "/bin/false", tmp_path / "log")
    assert str(tmp_path / "log") in told.value.hint
    with pytest.raises(SystemRefused, match="cannot write /nowhere/log"):
        spawn(name, "wireguard-go", Path("/nowhere/log"))


def test_one_that_makes_nothing_and_stays_is_ended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krait.kernel.wireguard.spawn.PATIENCE_S", 0.2)
    program = tmp_path / "stays"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    with pytest.raises(SystemRefused, match="made no interface"):
        spawn(name, str(program), tmp_path / "log")
    wait_until_ended(int((tmp_path / "pid").read_text()))
