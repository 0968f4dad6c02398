# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.cli.doctor import machine
from krait.cli.doctor.finding import Level
from krait.kernel import capability


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("5.10.0-28-amd64", Level.FAIL),
        ("5.11.0", Level.NOTE),
        ("6.0.9", Level.NOTE),
        ("6.1.0-18-amd64", Level.OK),
        ("6.2.0", Level.OK),
        ("6.12.48+deb13", Level.OK),
        ("10.0", Level.OK),
        ("unknown", Level.FAIL),
    ],
)
def test_a_kernel_is_new_enough_from_5_11_and_tested_from_6_1(release: str, level: Level) -> None:
    answer = machine.kernel(release)
    assert answer.level is level
    untested = level is not Level.FAIL and not release.startswith(("6.1.", "6.12."))
    assert ("tested are 6.1, 6.12 and 6.18" in answer.message) is untested


def test_without_capabilities_one_finding_says_so_and_what_follows_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capability, "effective", frozenset)
    monkeypatch.setattr(machine, "effective", frozenset)
    answer = machine.capabilities()
    assert answer.level is Level.FAIL
    assert answer.message.startswith("run doctor as root: this process lacks CAP_NET_ADMIN")
    checks = machine.checks(Paths())
    assert "kernel" in checks
    assert not {"bpffs", "folders", "hooks", "object"} & set(checks)


@pytest.mark.parametrize(
    ("on", "level"), [(True, Level.OK), (False, Level.WARN), (None, Level.NOTE)]
)
def test_an_interpreted_program_is_slow_and_a_hidden_setting_says_nothing(
    on: bool | None, level: Level
) -> None:
    assert machine.jit(on).level is level


@pytest.mark.parametrize(
    ("tcx", "clsact", "level"),
    [
        (True, None, Level.OK),
        (True, False, Level.OK),
        (False, True, Level.NOTE),
        (False, None, Level.NOTE),
        (False, False, Level.FAIL),
    ],
)
def test_only_a_kernel_with_neither_kind_of_hook_fails(
    tcx: bool, clsact: bool | None, level: Level
) -> None:
    assert machine.hooks(tcx=tcx, clsact=clsact).level is level


@pytest.mark.parametrize(
    ("allowed", "level"), [(True, Level.WARN), (False, Level.OK), (None, Level.OK)]
)
def test_bpf_for_every_user_is_warned_of(allowed: bool | None, level: Level) -> None:
    assert machine.unprivileged(allowed).level is level


def test_a_folder_that_can_be_made_is_as_good_as_one_that_is_there(tmp_path: Path) -> None:
    assert machine.folders((tmp_path, tmp_path / "not" / "yet")).level is Level.OK


def test_a_folder_that_cannot_be_written_fails_with_its_mend(tmp_path: Path) -> None:
    """A file in its place refuses root, too."""
    (tmp_path / "file").touch()
    closed = tmp_path / "file" / "krait"
    answer = machine.folders((tmp_path, closed))
    assert answer.level is Level.FAIL
    assert answer.message == f"this user may not write to {closed}"
    assert f"install -d -m 700 -o {os.geteuid()} {closed}" in answer.hint


def test_wireguard_in_userspace_works_but_is_said_to_be_slower() -> None:
    answer = machine.wireguard(False)
    assert answer.level is Level.WARN
    assert "slower" in answer.message
