# SPDX-License-Identifier: Apache-2.0
"""Which interface is meant where none is named."""

from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.cli.asked import interface_of
from krait.common.errors import UsageError


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Of a machine on which Krait is on no interface yet."""
    return Paths(pins=tmp_path / "pins", state=tmp_path / "state", run=tmp_path / "run")


def test_the_only_interface_need_not_be_named(paths: Paths) -> None:
    paths.pins_of("wg0").mkdir(parents=True)
    assert interface_of(None, paths) == "wg0"


def test_one_that_is_named_is_taken_whatever_there_is(paths: Paths) -> None:
    paths.pins_of("wg0").mkdir(parents=True)
    assert interface_of("wg7", paths) == "wg7"


def test_of_several_one_has_to_be_named(paths: Paths) -> None:
    for name in ("wg1", "wg0"):
        paths.pins_of(name).mkdir(parents=True)
    with pytest.raises(UsageError, match="several interfaces: wg0, wg1") as told:
        interface_of(None, paths)
    assert told.value.hint == "say which one is meant: --iface wg0"


def test_where_there_is_none_it_is_said_how_one_is_made(paths: Paths) -> None:
    with pytest.raises(UsageError, match="on no interface") as told:
        interface_of(None, paths)
    assert "krait --iface IFACE" in told.value.hint
