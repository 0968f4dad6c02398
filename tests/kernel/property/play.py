# SPDX-License-Identifier: Apache-2.0
"""One scenario before both judges; they have to agree after every step."""

from collections import Counter
from dataclasses import replace
from enum import Enum
from itertools import count
from time import monotonic

from krait.common.abi import FLOW_TIMEOUT_S, FRAGMENT_TIMEOUT_S, Rehearsal, RejectionOutcome
from krait.common.reason import Reason
from krait.policy import lifetime
from krait.policy.case import Verdict
from krait.policy.judge import Judge
from krait.policy.model import TCP, Limits
from krait.policy.rejection import is_rejected, rejection
from krait.policy.shadow import Rehearsed
from tests.kernel.property.kernel_judge import Entry, KernelJudge, Outcome, can_run
from tests.strategies.scenario import Commit, Scenario, Send, Wait
from tests.strategies.worlds import World

_NEARLY_ONE = 0.8

EDGE_S = 2
"""The two read the clock one after the other: no flow is looked at so near its end."""


class Told(Enum):
    """What the sender of a rejected packet gets."""

    NOTHING = "nothing"
    RESET4 = "resets of IPv4"
    RESET6 = "resets of IPv6"
    ERROR4 = "errors of IPv4"
    ERROR6 = "errors of IPv6"


def _kind(rejection: bytes | None) -> Told:
    match rejection:
        case None:
            return Told.NOTHING
        case _ if rejection[0] >> 4 == 4:
            return Told.RESET4 if rejection[9] == TCP else Told.ERROR4
        case _:
            return Told.RESET6 if rejection[6] == TCP else Told.ERROR6


class Play:
    """Plays scenarios on one kernel; packets are counted over all, by reason."""

    def __init__(self, kernel: KernelJudge) -> None:
        self.reasons = Counter[Reason]()
        self.rehearsals = Counter[Rehearsal]()
        self.rejections = Counter[Told]()
        self._kernel = kernel
        self._revisions = count(1)

    @property
    def packets(self) -> int:
        return self.reasons.total()

    def __call__(self, scenario: Scenario) -> None:
        """Raises AssertionError at the first step after which the two differ."""
        self._kernel.reset()
        judge, world = Judge(), scenario.worlds[0]
        waited_s = -monotonic()  # it is 1970
        self._commit(judge, world)
        for step in scenario.steps:
            match step:
                case Wait():
                    self._compare_flows(judge, monotonic() + waited_s)
                    waited_s += self._wait(judge, monotonic() + waited_s, world, step.seconds)
                case Commit():
                    world = scenario.worlds[step.world]
                    self._commit(judge, world)
                    waited_s += self._wait(judge, monotonic() + waited_s, world, 0)
                case Send() if can_run(step.frame, step.ethertype):
                    now_s = monotonic() + waited_s
                    if pause_s := _clear_of_limits(judge, now_s, world.document.policy.limits):
                        self._kernel.wait(pause_s)
                        waited_s += pause_s
                        now_s += pause_s
                    verdict = judge.judge(
                        step.frame, step.ethertype, step.side, now_s, came_in=step.came_in
                    )
                    self._send(step, verdict, judge.rehearsed, world)
        self._compare_flows(judge, monotonic() + waited_s)

    def _wait(self, judge: Judge, now_s: float, world: World, seconds: int) -> int:
        """At least so long, and past what is about to end; for how long it was."""
        seconds = _clear_of_edges(judge, now_s, world, seconds)
        if seconds:
            self._kernel.wait(seconds)
        return seconds

    def _commit(self, judge: Judge, world: World) -> None:
        revision = next(self._revisions)
        judge.commit(world.document.policy, world.view, revision)
        self._kernel.commit(world, revision)

    def _send(
        self, step: Send, verdict: Verdict, rehearsed: Rehearsed | None, world: World
    ) -> None:
        found = self._kernel.judge(step)
        expected = _outcome(verdict, rehearsed, world)
        if is_rejected(world.document.policy, verdict, step.side, came_in=step.came_in):
            told = rejection(step.frame, step.ethertype)
            expected = replace(expected, told=told or RejectionOutcome.SILENT)
            self.rejections[_kind(told)] += 1
        if _counted_on_ingress(found, step, world):
            expected = replace(expected, rule=None, rehearsed=None)
        if found.rehearsed:
            self.rehearsals[found.rehearsed[1]] += 1
        self.reasons[found.reason] += 1
        assert found == expected, f"{step.side} {step.ethertype:#06x} {step.frame.hex()}"

    def _compare_flows(self, judge: Judge, now_s: float) -> None:
        found = self._kernel.flows()
        expected = {
            flow.opener: Entry(flow.opener, flow.state, flow.marks, now_s - flow.seen_s)
            for flow in judge.flows.values()
        }
        assert found == expected
        assert self._kernel.fragments() == {
            datagram: (first.revision, first.end) for datagram, first in judge.fragments.items()
        }
        for opener, entry in found.items():
            assert abs(entry.age_s - expected[opener].age_s) < EDGE_S, f"when {opener} was seen"


def _clear_of_limits(judge: Judge, now_s: float, limits: Limits) -> float:
    """For how long to wait until no peer's budget is about to hold one open more."""
    pause_s = 0.0
    while any(
        budget.now(limits, now_s + pause_s) % 1 > _NEARLY_ONE for budget in judge.budgets.values()
    ):
        pause_s += 0.5 / (limits.opens_per_s or 1)
    return pause_s


def _clear_of_edges(judge: Judge, now_s: float, world: World, seconds: int) -> int:
    """At least `seconds`, and until no flow, first fragment or rule is near the end of its life."""
    ends = [flow.seen_s + FLOW_TIMEOUT_S[flow.state] for flow in judge.flows.values()]
    ends += [first.seen_s + FRAGMENT_TIMEOUT_S for first in judge.fragments.values()]
    ends += lifetime.ends(world.document)
    while any(abs(now_s + seconds - end_s) < EDGE_S for end_s in ends):
        seconds += EDGE_S
    return seconds


def _outcome(verdict: Verdict, rehearsed: Rehearsed | None, world: World) -> Outcome:
    names = {0: "default", **{rule.number: rule.name for rule in world.document.policy.rules}}
    dropped = verdict.reason is not Reason.PASS
    return Outcome(
        verdict.reason,
        None if verdict.rule is None else names[verdict.rule],
        world.view.peers[verdict.peer - 1] if dropped and verdict.peer else None,
        (names[rehearsed.rule], rehearsed.outcome) if rehearsed else None,
    )


def _counted_on_ingress(found: Outcome, step: Send, world: World) -> bool:
    """A relayed packet that passes is counted once; the reference does not count."""
    passed = found.reason is Reason.PASS and found.rule is None
    return passed and step.side == "egress" and world.view.transit
