# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.cli.doctor import machine
from krait.cli.doctor.finding import Level


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("5.10.0-28-amd64", Level.FAIL),
        ("5.11.0", Level.NOTE),
        ("6.0.9", Level.NOTE),
        ("6.1.0-18-amd64", Level.OK),
        ("6.12.48+deb13", Level.OK),
        ("10.0", Level.OK),
        ("unknown", Level.FAIL),
    ],
)
def test_a_kernel_is_new_enough_from_5_11_and_tested_from_6_1(release: str, level: Level) -> None:
    assert machine.kernel(release).level is level


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
    ("files", "built"),
    [
        ({}, None),
        ({"modules.builtin": "kernel/net/sched/sch_ingress.ko\n"}, False),
        (
            {
                "modules.builtin": "kernel/net/sched/sch_ingress.ko\n",
                "modules.dep": "kernel/net/sched/cls_bpf.ko.xz:\n",
            },
            True,
        ),
    ],
)
def test_clsact_needs_a_qdisc_and_a_classifier_built_in_or_loadable(
    tmp_path: Path, files: dict[str, str], built: bool | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine.clsact_built(tmp_path) is built


@pytest.mark.parametrize(("setting", "level"), [("0\n", Level.WARN), ("2\n", Level.OK)])
def test_bpf_for_every_user_is_warned_of(setting: str, level: Level) -> None:
    assert machine.unprivileged(setting).level is level


def test_wireguard_in_userspace_works_but_is_said_to_be_slower() -> None:
    answer = machine.wireguard(False)
    assert answer.level is Level.WARN
    assert "slower" in answer.message
