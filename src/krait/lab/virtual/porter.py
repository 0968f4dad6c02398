# SPDX-License-Identifier: Apache-2.0
"""The program that runs commands inside a guest: `python -I -S porter.py`, as PID 1 or as a unit.

It stands on the standard library alone and speaks over the guest's virtio serial port. Both ways go
frames: a `HEADER` (kind, number of the command, bytes of payload), then the payload. Several
commands run at a time; what one wrote before its end is sent before the word that it ended.

As PID 1 it reaps the orphans, too. Its end is the guest's: Linux panics without a PID 1.
"""

import json
import os
import selectors
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

HEADER = struct.Struct("!BII")
PORT = "krait"  # the name of the serial port
_PIECE_BYTES = 1 << 15


class Kind(IntEnum):
    """What a frame says, and its payload."""

    SPAWN = 1  # to the guest: JSON of {arguments, environment, folder, stdin}
    SIGNAL = 2  # to the guest: a byte, the signal's number
    KILL_ALL = 3  # to the guest: the command and its children, at once
    READY = 4  # from the guest: commands can run
    STDOUT = 5
    STDERR = 6
    ENDED = 7  # from the guest: `CODE`, exit code or minus a signal's number


CODE = struct.Struct("!i")


class Porter:
    """Runs what the port asks for, for as long as the guest lives."""

    def __init__(self, port: int) -> None:
        """`port` is the descriptor of the serial port."""
        self._port = port
        self._received = bytearray()
        self._running: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}  # by PID
        self._pids: dict[int, int] = {}  # by number of the command
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Never returns."""
        # Ends of children have to wake the selector; the handler itself has nothing to do.
        woken, waker = socket.socketpair()
        woken.setblocking(False)
        waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(4096))
        self._selector.register(self._port, selectors.EVENT_READ, self._hear)
        self._send(Kind.READY, 0)
        while True:
            for key, _ in self._selector.select():
                key.data()
            self._reap()

    def _hear(self) -> None:
        self._received += os.read(self._port, _PIECE_BYTES)
        while len(self._received) >= HEADER.size:
            kind, number, length = HEADER.unpack_from(self._received)
            end = HEADER.size + length
            if len(self._received) < end:
                return
            payload = bytes(self._received[HEADER.size : end])
            del self._received[:end]
            self._obey(Kind(kind), number, payload)

    def _obey(self, kind: Kind, number: int, payload: bytes) -> None:
        if kind is Kind.SPAWN:
            self._spawn(number, json.loads(payload))
        elif pid := self._pids.get(number):  # else it has ended, which is no error
            with suppress(ProcessLookupError):
                if kind is Kind.SIGNAL:
                    os.kill(pid, payload[0])
                else:
                    os.killpg(pid, signal.SIGKILL)

    def _spawn(self, number: int, request: dict[str, Any]) -> None:
        stdin = os.memfd_create("stdin")
        try:
            os.write(stdin, request["stdin"].encode())
            os.lseek(stdin, 0, os.SEEK_SET)
            process = subprocess.Popen(  # noqa: S603  running what the scenario says is the purpose
                request["arguments"],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=request["environment"],
                cwd=request["folder"],
                start_new_session=True,
            )
        except OSError as error:  # as a shell says it
            self._send(Kind.STDERR, number, f"{error.filename}: {error.strerror}\n".encode())
            self._send(Kind.ENDED, number, CODE.pack(127))
            return
        finally:
            os.close(stdin)
        self._running[process.pid] = number, process
        self._pids[number] = process.pid
        for kind, pipe in (Kind.STDOUT, process.stdout), (Kind.STDERR, process.stderr):
            assert pipe is not None  # noqa: S101  PIPE was asked for; mypy cannot see it
            os.set_blocking(pipe.fileno(), False)
            # Bound now: a child that outlives the command may go on writing.
            self._selector.register(
                pipe, selectors.EVENT_READ, lambda k=kind, p=pipe: self._pass_on(k, number, p)
            )

    def _pass_on(self, kind: Kind, number: int, pipe: Any) -> bool:  # noqa: ANN401  a pipe's end
        """Send one piece of what a command wrote; whether there may be more."""
        if pipe.closed:
            return False
        try:
            piece = os.read(pipe.fileno(), _PIECE_BYTES)
        except BlockingIOError:
            return False
        if piece:
            self._send(kind, number, piece)
            return True
        self._selector.unregister(pipe)
        pipe.close()
        return False

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self._running:
                    self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        number, process = self._running.pop(pid)
        process.returncode = code  # reaped here, not by Popen
        for kind, pipe in (Kind.STDOUT, process.stdout), (Kind.STDERR, process.stderr):
            while self._pass_on(kind, number, pipe):
                pass
        del self._pids[number]
        self._send(Kind.ENDED, number, CODE.pack(code))

    def _send(self, kind: Kind, number: int, payload: bytes = b"") -> None:
        rest = memoryview(HEADER.pack(kind, number, len(payload)) + payload)
        while rest:
            rest = rest[os.write(self._port, rest) :]


def find_port() -> str:
    """The device of the serial port, found without udev."""
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT:
            return f"/dev/{name.parent.name}"
    raise FileNotFoundError(f"no virtio serial port is called {PORT}")


if __name__ == "__main__":
    Porter(os.open(find_port(), os.O_RDWR | os.O_CLOEXEC)).run()
