# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
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


def test_who_waits_for_a_command_is_not_told_to_kill_it(tmp_path: Path) -> None:
    path, wait = tmp_path / "wg0.turn", "wait until it has ended, then try again"
    with Lock.take(path, "a command", hint=wait), pytest.raises(Held) as told:
        Lock.take(path, "another command works on wg0", hint=wait)
    assert told.value.hint == wait


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


def test_an_earlier_holders_number_that_somebody_else_has_now_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "wg0.lock"
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        with path.open("w+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for number in (bystander.pid, 2**22 + 1):
                path.write_text(f"{number}\n")
                with pytest.raises(Held) as told:
                    Lock.take(path, "held")
                assert (told.value.pid, told.value.hint) == (0, "Stop it first.")
                assert str(number) not in told.value.message
            path.write_text(f"{os.getpid()}\n")
            with pytest.raises(Held, match=str(os.getpid())):
                Lock.take(path, "held")
    finally:
        bystander.kill()
        bystander.wait()


def test_nobody_but_its_owner_can_open_the_file_and_so_lock_it() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest lets nobody else in
    folder.chmod(0o755)
    path = folder / "wg0.lock"
    path.touch(mode=0o644)
    path.chmod(0o644)
    lock = ["flock", "--nonblock", "--shared", "wg0.lock", "true"]
    try:
        for expected in (0, 66):  # 66, EX_NOINPUT: it cannot open the file
            done = subprocess.run(lock, cwd=folder, user=65534, group=65534, check=False)
            assert done.returncode == expected
            Lock.take(path, "held").close()
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        shutil.rmtree(folder)


def test_nobody_holds_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None


def test_a_lock_on_a_removed_file_keeps_nobody_out_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "wg0.lock"
    with Lock.take(path, "held"):
        path.unlink()
        with Lock.take(path, "held"):
            assert holder(path) == os.getpid()


def test_a_lock_where_nothing_can_be_written_is_refused_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(SystemRefused, match=r"cannot write .*wg0\.lock") as told:
        Lock.take(tmp_path / "run" / "wg0.lock", "an agent keeps wg0")
    assert "RuntimeDirectory" in told.value.hint
