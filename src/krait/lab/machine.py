# SPDX-License-Identifier: Apache-2.0
"""A machine of the lab: the verbs of the NixOS test driver, whatever the machine is made of.

A kind of machine supplies `start`, `spawn`, `crash`, `block` and `unblock`; every other verb stands
on `spawn`, so a scenario runs unchanged on namespaces and on virtual machines.
"""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from krait.common.errors import KraitError

Command = str | Sequence[str]
"""An argument list, or one string for the machine's own shell."""

Report = Callable[[str], None]
"""Takes one line of progress."""

TIMEOUT_SCALE = float(os.environ.get("KRAIT_TIMEOUT_SCALE", "1"))
"""How many times slower than this one's the machines may be: an emulated guest is 10 to 20."""


def patient(seconds: float) -> float:
    """For how long to wait for what should happen, on machines as slow as KRAIT_TIMEOUT_SCALE says.

    It costs nothing where that happens, so the seconds should be many times what it takes.
    """
    return seconds * TIMEOUT_SCALE


def unhurried(seconds: float, at_most_s: float) -> float:
    """How long to rest between two steps of what goes on all the while, such as a look or a tick.

    By the square of KRAIT_TIMEOUT_SCALE, for a slow machine takes longer over each step and has
    fewer processors: what it watches must have the larger part of its time.
    """
    return min(seconds * TIMEOUT_SCALE**2, max(seconds, at_most_s))


TIMEOUT_S = patient(30.0)
_POLL_S = unhurried(0.02, 0.2)


class CommandFailed(KraitError):
    """A command in a machine did not do what the scenario said it would."""

    def __init__(self, message: str, *, stdout: str = "", stderr: str = "") -> None:
        super().__init__(message)
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self) -> str:
        return f"{self.message}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class CommandTimedOut(CommandFailed):
    """A command, or something waited for, took too long; the command and its children are dead."""


