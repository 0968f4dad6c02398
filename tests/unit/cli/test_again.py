# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.agent.managed.orders import Orders, Standing
from krait.agent.paths import Paths
from krait.agent.state import Record, write_records
from krait.cli.again import command
from krait.policy.numbering import Numbers
from tests.unit.standing import stand

EMPTY_SLOT = Record(8, 2.0, "", "", Numbers())


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", run=tmp_path / "run", config=tmp_path / "etc")


def committed(paths: Paths, source: str) -> None:
    record = Record(7, 1.0, source, "ab", Numbers())
    write_records(paths.state_of("wg0"), (EMPTY_SLOT, record))


def test_a_document_from_elsewhere_is_named(paths: Paths) -> None:
    committed(paths, "/srv/the mesh.yaml")
    assert command("wg0", paths) == "krait --iface wg0 --config '/srv/the mesh.yaml'"


def test_a_document_that_is_found_anyway_is_not_named(paths: Paths) -> None:
    own, everyones = paths.configs_of("wg0")
    committed(paths, str(own))
    assert command("wg0", paths) == "krait --iface wg0"
    own.parent.mkdir()
    everyones.touch()
    committed(paths, str(everyones))
    assert command("wg0", paths) == "krait --iface wg0"


def test_what_krait_up_made_is_kept_by_it_again(paths: Paths) -> None:
    committed(paths, "/srv/old.yaml")
    stand(paths, Standing(Orders("/srv/the mesh.yaml", userspace="wireguard-go")))
    words = "krait up wg0 --config '/srv/the mesh.yaml' --userspace wireguard-go"
    assert command("wg0", paths) == words


def test_a_searched_document_behind_another_is_named(paths: Paths) -> None:
    own, everyones = paths.configs_of("wg0")
    own.parent.mkdir()
    own.touch()
    committed(paths, str(everyones))
    assert command("wg0", paths) == f"krait --iface wg0 --config {everyones}"


def test_where_nothing_was_committed_the_agent_looks_itself(paths: Paths) -> None:
    assert command("wg0", paths) == "krait --iface wg0"
