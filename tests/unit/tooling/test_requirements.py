# SPDX-License-Identifier: Apache-2.0
"""A tier that cannot run is skipped here and fails in CI."""

import pytest

from tests.requirements import cannot_run, need_tools

# Both are caught: a skip that gets away would skip the test that looks for it.
OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception)


def test_what_cannot_run_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(OUTCOMES, match="no bpffs") as outcome:
        cannot_run("no bpffs")
    assert outcome.type is pytest.skip.Exception


def test_what_cannot_run_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(OUTCOMES, match="no bpffs") as outcome:
        cannot_run("no bpffs")
    assert outcome.type is pytest.fail.Exception


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(OUTCOMES, match="no krait-no-such-tool here"):
        need_tools("sh", "krait-no-such-tool")
    need_tools("sh")


def test_a_test_is_marked_by_its_folder(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("unit")
