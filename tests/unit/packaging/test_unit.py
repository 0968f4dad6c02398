# SPDX-License-Identifier: Apache-2.0
"""The service unit, as systemd reads it: understood in full, early without a cycle, confined."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from krait.kernel.capability import NEEDED
from tests.requirements import need_tools

need_tools("systemd-analyze")

UNIT = Path(__file__).parents[3] / "packaging" / "systemd" / "krait@.service"

MOST_EXPOSED = 2.5
"""Of 10, as `systemd-analyze security` counts; what is left is root, netlink and the network."""

CLOUD_INIT = """
[Unit]
DefaultDependencies=no
After=network-pre.target
Before=sysinit.target
[Service]
ExecStart=/bin/true
"""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def said(directive: str) -> list[str]:
    """The values of a directive, in the order of the unit."""
    return re.findall(f"^{directive}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """Units of a boot: ours with a program that is there, and one as cloud-init has."""
    text = UNIT.read_text().replace("/usr/bin/krait", "/bin/true")
    (tmp_path / "krait@.service").write_text(text)
    (tmp_path / "cloud.service").write_text(CLOUD_INIT)
    (tmp_path / "sysinit.target.wants").mkdir()
    (tmp_path / "sysinit.target.wants" / "cloud.service").symlink_to("../cloud.service")
    return tmp_path


def test_systemd_understands_every_line(boot: Path) -> None:
    verified = analyze("verify", "--man=no", boot / "krait@wg0.service")
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_line_that_systemd_does_not_know_is_found(boot: Path) -> None:
    with (boot / "krait@.service").open("a") as unit:
        unit.write("RestartSteps=never-heard-of\n")
    assert "RestartSteps" in analyze("verify", "--man=no", boot / "krait@wg0.service").stderr


@pytest.mark.parametrize("default_dependencies", [False, True])
def test_to_be_early_is_no_cycle_with_what_cloud_init_orders(
    boot: Path, default_dependencies: bool
) -> None:
    unit = boot / "krait@.service"
    if default_dependencies:
        unit.write_text(unit.read_text().replace("DefaultDependencies=no\n", ""))
    both = boot / "krait@wg0.service", boot / "cloud.service"
    found = "ordering cycle" in analyze("verify", "--man=no", *both).stderr
    assert found == default_dependencies


def test_its_exposure_stays_low() -> None:
    limit = f"--threshold={MOST_EXPOSED * 10:.0f}"
    judged = analyze("security", "--offline=true", limit, UNIT)
    sys.stdout.write(judged.stdout)  # shown when it fails, and by `pytest -s`
    assert "Overall exposure level" in judged.stdout
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]


@pytest.mark.parametrize("directive", ["CapabilityBoundingSet", "AmbientCapabilities"])
def test_it_has_the_capabilities_that_the_agent_asks_for_and_no_more(directive: str) -> None:
    (line,) = said(directive)
    assert sorted(line.split()) == sorted(f"CAP_{each.name}" for each in NEEDED)


def test_it_may_call_bpf_though_that_is_a_privileged_call() -> None:
    assert said("SystemCallFilter")[-1] == "bpf"  # of two lines on one call the later counts
