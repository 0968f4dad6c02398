# SPDX-License-Identifier: Apache-2.0
"""Rounds of an agent: look, plan, apply, until nothing is left to do.

What goes wrong in a round is told, kept for `status` under the subject that clears it again, and
tried again by the next: only a start can fail. One thread at a time plays a round.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from krait.agent import state
from krait.agent.account import Account
from krait.agent.desired import Desired, Source
from krait.agent.diff import Observed, plan
from krait.agent.faults import Faults
from krait.agent.intent import Intent
from krait.agent.lookout import INTERVAL_S, Lookout, Sight
from krait.agent.managed.diff import Stage
from krait.agent.places import Away, Place
from krait.agent.reading import Reading
from krait.agent.refusal import Refusal
from krait.agent.setup import Setup
from krait.agent.shadow_file import ShadowFile
from krait.agent.steps import Commit, Load, Step
from krait.agent.subject import Subject
from krait.common import collector
from krait.common.errors import KraitError
from krait.common.words import plural

_PLANS = 6  # a start needs three; more would mean that somebody works against us

_log = structlog.get_logger()


class Rounds:
    """Keep the policy of one interface true, and the interface as well where Krait makes it."""

    def __init__(self, setup: Setup, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` has a round played soon; other threads call it."""
        self._setup = setup
        self._enforcement = setup.enforcement
        self._keeper = setup.keeper and setup.keeper(wake)
        self._lookout = Lookout(setup.eyes)
        self._intent = Intent(setup.enforcement, wake)
        self._reading = Reading(setup.document, setup.kept, setup.interface, self._take)
        self._shadow = ShadowFile(setup.shadow, setup.interface, wake)
        self._faults = Faults()
        self._place = Place(setup.interface, setup.enforcement.kind)
        self._renewal = Refusal()  # of a load whose only gain is this version's programs
        self._account = Account(setup.kept, setup.live)
        self._sight = Sight(None)

    @collector.paused(then_sweep=True)
    def start(self) -> None:
        """The first round, whose errors end it unless an earlier agent's policy is in force."""
        self._account.sweep()
        self._sight = self._lookout.look(time.monotonic())
        self._enforcement.start(self._sight.ifindex)
        if self._is_enforcing:
            if (error := self._read_or_go_back()) is not None:
                self._faults.note(Subject.DOCUMENT, error)
            self.play()
            return
        try:
            self._begin()
        except Exception:
            self._withdraw()
            raise
        self._faults.attempt(Subject.GUARD, self._guard)
        self._write()

    @collector.paused(then_sweep=True)
    def play(self) -> None:
        """One round. Never raises: see `faults` of the live state."""
        self._faults.collect()
        if self._reading.is_due(time.monotonic()):
            self._faults.attempt(Subject.DOCUMENT, self._read)
        self._faults.attempt(Subject.READING_BACK, self._look_back)
        self._faults.attempt(Subject.ENFORCEMENT, self._enforce)
        self._faults.attempt(Subject.DEVICE, self._make)
        self._faults.attempt(Subject.GUARD, self._guard)
        self._write()

    def read_again(self) -> None:
        """The next round reads the document."""
        self._reading.ask()

    @property
    def has_read(self) -> bool:
        """Whether one has read it since."""
        return not self._reading.is_asked

    @property
    def is_guarding(self) -> bool:
        """Whether it matters that any interface comes or goes."""
        return self._setup.guarding is not None and self._setup.guarding.is_on

    def appeared(self, ifindex: int) -> None:
        """The kernel told of this interface just now."""
        self._lookout.appeared(ifindex, time.monotonic())
        self._place.appeared()

    def moved(self) -> None:
        """The kernel told just now that the interface is in another network namespace."""
        self._place.moved()

    def trouble(self, subject: Subject, error: KraitError | None) -> None:
        """What is wrong with how events are heard of; None: nothing is any more."""
        self._faults.hand_over(subject, error)

    def pause_s(self) -> float:
        """For how long there may be no round though nothing happens."""
        now_s = time.monotonic()
        pauses = [INTERVAL_S, self._lookout.next_s(now_s)]
        if self._keeper is not None:
            pauses.append(self._keeper.next_s(now_s))
        if (again_s := self._reading.next_s(now_s)) is not None:
            pauses.append(again_s)
        guarding = self._setup.guarding
        return 0.0 if guarding is not None and guarding.is_unfinished else min(pauses)

    def status(self) -> str:
        """The state of things in a line."""
        name = self._setup.interface
        if self._sight.ifindex is None:
            return f"waiting for {name}, armed"
        count = plural(len(self._faults), "fault")
        faults = f"; {count}: krait status {name}" if self._faults else ""
        return f"{name}: revision {self._enforcement.revision} in force{faults}"

    @property
    def _is_enforcing(self) -> bool:
        return self._enforcement.is_enforcing(self._sight.ifindex)

    def _begin(self) -> None:
        if (error := self._read_or_go_back()) is not None:
            if self._reading.taken is None:
                raise error
            self._faults.note(Subject.DOCUMENT, error)
        if self._sight.fault is not None:
            raise self._sight.fault
        if self._sight.interface is None:  # without a key yet: it waits for it shut
            self._lookout.regard_as_new()
        self._enforce()
        self._make()
        for fault in (self._intent.fault, self._intent.refused):
            if fault is not None:
                raise fault

    def _withdraw(self) -> None:
        """After a start that failed: what it made goes, and no device of ours is left bare."""
        withdraw = self._keeper.withdraw if self._keeper else None
        off = partial(self._enforcement.withdraw, self._sight.ifindex)
        for step in (withdraw, self._lower_if_bare, off, self._lower_if_bare):
            try:
                if step is not None:
                    step()
            except Exception:  # noqa: BLE001 - the others all the more
                _log.exception("cannot be taken back")

    def _look_back(self) -> None:
        """Whether the kernel has what was written, if that is known by now."""
        is_news, error = self._enforcement.read_back(time.monotonic())
        if is_news:
            self._faults.note(Subject.TABLES, error)

    def _read_or_go_back(self) -> KraitError | None:
        return self._reading.read_or_go_back(time.monotonic(), is_enforcing=self._is_enforcing)

    def _read(self) -> None:
        self._reading.read(time.monotonic(), is_enforcing=self._is_enforcing)

    def _take(self, found: Source) -> None:
        """This document counts from here on; not if it is none that the device can be made from."""
        if self._keeper is not None:
            if self._reading.taken is None:  # a start, whatever it may fail of
                self._keeper.fence(found)
            self._keeper.adopt(found)
        self._intent.source = found

    def _write(self) -> None:
        """What a disk refuses is tried again; it holds nothing up."""
        self._faults.attempt(Subject.RECORDS, self._enforcement.write_down)
        self._faults.attempt(Subject.KEEPING, self._keep)
        self._faults.attempt(Subject.STATUS, self._tell)

    def _keep(self) -> None:
        committed = self._enforcement.committed
        if committed is None or self._account.has_kept(committed.source):
            return
        if not self._setup.is_on_trial():
            self._account.keep(committed.source)

    def _enforce(self) -> None:
        for _ in range(_PLANS):
            now_s = time.monotonic()
            self._sight = sight = self._lookout.look(now_s)
            self._faults.note(Subject.INTERFACE, sight.fault)
            if self._enforcement.committed is not None:  # what counts comes first
                self._intent.shadow = self._shadow.look(now_s)
            desired = self._intent.of(sight, now_s)
            self._faults.note(Subject.SHADOW, self._shadow.fault or self._intent.unrehearsed)
            self._faults.note(Subject.POLICY, self._intent.fault)
            self._faults.note(Subject.COMMIT, self._intent.refused)
            yields = self._place.yields(now_s)
            observed = self._enforcement.observe(sight.ifindex, fresh=sight.fresh, yields=yields)
            observed = replace(observed, outdated_stays=self._renewal.holds(now_s))
            self._note_renewal(observed)
            try:
                steps = plan(desired, observed, self._enforcement.kind)
            except Exception as error:  # noqa: BLE001 - raised again where none expected it
                self._intent.put_off(desired, error, now_s)
                continue
            for subject, fault in self._place.judge(observed, steps, now_s).items():
                self._faults.note(subject, fault)
            if not self._apply(steps, observed, desired):
                return
            if sight.fresh:
                self._lookout.greeted(sight, time.monotonic())
            elif not steps:
                return
        raise KraitError(
            f"{self._setup.interface} does not stay as it was made",
            hint="Look for another tool that changes its filters: krait doctor.",
        )

    def _make(self) -> None:
        """Bring a device of ours to what is wanted; it grows and goes up behind the filter only."""
        if self._keeper is None:
            return
        if self._sight.ifindex is None and self._place.is_elsewhere:
            raise Away(self._setup.interface)
        for stage in Stage:
            self._lower_if_bare()  # first: what is wrong with a stage must not leave it open
            # A policy that the kernel refuses is not the one that what is new was meant for.
            is_behind = self._is_enforcing and self._intent.refused is None
            if stage is not Stage.SHRINK and not is_behind:
                return
            if self._keeper.reach(stage, self._sight, time.monotonic()):
                self._enforce()
        for subject, fault in self._keeper.faults.items():
            self._faults.note(subject, fault)

    def _guard(self) -> None:
        """The other interfaces, by the document in force; while there is none, as they are."""
        committed, guarding = self._enforcement.committed, self._setup.guarding
        if committed is not None and guarding is not None:
            self._faults.note(Subject.CUT_OFF, guarding.keep(committed.guard))

    def _lower_if_bare(self) -> None:
        """A device of ours carries nothing without a filter, whatever else is wrong."""
        if self._keeper is not None and not self._enforcement.covers(self._sight.ifindex):
            self._keeper.lower()

    def _note_renewal(self, observed: Observed) -> None:
        """Whether the programs that run are another build's, for want of a load of ours."""
        if observed.tables is None or observed.tables.current:
            self._renewal = Refusal()
        self._faults.note(Subject.PROGRAMS, self._renewal.error)

    def _apply(self, steps: tuple[Step, ...], observed: Observed, desired: Desired | None) -> bool:
        """Whether to go on; what is refused is put off, and what stands in for it comes next."""
        renews = (tables := observed.tables) and not (tables.current or observed.outdated_stays)
        for step in steps:
            try:
                self._enforcement.apply(step, observed.ifindex)
            except Exception as error:
                is_emptying = isinstance(step, Commit) and step.desired is None
                if desired is None or is_emptying or not isinstance(step, Load | Commit):
                    raise
                now_s, loads = time.monotonic(), isinstance(step, Load) and not observed.fresh
                if renews and isinstance(error, KraitError):
                    self._renewal.note(Load, error, now_s)  # it goes on by the old programs
                    return False
                self._intent.put_off(desired, error, now_s, lacks_tables=loads)
                self._faults.note(Subject.COMMIT, self._intent.refused)
                return not observed.fresh
        return True

    def _tell(self) -> None:
        self._account.tell(
            state.Live(
                pid=os.getpid(),
                since_s=self._account.since_s,
                kind=self._enforcement.kind.value,
                enforcing=self._is_enforcing,
                revision=self._enforcement.revision,
                faults=self._faults.known,
                warnings=self._enforcement.warnings,
                withheld=tuple(sorted(map(str, self._sight.withheld))),
                node=self._keeper.node if self._keeper else "",
                document=self._reading.taken.path if self._reading.taken else "",
                readings=self._reading.attempts,
            )
        )
