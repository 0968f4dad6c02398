# SPDX-License-Identifier: Apache-2.0
"""Both ends of a guest's serial port, with a socket in its place and this machine as the guest."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from krait.lab.machine import CommandTimedOut
from krait.lab.virtual import porter
from krait.lab.virtual.channel import Channel, GuestProcess
from tests.patience import wait_until

_GUEST = "import sys; from porter import Porter; Porter(int(sys.argv[1])).run()"
PATIENT = 10.0


class Guest:
    """A porter in a process of its own, and the channel to it."""

    def __init__(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            self.channel = Channel(str(path), slowness=PATIENT)
            port, _ = listener.accept()
        with port:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-c", _GUEST, str(port.fileno())],
                pass_fds=[port.fileno()],
                env={"PYTHONPATH": str(Path(porter.__file__).parent)},
            )
        assert self.channel.wait_until_ready(30)

    def spawn(self, command: str | list[str], stdin: str = "") -> GuestProcess:
        return self.channel.spawn(command, dict(os.environ), stdin)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    found = Guest(tmp_path / "port")
    yield found
    found.end()


def test_a_command_is_told_by_its_outputs_apart_and_its_code(guest: Guest) -> None:
    process = guest.spawn("echo out; echo why >&2; exit 3")
    assert process.wait() == 3
    assert (process.stdout, process.stderr) == ("out\n", "why\n")


def test_a_command_gets_its_arguments_its_input_and_our_folder(guest: Guest) -> None:
    process = guest.spawn(["sh", "-c", 'cat; echo "$0"; pwd', "a  b"], stdin="in\n")
    assert process.wait() == 0
    assert process.stdout == f"in\na  b\n{Path.cwd()}\n"


def test_all_that_was_written_has_come_when_the_end_is_told(guest: Guest) -> None:
    process = guest.spawn("head -c 3000000 /dev/zero | tr '\\0' x")
    assert process.wait() == 0
    assert len(process.stdout) == 3_000_000


def test_several_run_at_a_time_and_signals_reach_the_one_meant(guest: Guest) -> None:
    first = guest.spawn("trap 'echo heard' USR1; echo up; while :; do sleep 0.01; done")
    second = guest.spawn(["sleep", "1000"])
    first.wait_for_output("up")
    first.kill(signal.SIGUSR1)
    first.wait_for_output("heard")
    assert second.is_running()
    second.kill(signal.SIGTERM)
    assert second.wait() == -signal.SIGTERM
    first.kill_all()
    assert first.wait() == -signal.SIGKILL


def state_of(pid: int) -> str:
    """As ps has it. Nobody but init waits for an orphan, so that it may be a zombie for long."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def test_a_command_is_killed_with_its_children(guest: Guest) -> None:
    process = guest.spawn("sleep 1000 & echo $!; wait")
    child = int(process.wait_for_output("\n"))
    process.kill_all()
    assert process.wait() == -signal.SIGKILL
    wait_until(lambda: state_of(child) in {"", "Z", "X"})


def test_a_signal_to_a_command_that_has_ended_is_no_error(guest: Guest) -> None:
    process = guest.spawn("true")
    assert process.wait() == 0
    process.kill()
    process.kill_all()
    assert guest.spawn("true").wait() == 0


def test_a_program_that_is_not_there_is_told_as_a_shell_tells_it(guest: Guest) -> None:
    process = guest.spawn(["krait-no-such-program"])
    assert process.wait() == 127
    assert process.stderr == "krait-no-such-program: No such file or directory\n"


def test_one_that_goes_on_is_waited_for_as_long_as_a_slow_guest_needs(guest: Guest) -> None:
    assert guest.spawn("sleep 0.2").wait(timeout_s=1.0) == 0
    with pytest.raises(CommandTimedOut):
        guest.spawn(["sleep", "1000"]).wait(timeout_s=0.01)


def test_a_guest_that_ends_ends_its_commands_and_takes_no_more(guest: Guest) -> None:
    process = guest.spawn(["sleep", "1000"])
    guest.end()
    assert process.wait() == -signal.SIGKILL
    assert guest.spawn("true").wait() == -signal.SIGKILL
