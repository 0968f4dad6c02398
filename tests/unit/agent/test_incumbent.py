# SPDX-License-Identifier: Apache-2.0
"""What stays in force while the kernel refuses its successor, and the clock it goes by."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from krait.agent import incumbent
from krait.agent.backoff import LONGEST_S
from krait.agent.desired import Desired, desire
from krait.agent.lookout import INTERVAL_S
from krait.agent.rounds import Rounds
from tests.unit.agent.clock import Clock
from tests.unit.agent.ports import Stage
from tests.unit.agent.wall import BOOT_S, NS, UNTIL, Wall
from tests.unit.policy.bench import AUDIT_RULE, WEB


def held_up(stage: Stage, *, audits: bool = False) -> Rounds:
    """An agent whose kernel does not take what follows the policy in force: no tables for it."""
    stage.edit(*UNTIL)
    if not audits:
        stage.edit(f"    {AUDIT_RULE}\n", "")
    agent = stage.rounds()
    agent.start()
    stage.kernel.refuses = {"load"}
    ports = ", ".join(f"tcp/{2 * port}" for port in range(1, 300))
    stage.edit("[tcp/80, udp/53, icmp]", f"[{ports}]")
    agent.read_again()
    agent.play()
    assert (stage.revision, set(stage.faults)) == (1, {"load: refused"})
    return agent


def test_the_clock_of_what_is_in_force_is_kept_while_the_kernel_refuses_its_successor(
    wall: Wall, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    agent = held_up(stage)
    agent.play()
    assert stage.revision == 1
    wall.boot_s += 60
    agent.play()  # the successor has the new clock, and is tried at once
    agent.play()
    committed = stage.enforcement.committed
    assert committed is not None
    assert (stage.revision, committed.compiled.clock_ns) == (2, (BOOT_S + 60) * NS)
    assert "app-in" in committed.compiled.numbers.rules
    wall.since_boot_s = 940
    agent.play()
    agent.play()
    committed = stage.enforcement.committed
    assert committed is not None
    assert (stage.revision, committed.compiled.ends) == (3, ())
    assert stage.faults == ["load: refused"]
    agent.play()
    assert stage.revision == 3


def test_a_new_clock_that_is_refused_too_is_tried_again_ever_more_seldom(
    wall: Wall, clock: Clock, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    agent = held_up(stage)
    wall.boot_s += 60
    stage.kernel.refuses = {"load", "write"}
    tried: list[str] = []
    check = stage.kernel.check

    def seen(what: str) -> None:
        if what in ("load", "write"):
            tried.append(what)
        check(what)

    stage.kernel.check = seen  # type: ignore[method-assign]
    for _ in range(40):
        agent.play()
        clock.now_s += 0.1
    assert (tried.count("load"), tried.count("write")) == (3, 3)
    stage.kernel.refuses = {"load"}
    clock.now_s += LONGEST_S
    agent.play()
    agent.play()
    assert stage.revision == 2


def test_a_rehearsal_that_cannot_go_on_by_a_new_clock_does_not_keep_the_rest_from_it(
    wall: Wall, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = held_up(stage, audits=True)

    def fails(*args: Any, rehearse: bool, **options: Any) -> Desired:  # noqa: ANN401
        if rehearse:
            raise RecursionError
        return desire(*args, rehearse=rehearse, **options)

    monkeypatch.setattr(incumbent, "desire", fails)
    wall.boot_s += 60
    for _ in range(3):
        agent.play()
    committed = stage.enforcement.committed
    assert committed is not None
    assert committed.compiled.clock_ns == (BOOT_S + 60) * NS
    assert set(stage.faults) == {"load: refused"}


def test_what_moves_to_another_peer_meanwhile_is_nobodys_until_it_is_back_or_the_kernel_takes_it(
    clock: Clock, stage: Stage
) -> None:
    agent = held_up(stage)
    web, app, strange = before = stage.kernel.peers
    mine, other = map(ip_network, ("10.20.0.0/24", WEB))
    left = tuple(each for each in web.allowed_ips if each != mine)
    theirs = replace(app, allowed_ips=(*app.allowed_ips, mine))
    after = replace(web, allowed_ips=left), theirs, strange

    def owned() -> tuple[bool, bool]:
        """Whether the two are anybody's, once a move that the kernel took would be over."""
        for _ in range(3):
            clock.now_s += 2 * INTERVAL_S
            agent.play()
        assert stage.faults == ["load: refused"]
        committed = stage.enforcement.committed
        assert committed is not None
        assert committed.withheld == (set() if stage.kernel.peers == before else {mine})
        compiled = committed.compiled
        return bool(compiled.principal_of(mine)), bool(compiled.principal_of(other))

    for peers in (after, before, after):
        stage.kernel.peers = peers
        assert owned() == (peers == before, True)
    assert stage.revision == 4
    stage.kernel.refuses = set()
    clock.now_s += LONGEST_S
    for _ in range(3):
        agent.play()
    committed = stage.enforcement.committed
    assert committed is not None
    assert (committed.interface.peers[1].allowed_ips, stage.faults) == (theirs.allowed_ips, [])
    assert not committed.withheld
