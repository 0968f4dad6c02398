# SPDX-License-Identifier: Apache-2.0
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.managed.orders import (
    Orders,
    begin_trial,
    read_orders,
    read_trial,
    write_orders,
    write_trial,
)
from krait.common.errors import SystemRefused

ORDERS = Orders("/etc/krait/wg0.yaml", "alice", None, "tcx")


@pytest.mark.parametrize(
    "orders", [ORDERS, Orders("/a"), replace(ORDERS, userspace="wireguard-go")]
)
def test_orders_are_read_as_they_were_written(tmp_path: Path, orders: Orders) -> None:
    path = tmp_path / "state" / "wg0.up"
    assert read_orders(path) is None
    write_orders(path, orders)
    assert read_orders(path) == orders
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("before", [None, ORDERS])
def test_a_trial_is_read_as_it_was_written(tmp_path: Path, before: Orders | None) -> None:
    path = tmp_path / "wg0.trial"
    assert read_trial(path) is None
    trial = begin_trial(60, before)
    write_trial(path, trial)
    assert read_trial(path) == trial


def test_a_trial_is_over_after_its_time_and_after_its_boot() -> None:
    trial = begin_trial(60, None)
    assert 0 < trial.left_s() <= 60
    assert begin_trial(-1, None).left_s() <= 0
    assert replace(trial, boot_id="another").left_s() == 0


def test_a_trial_does_not_mind_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = begin_trial(60, None)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert 0 < trial.left_s() <= 60


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
    ],
)
def test_what_is_no_file_of_ours_is_refused_with_the_mend(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange"
    path.write_bytes(content)
    for read in (read_orders, read_trial):
        with pytest.raises(SystemRefused) as refused:
            read(path)
        assert f"rm {path}" in refused.value.hint
