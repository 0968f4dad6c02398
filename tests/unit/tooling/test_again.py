# SPDX-License-Identifier: Apache-2.0
"""Which failures of a whole run may be tried again."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

AGAIN = Path(__file__).parents[3] / ".ci" / "again.py"
MACHINES = ("tests/vm/test_mesh.py::test_one", "tests/netns/test_demo.py::test_two[a b-6.1]")


def again(folder: Path, failed: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """After a run in which these failed."""
    cache = folder / ".pytest_cache/v/cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))
    command = [sys.executable, str(AGAIN)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_few_of_whole_machines_are(tmp_path: Path) -> None:
    outcome = again(tmp_path, MACHINES)
    assert outcome.returncode == 0
    assert outcome.stdout.splitlines() == [*MACHINES]


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        ([*MACHINES, "tests/unit/test_a.py::test_b"], ["tests/unit/test_a.py::test_b"]),
        (["tests/kernel/test_a.py::test_b"], ["tests/kernel/test_a.py::test_b"]),
        (["tests/vm/test_up.py"], ["tests/vm/test_up.py"]),
        (
            [f"{MACHINES[0]}[{each}]" for each in range(5)],
            [f"{MACHINES[0]}[{n}]" for n in range(5)],
        ),
    ],
    ids=["one of another tier", "the kernel tier", "a file that cannot be read", "many"],
)
def test_others_are_not_and_are_told(tmp_path: Path, failed: list[str], told: list[str]) -> None:
    outcome = again(tmp_path, failed)
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines() == told


def test_none_is_if_nothing_is_known_of_the_run(tmp_path: Path) -> None:
    command = [sys.executable, str(AGAIN)]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert "nothing is known of what failed" in outcome.stderr
    assert again(tmp_path, []).returncode == 1
