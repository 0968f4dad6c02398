# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping the agent of an interface: systemd's unit, or a process of its own.

Where systemd runs and knows `krait@.service`, the unit it is. Elsewhere the agent is a process that
outlives the command, logs to a file, and says that it is ready as it would say it to systemd.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from krait.agent.ourselves import ourselves
from krait.agent.paths import Paths
from krait.agent.state import Fault, Live, read_live
from krait.agent.subject import Subject
from krait.cli import systemd
from krait.common.errors import ExitCode, KraitError, SystemRefused
from krait.kernel.files import writing
from krait.kernel.lock import holder

PATIENCE_S = 90.0
"""For an agent to be ready, to end, or to answer: longer than its unit has."""

_DECISIVE = Subject.POLICY, Subject.COMMIT, Subject.ENFORCEMENT, Subject.DEVICE
"""What is wrong with these keeps an agent from doing what a document says."""
_POLL_S = 0.05
_LOG_BYTES = 16 << 20
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not used as such
_KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "SHIV_ROOT")


class _NotInForce(SystemRefused):
    """The agent lives, and went on with something else."""

    def __init__(self, what: str, fault: Fault | None) -> None:
        super().__init__(
            f"{what}: {fault.message}" if fault else what,
            hint=fault.hint if fault else "its log may say why",
        )


class CannotStart(KraitError):
    """The agent ended instead of being ready; the message is its own."""

    def __init__(self, message: str, hint: str, exit_code: ExitCode) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


def restart(interface: str, paths: Paths) -> None:
    """Start the agent, or end the one that lives and start another; returns when it is ready.

    What is enforced stays enforced in between. Raises KraitError, and then no agent lives.
    """
    if systemd.has_unit(interface, paths):
        stop_process(interface, paths)
        systemd.tell("restart", interface)
        return
    stop(interface, paths)
    _spawn(interface, paths)


def stop(interface: str, paths: Paths) -> None:
    """End the agent, whoever started it; no error if there is none. What is enforced stays so."""
    if systemd.has_unit(interface, paths):
        systemd.tell("stop", interface)
    stop_process(interface, paths)


def stop_process(interface: str, paths: Paths) -> None:
    """End an agent that is no unit's: ask, wait, and kill it, as systemd does with a unit."""
    lock = paths.lock_of(interface)
    if systemd.has_unit(interface, paths) and systemd.is_active(interface):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        if (left := _end(lock, number)) is None:
            return
    raise SystemRefused(
        f"the agent of {interface} does not end (pid {left or 'unknown'})",
        hint=f"See what it waits for, and try again: cat /proc/{left or 'PID'}/stack",
    )


def reload(interface: str, paths: Paths) -> None:
    """Have the living agent read its document again; returns when it has.

    Raises SystemRefused if it cannot be told, or does not answer.
    """
    live_path, pid = paths.live_of(interface), holder(paths.lock_of(interface))
    before = read_live(live_path)
    if not pid or before is None:
        raise SystemRefused(
            f"the agent of {interface} cannot be told to read its document again",
            hint=f"see whether it lives, and here: krait status {interface}",
        )
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
    deadline_s = time.monotonic() + PATIENCE_S
    while (live := read_live(live_path)) is None or live.readings == before.readings:
        if holder(paths.lock_of(interface)) != pid or time.monotonic() > deadline_s:
            raise SystemRefused(
                f"the agent of {interface} did not read its document again (pid {pid})",
                hint=f"its log may say why: {where_it_logs(interface, paths)}",
            )
        time.sleep(_POLL_S)


def require_in_force(interface: str, paths: Paths, config: str, *others: str) -> Live:
    """What a living agent says of itself that did what a document says, or one of `others`.

    Raises SystemRefused, with its own words, if it did not.
    """
    live = read_live(paths.live_of(interface))
    if live is None:
        raise SystemRefused(
            f"the agent of {interface} does not tell what it does",
            hint=f"its log may say why: {where_it_logs(interface, paths)}",
        )
    unread = live.fault_of(Subject.DOCUMENT)
    is_current = live.document == config and unread is None
    if not is_current and live.document not in others:
        raise _NotInForce(f"the agent of {interface} does not take {config}", unread)
    for fault in map(live.fault_of, _DECISIVE):
        if fault is not None:
            raise _NotInForce(f"{interface} is not as {live.document} says", fault)
    if not live.enforcing:
        raise _NotInForce(f"{interface} is not up", next(iter(live.faults), None))
    return live


