# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from krait.kernel.lock import Held, Lock, holder

HOLD = """
import sys
from pathlib import Path
from krait.kernel.lock import Lock
lock = Lock.take(Path(sys.argv[1]), "held")
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_second_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    path = tmp_path / "run" / "wg0.lock"
    with (
        Lock.take(path, "an agent keeps wg0"),
        pytest.raises(Held, match=f"an agent keeps wg0 .pid {os.getpid()}.") as told,
    ):
        Lock.take(path, "an agent keeps wg0")
    assert told.value.pid == os.getpid()
    assert str(os.getpid()) in told.value.hint


def test_the_lock_goes_with_its_holder_even_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "wg0.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout
    assert other.stdout.readline() == "ready\n"
    assert holder(path) == other.pid
    other.kill()
    other.communicate()
    assert holder(path) is None
    Lock.take(path, "held").close()


def test_nobody_holds_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None


def test_a_lock_on_a_removed_file_keeps_nobody_out_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "wg0.lock"
    with Lock.take(path, "held"):
        path.unlink()
        with Lock.take(path, "held"):
            assert holder(path) == os.getpid()
