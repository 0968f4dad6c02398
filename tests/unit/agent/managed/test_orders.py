# SPDX-License-Identifier: Apache-2.0
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.managed.orders import (
    Orders,
    Standing,
    begin_trial,
    is_overdue,
    read_orders,
    read_standing,
    read_trial,
)
from krait.agent.paths import Paths
from krait.common.errors import SystemRefused
from krait.kernel.lock import Lock
from tests.unit.standing import stand

ORDERS = Orders("/etc/krait/wg0.yaml", "alice", None, "tcx")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", run=tmp_path / "run")


@pytest.mark.parametrize("before", [None, ORDERS])
@pytest.mark.parametrize(
    "orders", [None, ORDERS, Orders("/a"), replace(ORDERS, userspace="wireguard-go")]
)
def test_what_stands_is_read_as_it_was_written(
    paths: Paths, orders: Orders | None, before: Orders | None
) -> None:
    assert read_standing("wg0", paths) == Standing()
    for standing in (Standing(orders), Standing(orders, begin_trial(60, before)), Standing()):
        stand(paths, standing)
        assert read_standing("wg0", paths) == standing


def test_what_stands_is_for_its_owner_alone(paths: Paths) -> None:
    stand(paths, Standing(ORDERS, begin_trial(60, None)))
    for path in (paths.orders_of("wg0"), paths.trial_of("wg0")):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_trial_is_overdue_once_whoever_should_end_it_had_time_and_nobody_is_at_it(
    paths: Paths,
) -> None:

    def begin(length_s: float) -> None:
        stand(paths, Standing(ORDERS, begin_trial(length_s, None)))

    assert not is_overdue("wg0", paths)
    begin(-1)
    assert not is_overdue("wg0", paths)
    begin(-60)
    assert is_overdue("wg0", paths)
    with Lock.take(paths.turn_of("wg0"), "a command"):
        assert not is_overdue("wg0", paths)
    paths.trial_of("wg0").write_text("{")
    assert not is_overdue("wg0", paths)


def test_orders_on_trial_are_not_confirmed() -> None:
    other = replace(ORDERS, config="/other")
    assert Standing(other).confirmed == other
    assert Standing(other, begin_trial(60, ORDERS)).confirmed == ORDERS
    assert Standing(other, begin_trial(60, None)).confirmed is None


def test_a_trial_is_over_after_its_time_and_after_its_boot() -> None:
    trial = begin_trial(60, None)
    assert 0 < trial.left_s() <= 60
    assert begin_trial(-1, None).left_s() <= 0
    assert replace(trial, boot_id="another").left_s() == 0


def test_a_trial_does_not_mind_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = begin_trial(60, None)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert 0 < trial.left_s() <= 60


def trial(until_s: str) -> bytes:
    return f'{{"version": 1, "boot_id": "b", "until_s": {until_s}, "before": null}}'.encode()


def orders(config: str) -> bytes:
    rest = '"node": null, "userspace": null, "attach": null'
    return f'{{"version": 1, "config": "{config}", {rest}}}'.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"version": 2, "config": "/a", "node": null, "userspace": null, "attach": null}',
        b'{"version": 1, "config": 1, "node": null, "userspace": null, "attach": null}',
        b'{"version": 1, "config": "/a"}',
        json.dumps({"version": 1, "boot_id": 1, "until_s": 1, "before": None}).encode(),
        b"[" * 20_000,
        trial("NaN"),  # would never be over
        trial("1e999"),
        trial("-1"),
        trial("9" * 400),
        orders("/etc/krait/\\u0000.yaml"),
        orders("/etc/krait/\\ud800.yaml"),
    ],
)
def test_what_is_no_file_of_ours_is_refused_with_the_mend(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange"
    path.write_bytes(content)
    for read in (read_orders, read_trial):
        with pytest.raises(SystemRefused) as refused:
            read(path)
        assert f"rm {path}" in refused.value.hint
