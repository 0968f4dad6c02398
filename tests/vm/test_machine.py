# SPDX-License-Identifier: Apache-2.0
"""A guest as a machine of the lab, and that nothing is left of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from krait.lab.machine import CommandFailed, CommandTimedOut
from krait.lab.virtual.kernels import Kernel
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.qemu import Board
from tests.patience import wait_until
from tests.vm.conftest import Figures, booted

ROOT = Path(__file__).parents[2]


def family(pid: int) -> set[int]:
    """A process and all its descendants."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = (int(child) for each in lists for child in each.read_text().split())
    return {pid}.union(*map(family, children))


@pytest.fixture(scope="module")
def machine(kernels: Mapping[str, Kernel], figures: Figures) -> Iterator[VirtualMachine]:
    alone = VirtualMachine("alone", kernels["6.12"], board=Board(memory_mib=256))
    with booted({"alone": alone}, figures):
        yield alone


def test_its_kernel_and_its_name_are_its_own_and_its_files_are_the_hosts(
    machine: VirtualMachine,
) -> None:
    assert machine.succeed(["uname", "-rn"]).split() == ["alone", machine.kernel.release]
    assert machine.succeed(["cat", "tests/vm/test_machine.py"]) == Path(__file__).read_text()


def test_what_it_writes_does_not_reach_the_host(machine: VirtualMachine) -> None:
    machine.write(f"{ROOT}/tests/vm/scratch", "the guest's\n")
    assert machine.succeed(["cat", "tests/vm/scratch"]) == "the guest's\n"
    assert not (ROOT / "tests/vm/scratch").exists()


def test_a_command_that_hangs_is_killed_with_its_children(machine: VirtualMachine) -> None:
    with pytest.raises(CommandTimedOut):
        machine.succeed("sleep 1000 & sleep 1000", timeout_s=0.1)
    machine.wait_until_fails("grep -hs sleep /proc/[0-9]*/comm")


def test_power_that_is_cut_ends_it_and_it_boots_anew_without_what_it_wrote(
    machine: VirtualMachine,
) -> None:
    machine.write("/etc/krait/kept", "")
    sleeper = machine.spawn(["sleep", "1000"])
    everything = family(machine.pid)
    machine.crash()
    assert sleeper.wait() == -signal.SIGKILL
    with pytest.raises(CommandFailed, match="down"):
        machine.fail("true")
    assert not [pid for pid in everything if Path(f"/proc/{pid}").exists()]
    machine.start()
    machine.fail(["test", "-e", "/etc/krait/kept"])


def test_a_driver_that_is_killed_leaves_no_guest() -> None:
    command = [sys.executable, "-m", "krait.lab.virtual", "6.12", "echo up; sleep 1000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"up\n"
        everything = family(driver.pid) - {driver.pid}
        assert len(everything) > 2
        driver.kill()
    wait_until(lambda: not [pid for pid in everything if Path(f"/proc/{pid}").exists()])
