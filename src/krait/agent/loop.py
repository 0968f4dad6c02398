# SPDX-License-Identifier: Apache-2.0
"""The agent: wakes when something happened, and has a round played.

A round runs in a thread, so that the loop hears of events meanwhile; however many come, one more
round follows. Nothing ends the agent but a signal, or a trial that nobody else ended.
"""

import asyncio
import signal
import time
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial

import structlog

from krait.agent.hearing import keep_hearing
from krait.agent.rounds import Rounds
from krait.agent.setup import Setup
from krait.agent.subject import Subject
from krait.common.errors import KraitError
from krait.kernel.link_watch import Change, LinkEvent, Resync

_log = structlog.get_logger()


class TrialOver(Exception):
    """What this agent does was on trial, and that is over."""


class Agent:
    """Lives from its start to a signal."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._rounds = Rounds(setup, self._wake_up)
        self._wake = asyncio.Event()
        self._is_listening = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_reloading = False
        self._is_stopping = False

    async def run(self) -> None:
        """Start, and go on until SIGTERM or SIGINT; what is enforced stays enforced.

        The kernel is listened to before the first look, so that nothing happens unheard in between.
        Raises KraitError if it cannot start, and then nothing is attached that was not before;
        TrialOver.
        """
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        listening = [asyncio.create_task(each) for each in self._hearing()]
        try:
            await self._is_listening.wait()
            await asyncio.to_thread(self._rounds.start)
            self._setup.notifier.ready(self._rounds.status())
            self._setup.on_ready()
            await self._go_on()
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            self._setup.enforcement.close()
        self._setup.notifier.stopping()
        with suppress(OSError):  # the lock tells that nobody lives
            self._setup.live.unlink()
        _log.info("stopped; what is in force stays in force")

    def _hearing(self) -> tuple[Coroutine[None, None, None], ...]:
        setup = self._setup
        links, document = setup.eyes.events, partial(setup.changes, setup.document)
        return (
            keep_hearing(links, self._heard_of_link, partial(self._trouble, Subject.EVENTS)),
            keep_hearing(
                document, self._heard_of_document, partial(self._trouble, Subject.WATCHING)
            ),
        )

    async def _go_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            self._wake.clear()
            if self._is_stopping:
                return
            if self._setup.is_overdue():
                raise TrialOver
            await asyncio.to_thread(self._rounds.play)
            self._report()

    def _heard_of_link(self, event: LinkEvent | Resync) -> None:
        self._is_listening.set()  # the first event says no more than that
        if not isinstance(event, LinkEvent):
            self._wake.set()
        elif event.name == self._setup.interface:
            if event.change is Change.PRESENT:
                self._rounds.appeared(event.ifindex)
            elif event.moved:
                self._rounds.moved()
            self._wake.set()
        elif self._rounds.is_guarding and event.change in (Change.PRESENT, Change.GONE):
            self._wake.set()

    def _heard_of_document(self, _: None) -> None:
        """The first time it only says that it watches: what was read before may have changed."""
        self._rounds.read_again()
        self._wake.set()

    def _trouble(self, subject: Subject, error: KraitError | None) -> None:
        self._rounds.trouble(subject, error)
        if subject is Subject.EVENTS:
            self._is_listening.set()  # or to no avail: deaf is no reason not to start
        self._wake.set()

    def _wake_up(self) -> None:
        """From another thread."""
        with suppress(RuntimeError):  # it is over
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._wake.set)

    def _reload(self) -> None:
        self._setup.notifier.reloading()
        self._is_reloading = True
        self._rounds.read_again()
        self._wake.set()

    def _stop(self) -> None:
        self._is_stopping = True
        self._wake.set()

    def _pause_s(self) -> float:
        pause_s, watchdog_s = self._rounds.pause_s(), self._setup.notifier.watchdog_s
        return max(min(pause_s, watchdog_s / 2) if watchdog_s else pause_s, 0.0)

    def _report(self) -> None:
        notifier, status = self._setup.notifier, self._rounds.status()
        if self._is_reloading and self._rounds.has_read:
            self._is_reloading = False
            notifier.ready(status)
        notifier.status(status)
        notifier.alive(time.monotonic())