def where_it_logs(interface: str, paths: Paths) -> str:
    """What shows the agent's log."""
    if systemd.has_unit(interface, paths):
        return f"journalctl -u {systemd.unit(interface)}"
    return str(paths.log_of(interface))


def command_for_boot(interface: str, paths: Paths, *, wanted: bool = True) -> str:
    """What has systemd start it at boot, or not; empty: so it is, or there is no systemd."""
    if not systemd.has_unit(interface, paths):
        return ""
    is_enabled = systemd.is_enabled(interface)
    verb = "enable" if wanted else "disable"
    return "" if is_enabled == wanted else f"systemctl {verb} {systemd.unit(interface)}"


def _end(lock: Path, number: int) -> int | None:
    """Send whoever holds the lock a signal, once; who holds it still, None if nobody does."""
    deadline_s = time.monotonic() + PATIENCE_S
    told = None
    while (pid := holder(lock)) is not None and time.monotonic() < deadline_s:
        if pid and pid != told:
            told = pid
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(_POLL_S)
    return pid


def leave_behind(interface: str, paths: Paths, *arguments: str) -> None:
    """Start another command of ours, which outlives this one and tells the log how it goes."""
    with _appending(paths.log_of(interface)) as output:
        _start(arguments, output)


def sees(path: Path, interface: str, paths: Paths) -> bool:
    """Whether the agent will: homes and temporary files are hidden from its unit."""
    return not (systemd.has_unit(interface, paths) and any(map(path.is_relative_to, _HIDDEN)))


def _spawn(interface: str, paths: Paths) -> None:
    """Start a process that outlives this one; returns when it is ready."""
    log = paths.log_of(interface)
    ready = paths.ready_of(interface)
    with _listening(ready) as listener, _appending(log) as output:
        began = output.tell()
        process = _start(
            ("agent", "--iface", interface, "--as-ordered"), output, NOTIFY_SOCKET=str(ready)
        )
        with _ended_on_error(process):
            if not _becomes_ready(process, listener):
                raise SystemRefused(
                    f"the agent of {interface} was not ready within {PATIENCE_S:g} s",
                    hint=f"its log may say why: {log}",
                )
        if process.returncode is not None:
            raise _why(log, began, process.returncode)


@contextmanager
def _ended_on_error(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Nor does it go on as if nobody had called it off by an interruption."""
    try:
        yield
    except BaseException:
        process.kill()
        process.wait()
        raise


def _becomes_ready(process: subprocess.Popen[bytes], listener: socket.socket) -> bool:
    """Whether it does, or ends; False: neither, within our patience."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if _is_ready(listener) or process.poll() is not None:
            return True
    return False


def _start(
    arguments: Sequence[str], output: BinaryIO, **environment: str
) -> subprocess.Popen[bytes]:
    """A command of ours in a session of its own, with nothing of the caller's but where to find
    programs and Python's own.
    """
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return subprocess.Popen(  # noqa: S603 - ourselves
        [*ourselves(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        env=kept | environment,
        start_new_session=True,
    )


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """A socket as sd_notify(3) speaks to; one that a killed command left there goes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as listener:
        with writing(path):
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(0o600)  # a name of ours in a folder of ours: nobody speaks for the agent
        listener.settimeout(_POLL_S)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _appending(log: Path) -> Iterator[BinaryIO]:
    """The log at its end; one that grew large is put aside first."""
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.rename(f"{log}.1")
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.seek(0, os.SEEK_END)
        yield file


def _is_ready(listener: socket.socket) -> bool:
    try:
        return b"READY=1" in listener.recv(1 << 12).splitlines()
    except TimeoutError:
        return False


def _why(log: Path, began: int, code: int) -> KraitError:
    """What the agent said last, for it logged in JSON why it ended."""
    said = log.read_bytes()[began:].decode(errors="replace").splitlines()
    for line in reversed(said):
        with suppress(ValueError):
            match json.loads(line):
                case {"event": str(event), "hint": str(hint), "exit_code": int(number)}:
                    return CannotStart(event, hint, ExitCode(number))
    return SystemRefused(f"the agent ended with exit code {code}", hint=f"Its log is {log}.")
