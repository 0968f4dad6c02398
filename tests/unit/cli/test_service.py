# SPDX-License-Identifier: Apache-2.0
"""Ending an agent's process, whose place another process takes here that only holds the lock."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.agent.state import Fault, Live, write_live
from krait.cli import service
from krait.common.errors import SystemRefused

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


LIVE = Live(7, 1.0, "tcx", enforcing=True, revision=3, document="/etc/krait/wg0.yaml", readings=2)


def fault(subject: str) -> Fault:
    return Fault("no room", "make some", 1.0, subject)


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (None, "does not tell what it does"),
        (replace(LIVE, document="/srv/before.yaml"), "does not take /etc/krait/wg0.yaml"),
        (replace(LIVE, faults=(fault("document"),)), "does not take /etc/krait/wg0.yaml: no room"),
        (replace(LIVE, faults=(fault("commit"),)), "not as /etc/krait/wg0.yaml says: no room"),
        (replace(LIVE, faults=(fault("device"),)), "not as /etc/krait/wg0.yaml says: no room"),
        (replace(LIVE, enforcing=False), "wg0 is not up"),
    ],
)
def test_what_an_agent_did_not_do_is_told_in_its_own_words(
    paths: Paths, live: Live | None, why: str
) -> None:
    if live is not None:
        write_live(paths.live_of("wg0"), live)
    with pytest.raises(SystemRefused) as refused:
        service.require_in_force("wg0", paths, "/etc/krait/wg0.yaml")
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("live", "others"),
    [
        (LIVE, ()),
        (replace(LIVE, faults=(fault("endpoints"),)), ()),
        (replace(LIVE, document="/kept", faults=(fault("document"),)), ("/kept",)),
    ],
)
def test_what_is_in_force_may_be_a_copy_and_lack_what_does_not_decide(
    paths: Paths, live: Live, others: tuple[str, ...]
) -> None:
    write_live(paths.live_of("wg0"), live)
    assert service.require_in_force("wg0", paths, "/etc/krait/wg0.yaml", *others) == live


def test_an_agent_that_is_not_there_cannot_be_told_to_read(paths: Paths) -> None:
    with pytest.raises(SystemRefused, match="cannot be told"):
        service.reload("wg0", paths)