class Process(ABC):
    """A command that runs in a machine; its output is kept and can be read at any time."""

    command: Command

    @property
    @abstractmethod
    def stdout(self) -> str:
        """All it has written so far."""

    @property
    @abstractmethod
    def stderr(self) -> str:
        """All it has written so far."""

    @abstractmethod
    def is_running(self) -> bool:
        """Whether it has not ended yet."""

    @abstractmethod
    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Exit code, or minus the signal that ended it; raises CommandTimedOut, killing nothing."""

    @abstractmethod
    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the command itself; no error if it has ended."""

    @abstractmethod
    def kill_all(self) -> None:
        """SIGKILL to the command and the children it started."""

    def wait_for_output(self, text: str, timeout_s: float = TIMEOUT_S) -> str:
        """Standard output once `text` is in it; raises CommandFailed if it ends or stays silent."""
        deadline = time.monotonic() + timeout_s
        while True:
            running = self.is_running()  # asked first: what it wrote before its end counts
            if text in (stdout := self.stdout):
                return stdout
            if not running or time.monotonic() > deadline:
                why = f"still without {text!r}" if running else f"ended without {text!r}"
                raise CommandFailed(f"{why}: {self.command}", stdout=stdout, stderr=self.stderr)
            time.sleep(_POLL_S)

    def wait_for_line(self, beginning: str, timeout_s: float = TIMEOUT_S) -> str:
        """The whole line of standard output that begins so; raises as `wait_for_output`."""
        at = self.wait_for_output(beginning, timeout_s).rindex(beginning)
        while "\n" not in (rest := self.stdout[at:]):  # it is being written
            time.sleep(_POLL_S)
        return rest[: rest.index("\n")]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit code (or minus a signal's number) and its two outputs."""

    code: int
    stdout: str
    stderr: str


class Machine(ABC):
    """One host of a scenario."""

    name: str

    @abstractmethod
    def start(self) -> None:
        """Boot; returns when commands can run. Raises SystemRefused."""

    @abstractmethod
    def crash(self) -> None:
        """End everything in the machine at once, as if its power were cut; may be repeated."""

    @abstractmethod
    def block(self) -> None:
        """Pull the cable to the underlay; the machine keeps its addresses and routes."""

    @abstractmethod
    def unblock(self) -> None:
        """Plug the cable in again."""

    @abstractmethod
    def spawn(self, command: Command, *, stdin: str = "") -> Process:
        """Start a command in the background."""

    def run(self, command: Command, *, timeout_s: float = TIMEOUT_S, stdin: str = "") -> Outcome:
        """Run a command to its end; raises CommandTimedOut, its children killed with it."""
        process = self.spawn(command, stdin=stdin)
        try:
            code = process.wait(timeout_s)
        except BaseException:
            process.kill_all()
            raise
        return Outcome(code, process.stdout, process.stderr)

    def execute(self, command: Command, *, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
        """Exit code and standard output."""
        outcome = self.run(command, timeout_s=timeout_s)
        return outcome.code, outcome.stdout

    def succeed(self, command: Command, *, timeout_s: float = TIMEOUT_S, stdin: str = "") -> str:
        """Standard output of a command that must succeed."""
        outcome = self.run(command, timeout_s=timeout_s, stdin=stdin)
        if outcome.code:
            raise self._failed(f"exit code {outcome.code}: {command}", outcome)
        return outcome.stdout

    def fail(self, command: Command, *, timeout_s: float = TIMEOUT_S) -> str:
        """Standard output of a command that must fail (to hang is not to fail)."""
        outcome = self.run(command, timeout_s=timeout_s)
        if not outcome.code:
            raise self._failed(f"succeeded, and should have failed: {command}", outcome)
        return outcome.stdout

    def wait_until_succeeds(self, command: Command, timeout_s: float = TIMEOUT_S) -> str:
        """Repeat a command until it succeeds; its standard output."""
        return self._repeat(command, timeout_s, lambda code: code == 0)

    def wait_until_fails(self, command: Command, timeout_s: float = TIMEOUT_S) -> str:
        """Repeat a command until it fails; its standard output."""
        return self._repeat(command, timeout_s, lambda code: code != 0)

    def wait_for_open_port(
        self, port: int, address: str = "127.0.0.1", timeout_s: float = TIMEOUT_S
    ) -> None:
        """Wait until something in the machine accepts TCP connections on the port."""
        connect = ["bash", "-c", 'exec 3<>"/dev/tcp/$0/$1"', address, str(port)]
        self.wait_until_succeeds(connect, timeout_s)

    def write(self, path: str, text: str) -> None:
        """Put a file of mode 0600 into the machine, with the folders it needs."""
        script = 'umask 077; mkdir -p "${1%/*}/"; cat >"$1"'
        self.succeed(["sh", "-c", script, "sh", path], stdin=text)

    def _repeat(self, command: Command, timeout_s: float, is_wanted: Callable[[int], bool]) -> str:
        deadline = time.monotonic() + timeout_s
        outcome = Outcome(-1, "", "")
        while (left_s := deadline - time.monotonic()) > 0:
            with suppress(CommandTimedOut):
                outcome = self.run(command, timeout_s=left_s)
                if is_wanted(outcome.code):
                    return outcome.stdout
            time.sleep(_POLL_S)
        raise CommandTimedOut(
            f"{self.name}: not within {timeout_s:g} s: {command}",
            stdout=outcome.stdout,
            stderr=outcome.stderr,
        )

    def _failed(self, message: str, outcome: Outcome) -> CommandFailed:
        return CommandFailed(
            f"{self.name}: {message}", stdout=outcome.stdout, stderr=outcome.stderr
        )


def silent(_line: str) -> None:
    """A Report that keeps nothing."""


@contextmanager
def subtest(name: str, report: Report = silent) -> Iterator[None]:
    """Name a step of a scenario: reported with its time, and added to whatever it raises."""
    started_s = time.monotonic()
    try:
        yield
    except BaseException as error:
        error.add_note(f"in subtest: {name}")
        report(f"{name}: failed after {time.monotonic() - started_s:.2f} s")
        raise
    report(f"{name}: {time.monotonic() - started_s:.2f} s")
