# SPDX-License-Identifier: Apache-2.0
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from krait.agent.notify import Notifier


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def said(listener: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_readiness_and_status_are_told_and_the_same_status_once(listener: socket.socket) -> None:
    notifier = Notifier(listener.getsockname())
    notifier.ready("enforcing")
    notifier.status("enforcing")
    notifier.status("waiting")
    notifier.stopping()
    assert said(listener) == ["READY=1\nSTATUS=enforcing", "STATUS=waiting", "STOPPING=1"]


def test_reloading_carries_the_monotonic_time(listener: socket.socket) -> None:
    Notifier(listener.getsockname()).reloading()
    (told,) = said(listener)
    first, second = told.splitlines()
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_the_watchdog_hears_at_half_of_its_time(listener: socket.socket) -> None:
    notifier = Notifier(listener.getsockname(), watchdog_s=2.0)
    for now_s in (10.0, 10.9, 11.0, 11.5, 12.1):
        notifier.alive(now_s)
    assert said(listener) == ["WATCHDOG=1"] * 3


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0krait-test-{os.getpid()}")
        Notifier(f"@krait-test-{os.getpid()}").ready("up")
        assert sock.recv(100) == b"READY=1\nSTATUS=up"


def test_the_environment_says_who_listens_and_whose_the_watchdog_is() -> None:
    mine = {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier.of(mine).watchdog_s == 3.0
    assert Notifier.of({**mine, "WATCHDOG_PID": "1"}).watchdog_s == 0.0
    assert Notifier.of({}).watchdog_s == 0.0


def test_nobody_who_listens_is_no_error(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "gone")):
        Notifier(address, watchdog_s=1.0).alive(1.0)
