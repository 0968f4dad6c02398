# SPDX-License-Identifier: Apache-2.0
"""The demo's matrix on older kernels: who reaches whom is the same as here, with their WireGuard.

Both guests and this machine play it at the same time; each test here waits for one guest.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from krait.lab.machine import Process
from krait.lab.virtual.kernels import Kernel
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.qemu import Board
from tests.vm.conftest import JOB_S, KIND, Figures, booted, both_kernels, inside

pytestmark = pytest.mark.long

DEMO = "demo --matrix --json"
CELLS = 120
KRAIT = str(Path(sys.executable).with_name("krait"))

Cells = list[dict[str, Any]]


@pytest.fixture(scope="module")
def demos(kernels: Mapping[str, Kernel], figures: Figures) -> Iterator[Mapping[str, Process]]:
    """The demo in a guest of each series, by series."""
    machines = {
        series: VirtualMachine(f"demo-{series}", kernel, board=Board(memory_mib=768))
        for series, kernel in kernels.items()
    }
    with booted(machines, figures):
        yield {series: inside(machine, f"krait {DEMO}") for series, machine in machines.items()}


@pytest.fixture(scope="module")
def cells_here(demos: Mapping[str, Process]) -> Cells:  # noqa: ARG001 - they run meanwhile
    """What the demo finds on this machine's kernel."""
    done = subprocess.run([KRAIT, *DEMO.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return cells(json.loads(done.stdout))


def cells(report: Mapping[str, Any]) -> Cells:
    """Of the only act: each probe between two hosts, what is expected of it, what came of it."""
    (act,) = report["acts"]
    found: Cells = act["cells"]
    return found


@both_kernels
def test_every_cell_agrees_with_the_policy_and_with_this_machine(
    demos: Mapping[str, Process], cells_here: Cells, series: str, figures: Figures
) -> None:
    code = demos[series].wait(JOB_S)
    assert code == 0, f"{demos[series].stdout}\n--- stderr\n{demos[series].stderr}"
    report = json.loads(demos[series].stdout)
    figures(f"Linux {series}: the demo's matrix took {report['took_s']:.0f} s")
    assert (report["wireguard"], report["attach"]) == ("kernel", KIND[series].value)
    assert report["ok"]
    assert cells(report) == cells_here
    assert {(cell["family"], cell["allowed"]) for cell in cells_here} == {
        (family, allowed) for family in (4, 6) for allowed in (True, False)
    }
    assert all(cell["agrees"] for cell in cells_here)
    assert len(cells_here) == CELLS
