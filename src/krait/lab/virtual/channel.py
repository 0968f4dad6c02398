# SPDX-License-Identifier: Apache-2.0
"""The host's end of a guest's serial port: commands that run in the guest (porter.py)."""

import json
import signal
import socket
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from krait.lab.machine import TIMEOUT_S, Command, CommandTimedOut, Process, patient
from krait.lab.virtual.porter import CODE, HEADER, Kind

_END_S = patient(30.0)


class GuestProcess(Process):
    """A command in a guest; ends with SIGKILL if the guest does.

    What is to be waited for is waited for `slowness` times longer than asked.
    """

    def __init__(self, channel: "Channel", number: int, command: Command, slowness: float) -> None:
        self.command = command
        self._slowness = slowness
        self._channel = channel
        self._number = number
        self._written = {Kind.STDOUT: bytearray(), Kind.STDERR: bytearray()}
        self._code: int | None = None
        self._ended = threading.Event()

    @property
    def stdout(self) -> str:
        return self._written[Kind.STDOUT].decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self._written[Kind.STDERR].decode(errors="replace")

    def is_running(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        if not self._ended.wait(timeout_s * self._slowness):
            raise CommandTimedOut(
                f"not ended within {timeout_s:g} s: {self.command}",
                stdout=self.stdout,
                stderr=self.stderr,
            )
        assert self._code is not None  # noqa: S101  set before the event
        return self._code

    def wait_for_output(self, text: str, timeout_s: float = TIMEOUT_S) -> str:
        return super().wait_for_output(text, timeout_s * self._slowness)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._channel.send(Kind.SIGNAL, self._number, bytes([number]))

    def kill_all(self) -> None:
        self._channel.send(Kind.KILL_ALL, self._number)
        self._ended.wait(_END_S)

    def take(self, kind: Kind, payload: bytes) -> None:
        """What the guest says of it."""
        if kind is Kind.ENDED:
            self.end(*CODE.unpack(payload))
        else:
            self._written[kind] += payload

    def end(self, code: int) -> None:
        """It has ended."""
        self._code = code
        self._ended.set()


class Channel:
    """A connection to a guest; a thread hears what it says, until the guest ends."""

    def __init__(self, path: str, slowness: float) -> None:
        """`slowness`: how many times slower than the host the guest may be. Raises OSError while
        nothing listens at `path`.
        """
        self._slowness = slowness
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._numbers = count(1)
        self._processes: dict[int, GuestProcess] = {}
        self._lock = threading.Lock()  # scenarios may have threads
        self._ready = threading.Event()
        self._open = True
        threading.Thread(target=self._hear, daemon=True).start()

    @property
    def is_open(self) -> bool:
        """Whether the guest is still there."""
        return self._open

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Whether commands can run; False if the guest ended, or said nothing in that time."""
        return self._ready.wait(timeout_s) and self._open

    def spawn(self, command: Command, environment: dict[str, str], stdin: str) -> GuestProcess:
        """Start a command, in the folder that this process is in."""
        arguments = ["sh", "-c", command] if isinstance(command, str) else list(command)
        request = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(Path.cwd()),
            "stdin": stdin,
        }
        with self._lock:
            number = next(self._numbers)
            process = self._processes[number] = GuestProcess(self, number, command, self._slowness)
            if not self._open:
                process.end(-signal.SIGKILL)
        self.send(Kind.SPAWN, number, json.dumps(request).encode())
        return process

    def send(self, kind: Kind, number: int, payload: bytes = b"") -> None:
        """One frame; lost, like all in the guest, if that has ended."""
        with self._lock:
            try:
                self._socket.sendall(HEADER.pack(kind, number, len(payload)) + payload)
            except OSError:
                self._open = False

    def _hear(self) -> None:
        with self._socket.makefile("rb") as stream:
            while len(header := _read(stream, HEADER.size)) == HEADER.size:
                kind, number, length = HEADER.unpack(header)
                payload = _read(stream, length)
                if kind == Kind.READY:
                    self._ready.set()
                else:
                    self._processes[number].take(Kind(kind), payload)
        with self._lock:
            self._open = False
            for process in self._processes.values():
                if process.is_running():
                    process.end(-signal.SIGKILL)
            self._socket.close()
        self._ready.set()  # whoever waits for that waits in vain


def _read(stream: BinaryIO, length: int) -> bytes:
    """So many bytes, or fewer at the guest's end."""
    with suppress(OSError):
        return stream.read(length)
    return b""
