# SPDX-License-Identifier: Apache-2.0
"""Ending an agent's process, whose place another process takes here that only holds the lock."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.cli import service

_AGENT = """
import signal, sys
from pathlib import Path
from krait.kernel.lock import Lock
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with Lock.take(Path(sys.argv[1]), "an agent"):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("krait.cli.systemd._SYSTEMD", tmp_path / "none")
    return Paths(run=tmp_path / "run", state=tmp_path / "state")


@contextmanager
def agent(paths: Paths, manner: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _AGENT, str(paths.lock_of("wg0")), manner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_an_agent_is_asked_to_end(paths: Paths) -> None:
    with agent(paths, "polite") as process:
        service.stop("wg0", paths)
        assert process.wait() == -signal.SIGTERM


def test_an_agent_that_does_not_end_is_killed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krait.cli.service.PATIENCE_S", 0.2)
    with agent(paths, "deaf") as process:
        service.stop("wg0", paths)
        assert process.wait() == -signal.SIGKILL
