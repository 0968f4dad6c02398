# SPDX-License-Identifier: Apache-2.0
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.lab.cable import End, wire
from krait.lab.machine import CommandFailed, CommandTimedOut
from krait.lab.namespace import NamespaceMachine, require
from tests.patience import wait_until

Pair = tuple[NamespaceMachine, NamespaceMachine]

DRIVER = """
import sys, time
from krait.lab.mesh import Lab, full_mesh
with Lab(full_mesh("a", "b")) as lab:
    for machine in lab.machines.values():
        machine.spawn("setsid sleep 1001 & sleep 1002")
    stopped = lab["a"].spawn("kill -STOP $$")
    lab["a"].succeed("mkdir /sys/fs/bpf/krait")
    links = [machine.succeed("readlink /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid")
             for machine in lab.machines.values()]
    print(*"".join(links).split(), flush=True)
    time.sleep(1000)
"""


def test_a_machine_has_no_process_device_or_mount_of_the_host(machine: NamespaceMachine) -> None:
    assert machine.succeed("cat /proc/1/comm") == "cat\n"
    assert machine.succeed("ls /sys/class/net") == "lo\n"
    assert machine.succeed("ls /sys/fs/bpf").split() == ["maps.debug", "progs.debug"]  # bpffs' own
    assert machine.succeed("ls -A /var/lib/krait") == ""
    assert machine.succeed("ls -A /run") in {"", "mount\n"}  # mount(8)'s own
    assert machine.succeed("cat /proc/sys/kernel/hostname") == "alone\n"


def test_files_and_pins_of_one_machine_are_invisible_to_another(pair: Pair) -> None:
    left, right = pair
    for path in ("/run/krait", "/var/run/wireguard", "/var/lib/krait/x", "/sys/fs/bpf/krait"):
        left.succeed(["mkdir", path])
        right.fail(["test", "-e", path])
        assert not Path(path, "x").exists()


def test_what_is_written_to_etc_is_the_machines_own(pair: Pair) -> None:
    left, right = pair
    left.fail(["test", "-e", "/etc/krait"])  # whatever the host has there
    left.write("/etc/krait/lab.yaml", "nodes: {}\n")
    right.fail(["test", "-e", "/etc/krait"])
    assert not Path("/etc/krait/lab.yaml").exists()
    left.succeed("rm -r /etc/krait")


def test_blocking_takes_the_carrier_and_leaves_addresses_and_routes(pair: Pair) -> None:
    left, right = pair
    right.spawn("exec python3 -m http.server --bind :: 8000")
    left.wait_for_open_port(8000, "2001:db8::2")
    before = left.succeed("ip -o address show dev eth0; ip route; ip -6 route")
    left.block()
    assert left.succeed("cat /sys/class/net/eth0/carrier") == "0\n"
    with pytest.raises(CommandTimedOut):
        left.wait_for_open_port(8000, "2001:db8::2", timeout_s=0.3)
    after = left.succeed("ip -o address show dev eth0; ip route; ip -6 route")
    assert after.replace(" linkdown", "") == before
    left.unblock()
    left.wait_for_open_port(8000, "2001:db8::2")


def test_signals_reach_the_command_and_its_end_is_told(machine: NamespaceMachine) -> None:
    polite = machine.spawn("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done")
    polite.wait_for_output("up")
    assert polite.is_running()
    polite.kill(signal.SIGTERM)
    assert polite.wait() == 5
    assert polite.stdout == "up\nbye\n"
    killed = machine.spawn(["sleep", "1000"])
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    killed.kill()  # of what has ended: no error


def test_a_stopped_command_goes_on_when_it_is_told_to(machine: NamespaceMachine) -> None:
    process = machine.spawn("echo up; kill -STOP $$; echo on")
    process.wait_for_output("up")
    machine.wait_until_succeeds("grep -hs '^State:.T' /proc/[0-9]*/status")
    process.kill(signal.SIGCONT)
    assert process.wait() == 0
    assert process.stdout == "up\non\n"


def test_orphans_are_reaped(machine: NamespaceMachine) -> None:
    machine.succeed("(sleep 0.1 &)")
    machine.wait_until_fails("grep -hs sleep /proc/[0-9]*/comm")
    assert machine.succeed("cat /proc/1/comm") == "cat\n"


def test_a_crash_ends_everything_at_once_also_what_is_stopped(machine: NamespaceMachine) -> None:
    runs = machine.spawn("setsid sleep 1000 & echo up; sleep 1000")
    stopped = machine.spawn("echo up; kill -STOP $$")
    for process in (runs, stopped):
        process.wait_for_output("up")
    spaces = machine.succeed("readlink /proc/self/ns/net /proc/self/ns/pid").split()
    machine.crash()
    assert runs.wait() == -signal.SIGKILL
    assert stopped.wait() == -signal.SIGKILL
    wait_until(lambda: not _alive(spaces))
    with pytest.raises(CommandFailed, match="down"):
        machine.succeed("true")
    machine.crash()


def test_a_crashed_machine_starts_anew_with_nothing_of_its_former_life(pair: Pair) -> None:
    left, right = pair
    left.succeed("touch /run/x")
    left.crash()
    left.start()
    left.fail("test -e /run/x")
    left.fail("ip link show dev eth0")
    wire(End(left, "eth0"), End(right, "eth1"))


def test_a_driver_killed_by_force_leaves_nothing_behind() -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    with driver.stdout as out:
        spaces = out.readline().split()
    assert len(spaces) == 6
    assert _alive(spaces)
    driver.kill()
    driver.wait()
    wait_until(lambda: not _alive(spaces))


def test_without_root_or_a_tool_the_refusal_says_what_to_do() -> None:
    with pytest.raises(SystemRefused, match="not installed: wg-of-another-world") as caught:
        require("ip", "wg-of-another-world")
    assert caught.value.hint == "apt-get install wg-of-another-world"
    code = "from krait.lab.namespace import NamespaceMachine as M; M('x').start()"
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", code]
    done = subprocess.run(nobody, capture_output=True, text=True, check=False)
    assert "need root" in done.stderr


def _alive(spaces: list[str]) -> set[str]:
    """Those of the namespaces that any process is in, and with which mounts and devices live."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/task/[0-9]*/ns/*"):
        try:
            found.add(str(link.readlink()))
        except OSError:  # ended meanwhile, or has no such namespace any more
            continue
    return found & set(spaces)
