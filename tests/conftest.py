# SPDX-License-Identifier: Apache-2.0
"""Tiers by folder: a test under tests/kernel is marked `kernel`, and runs where that tier can."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.requirements import TIERS, cannot_run

HERE = Path(__file__).parent

pytest_plugins = ["tests.figures"]

# No test is timed: machines are shared. CI tries the same examples each time, people new ones.
settings.register_profile(
    "krait",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],  # which is a time limit
)
settings.load_profile("krait")


def pytest_itemcollected(item: pytest.Item) -> None:
    path = item.path.relative_to(HERE)
    tier = path.parts[0]
    if tier in TIERS:
        item.add_marker(tier)


class Shares(LoadScopeScheduling):  # type: ignore[misc]
    """Side by side: a file shares what it made, and all virtual machines one processor."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "tests/vm" if path.startswith("tests/vm/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Shares:
    return Shares(config, log)


@pytest.hookimpl(tryfirst=True)  # before fixtures, which would fail with less to say
def pytest_runtest_setup(item: pytest.Item) -> None:
    for tier, missing in TIERS.items():
        if item.get_closest_marker(tier) and (reason := missing()):
            cannot_run(reason)
