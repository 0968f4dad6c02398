# SPDX-License-Identifier: Apache-2.0
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from krait.lab import keeper
from tests.patience import wait_until

DRIVER = """
from krait.lab.mesh import Lab
with Lab() as lab:
    alone = lab.add("alone")
    alone.spawn("exec sleep 1003")
    print(lab.keep(), alone.init_pid)
"""


@pytest.mark.usefixtures("no_other_keepers")
def test_kept_machines_outlive_their_driver_and_end_with_their_keeper() -> None:
    driver = [sys.executable, "-c", DRIVER]
    done = subprocess.run(driver, capture_output=True, text=True, check=True)
    pid, init = map(int, done.stdout.split())
    machine = Path(f"/proc/{init}/ns/net")
    try:
        assert pid in keeper.kept()
        inside = ["nsenter", "-t", str(init), "-m", "-n", "-p", "ls", "/sys/class/net"]
        assert subprocess.check_output(inside, text=True) == "lo\n"
    finally:
        keeper.end([pid])
    wait_until(lambda: not machine.is_symlink())
    assert pid not in keeper.kept()


def test_another_process_of_the_same_name_is_no_keeper() -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()", "keeper.py"], stdin=subprocess.PIPE)
    try:
        assert other.pid not in keeper.kept()
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
