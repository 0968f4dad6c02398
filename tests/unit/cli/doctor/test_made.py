# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.agent.managed.orders import Orders, Standing, begin_trial
from krait.agent.paths import Paths
from krait.cli.doctor.finding import Level
from krait.cli.doctor.made import absent, made
from krait.kernel.device import MARK
from krait.kernel.link import Link
from tests.documents import mesh, policy
from tests.unit.standing import stand

OURS = Link(7, "wg0", "wireguard", 1420, up=True, group=MARK)
THEIRS = Link(7, "wg0", "wireguard", 1420, up=True)


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    path = tmp_path / "wg0.yaml"
    path.touch()
    return Orders(str(path))


def test_who_made_it_is_told(orders: Orders) -> None:
    assert made(OURS, Standing(orders)).level is Level.OK
    assert orders.config in made(OURS, Standing(orders)).message
    assert "another tool" in made(THEIRS, Standing()).message


def test_one_on_trial_is_told_with_the_way_to_keep_it(orders: Orders) -> None:
    answer = made(OURS, Standing(orders, begin_trial(60, None)))
    assert (answer.level, answer.hint) == (Level.WARN, "krait confirm wg0")


def test_a_document_that_is_gone_is_missed(orders: Orders) -> None:
    Path(orders.config).unlink()
    assert made(OURS, Standing(orders)).level is Level.WARN


def test_one_that_was_half_taken_away_is_to_be_taken_away() -> None:
    answer = made(OURS, Standing())
    assert (answer.level, answer.hint) == (Level.WARN, "finish that: krait down wg0")


def test_anothers_in_its_place_fails(orders: Orders) -> None:
    answer = made(THEIRS, Standing(orders))
    assert answer.level is Level.FAIL
    assert "ip link delete wg0" in answer.hint


def test_one_that_is_not_there_is_krait_ups_to_make_where_that_is_said(tmp_path: Path) -> None:
    paths = Paths(state=tmp_path, run=tmp_path, config=tmp_path)
    nobodys = absent("wg0", paths)
    assert (nobodys.level, nobodys.message) == (Level.FAIL, "there is no interface wg0")
    assert "krait up" not in nobodys.hint
    paths.any_config.write_text(policy("{}"))  # one for an interface of others
    assert absent("wg0", paths) == nobodys
    paths.any_config.write_text(mesh("{cidr: 10.8.0.0/24}"))
    assert absent("wg0", paths).hint == "krait up wg0"
    stand(paths, Standing(Orders("/srv/mesh.yaml")))
    assert absent("wg0", paths).hint == "krait up wg0 --config /srv/mesh.yaml"
