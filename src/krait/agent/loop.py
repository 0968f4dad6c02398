# SPDX-License-Identifier: Apache-2.0
"""The agent: wakes when something happened, looks, and makes what is true what is desired.

A round is look, plan, apply, until nothing is left to do. It runs in a thread, so that the loop
hears of events meanwhile; however many come, one more round follows. What goes wrong in a round is
told, kept for `status`, and tried again by the next: nothing ends the agent but a signal.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from krait.agent import source, state
from krait.agent.apply import Enforcement
from krait.agent.desired import Desired
from krait.agent.diff import Action, Commit, Load, plan
from krait.agent.intent import Intent
from krait.agent.lookout import INTERVAL_S, Lookout, Sight
from krait.agent.notify import Notifier
from krait.agent.ports import Eyes
from krait.common.errors import KraitError
from krait.kernel.link import LinkEvent, Resync

_PLANS = 6  # a start needs three; more would mean that somebody works against us
_LONGEST_PAUSE_S = 60.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Setup:
    """What an agent works with."""

    interface: str
    document: Path
    live: Path
    eyes: Eyes
    enforcement: Enforcement
    notifier: Notifier


class Agent:
    """Keeps the policy of one interface true."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._enforcement = setup.enforcement
        self._lookout = Lookout(setup.eyes)
        self._intent = Intent(setup.enforcement)
        self._faults: dict[str, state.Fault] = {}
        self._since_s = time.time()
        self._told: state.Live | None = None
        self._sight = Sight(None)
        self._wake = asyncio.Event()
        self._must_read = False
        self._is_reloading = False
        self._is_stopping = False

    async def run(self) -> None:
        """Start, and go on until SIGTERM or SIGINT; what is enforced stays enforced.

        Raises KraitError if it cannot start; then nothing was attached.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            async with aclosing(source.changes(self._setup.document)) as changes:
                await anext(changes)  # it watches: what is read from here on cannot change unseen
                await asyncio.to_thread(self.start)
                self._setup.notifier.ready(self._status())
                await self._go_on(changes)
        finally:
            self._enforcement.close()
        self._setup.notifier.stopping()
        self._setup.live.unlink(missing_ok=True)
        _log.info("stopped; what is in force stays in force")

    def start(self) -> None:
        """The first round, whose errors end it unless an earlier agent's policy is in force."""
        self._sight = self._lookout.look(time.monotonic())
        self._enforcement.start(self._sight.ifindex)
        is_enforcing = self._enforcement.is_enforcing(self._sight.ifindex)
        try:
            if self._sight.fault is not None:
                raise self._sight.fault
            self._intent.source = source.read(self._setup.document, self._setup.interface)
            self._enforce()
            if self._intent.fault is not None:
                raise self._intent.fault
        except KraitError as error:
            if not is_enforcing:
                raise
            self._note("start", error)
        self._tell()

    def round(self) -> None:
        """Make true what is desired. Never raises: see `faults` of the live state."""
        if self._must_read:
            self._must_read = False
            self._attempt("document", self._read)
        self._attempt("enforcement", self._enforce)
        self._attempt("status", self._tell)

    async def _go_on(self, changes: AsyncGenerator[None, None]) -> None:
        listening = [
            asyncio.create_task(self._hear_of_links()),
            asyncio.create_task(self._hear_of_document(changes)),
        ]
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._wake.wait()
                self._wake.clear()
                if self._is_stopping:
                    return
                await asyncio.to_thread(self.round)
                self._report()
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _hear_of_links(self) -> None:
        while True:
            try:
                async with aclosing(self._setup.eyes.events()) as events:
                    async for event in events:
                        self._heard(event)
            except KraitError as error:
                _log.error(error.message, hint=error.hint)
            await asyncio.sleep(INTERVAL_S)  # meanwhile there is a look a second

    async def _hear_of_document(self, changes: AsyncGenerator[None, None]) -> None:
        try:
            async for _ in changes:
                self._must_read = True
                self._wake.set()
        except KraitError as error:
            self._note("watching", error)

    def _heard(self, event: LinkEvent | Resync) -> None:
        if not isinstance(event, LinkEvent) or event.name == self._setup.interface:
            self._wake.set()

    def _reload(self) -> None:
        self._setup.notifier.reloading()
        self._is_reloading = self._must_read = True
        self._wake.set()

    def _stop(self) -> None:
        self._is_stopping = True
        self._wake.set()

    def _pause_s(self) -> float:
        pauses = [INTERVAL_S, self._lookout.next_s(time.monotonic())]
        if watchdog_s := self._setup.notifier.watchdog_s:
            pauses.append(watchdog_s / 2)
        return max(min(pauses), 0.0)

    def _read(self) -> None:
        found = source.read(self._setup.document, self._setup.interface)
        if found != self._intent.source:
            self._intent.source = found
            _log.info("document read", path=found.path, sha256=found.sha256[:12])
        self._note("start", None)

    def _enforce(self) -> None:
        for _ in range(_PLANS):
            now_s = time.monotonic()
            self._sight = sight = self._lookout.look(now_s)
            self._note("interface", sight.fault)
            desired = self._intent.of(sight, now_s)
            self._note("policy", self._intent.fault)
            observed = self._enforcement.observe(sight.ifindex, fresh=sight.fresh)
            actions = plan(desired, observed, self._enforcement.kind)
            for action in actions:
                self._apply(action, sight, desired)
            if sight.fresh:
                self._lookout.greeted(sight)
            elif not actions:
                return
        raise KraitError(
            f"{self._setup.interface} does not stay as it was made",
            hint="Look for another tool that changes its filters: krait doctor.",
        )

    def _apply(self, action: Action, sight: Sight, desired: Desired | None) -> None:
        try:
            self._enforcement.apply(action, sight.ifindex)
        except KraitError:
            if isinstance(action, Load | Commit) and desired is not None:
                self._intent.put_off(desired, time.monotonic())
            raise

    def _attempt(self, subject: str, doing: Callable[[], None]) -> None:
        try:
            doing()
        except KraitError as error:
            self._note(subject, error)
        except Exception as error:  # noqa: BLE001 - no fault may end what keeps the filter on
            _log.exception("unexpected error", subject=subject)
            self._note(subject, KraitError(f"{type(error).__name__}: {error}"))
        else:
            self._note(subject, None)

    def _note(self, subject: str, error: KraitError | None) -> None:
        """Keep what is wrong for `status`, and tell it once, and once when it is mended."""
        known = self._faults.get(subject)
        if error is None:
            if self._faults.pop(subject, None):
                _log.info(f"{subject}: mended")
        elif known is None or known.message != error.message:
            self._faults[subject] = state.Fault(error.message, error.hint, time.time())
            _log.error(error.message, subject=subject, hint=error.hint)

    def _tell(self) -> None:
        committed = self._enforcement.committed
        live = state.Live(
            pid=os.getpid(),
            since_s=self._since_s,
            kind=self._enforcement.kind.value,
            enforcing=self._enforcement.is_enforcing(self._sight.ifindex),
            revision=self._enforcement.revision,
            faults=tuple(self._faults.values()),
            warnings=committed.warnings if committed else (),
            withheld=tuple(sorted(map(str, self._sight.withheld))),
        )
        if live != self._told:
            self._told = live
            try:
                state.write_live(self._setup.live, live)
            except OSError as error:
                _log.error("cannot write", path=str(self._setup.live), error=str(error))

    def _report(self) -> None:
        notifier, status = self._setup.notifier, self._status()
        if self._is_reloading and not self._must_read:
            self._is_reloading = False
            notifier.ready(status)
        notifier.status(status)
        notifier.alive(time.monotonic())

    def _status(self) -> str:
        name = self._setup.interface
        if self._sight.ifindex is None:
            return f"waiting for {name}, armed"
        faults = f"; {len(self._faults)} faults: krait status {name}" if self._faults else ""
        return f"{name}: revision {self._enforcement.revision} in force{faults}"
