# SPDX-License-Identifier: Apache-2.0
"""An agent's life, from its start to SIGTERM, on ports that are played in memory."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable

import pytest

from krait.common.errors import KraitError
from krait.kernel.hook import Hook
from krait.kernel.link_watch import Change, LinkEvent, Resync
from krait.kernel.seat import AttachKind
from tests.patience import PATIENCE_S
from tests.unit.agent.ports import FakeFilter, Stage

A_RULE = ("    - {name: peers, from: web, to: app}\n", "")


def run(stage: Stage, drive: Callable[[], object]) -> None:
    """An agent from start to SIGTERM, which comes once `drive` says so; it is asked often."""

    async def go() -> None:
        agent = asyncio.create_task(stage.agent().run())
        async with asyncio.timeout(PATIENCE_S):
            while not drive() and not agent.done():
                await asyncio.sleep(0.005)
            os.kill(os.getpid(), signal.SIGTERM)
            await agent

    asyncio.run(go())


def test_sighup_reads_the_document_again_and_ends_in_ready(stage: Stage) -> None:
    told = stage.post.told

    def drive() -> bool:
        if told == ["READY=1"]:
            stage.edit(*A_RULE)
            os.kill(os.getpid(), signal.SIGHUP)
            told.append("sent")
        return told[-1:] == ["READY=1"] and len(told) > 1

    run(stage, drive)
    assert told == ["READY=1", "sent", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert stage.revision == 2


@pytest.mark.parametrize("error", [RuntimeError("torn"), KraitError("torn")])
def test_a_listener_that_dies_is_told_and_opened_again(
    stage: Stage, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krait.agent.hearing.INTERVAL_S", 0.0)
    opened: list[str] = []
    seen: list[str] = []

    async def dies() -> AsyncGenerator[LinkEvent | Resync, None]:
        opened.append("dies")
        yield Resync()
        raise error

    async def lives() -> AsyncGenerator[LinkEvent | Resync, None]:
        while not seen:  # until it was told
            await asyncio.sleep(0.005)
        opened.append("lives")
        async for each in Stage.quiet():
            yield each

    stage.events = [dies, lives]

    def drive() -> bool:
        if stage.live_path.exists():
            seen.extend(each for each in stage.faults if "torn" in each)
            return bool(seen) and not stage.faults
        return False

    run(stage, drive)
    assert opened == ["dies", "lives"]


def test_what_happens_while_it_starts_is_heard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that moves away right after its hooks are attached, and takes no filter along."""
    monkeypatch.setattr(FakeFilter, "kind", AttachKind.CLSACT)
    happened = threading.Event()
    attach = FakeFilter.attach

    def attach_and_move(fake: FakeFilter, ifindex: int, hook: Hook, program_fd: int) -> None:
        attach(fake, ifindex, hook, program_fd)
        if hook is Hook.EGRESS:
            happened.set()
            assert heard.wait(PATIENCE_S), "nobody listens"
            stage.kernel.link = None
            stage.kernel.seats = dict.fromkeys(Hook, ())

    heard = threading.Event()

    async def moves() -> AsyncGenerator[LinkEvent | Resync, None]:
        yield Resync()
        await asyncio.to_thread(happened.wait, PATIENCE_S)
        yield LinkEvent(Change.GONE, 7, "wg0", moved=True)
        heard.set()
        async for each in Stage.quiet():
            yield each

    monkeypatch.setattr(FakeFilter, "attach", attach_and_move)
    stage.events = [moves]
    run(stage, lambda: any("moved to another network namespace" in each for each in told(stage)))


def told(stage: Stage) -> list[str]:
    return stage.faults if stage.live_path.exists() else []
