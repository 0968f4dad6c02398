# SPDX-License-Identifier: Apache-2.0
"""What may be called held. That the acts do what they say is tried in tests/netns."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from krait.common.reason import Reason
from krait.lab.demo.findings import GAP_NS, Cut, Enforced, Kept, Orphaned, Revoked, Wire
from krait.lab.demo.matrix import PROBES, Cell, Matrix, Outcome
from krait.lab.traffic import Protocol
from krait.policy.evaluate import Decision
from krait.policy.model import Action

WIRE = Wire("a", "b", Protocol.TCP, 80, 4)
KEPT = Kept(WIRE, gap_ns=GAP_NS - 1, fault="")
CUT = Cut(WIRE, "a", "b", sent_after_ns=0, heard_after_ns=9, in_vain=1)


def matrix(*seen: tuple[Action, str]) -> Matrix:
    """An outcome from a to b for each (action, answer)."""
    cell = Cell("a", "b", PROBES[0], 4)
    return tuple(Outcome(cell, Decision(action, None), answer) for action, answer in seen)


GOOD = matrix((Action.ALLOW, "ok"), (Action.DENY, "timeout"))
COUNTED: Mapping[str, Mapping[Reason, int]] = {"a": {Reason.DENIED: 1}, "b": {}}


def test_enforcing_holds_if_all_was_open_all_agrees_and_each_denied_probe_was_counted() -> None:
    assert Enforced(2, GOOD, COUNTED).held


@pytest.mark.parametrize(
    "act",
    [
        Enforced(1, GOOD, COUNTED),
        Enforced(2, GOOD, {"a": {Reason.NO_FLOW: 9}, "b": {}}),
        Enforced(2, matrix((Action.ALLOW, "ok"), (Action.DENY, "ok")), COUNTED),
        Enforced(2, matrix((Action.ALLOW, "timeout"), (Action.DENY, "timeout")), COUNTED),
    ],
    ids=["not open before", "silent for another reason", "opened", "broken"],
)
def test_enforcing_does_not_hold_otherwise(act: Enforced) -> None:
    assert not act.held


def test_the_suspects_are_the_ends_of_what_is_wrong() -> None:
    assert Enforced(2, matrix((Action.DENY, "ok")), COUNTED).suspects == ("a", "b")
    assert Enforced(2, GOOD, {"a": {}, "b": {}}).suspects == ("a",)
    late = replace(CUT, source="b", destination="a", sent_after_ns=1)
    assert Revoked((), 0, (CUT, late), KEPT).suspects == ("b", "a")
    assert Revoked((), 0, (CUT,), replace(KEPT, fault="reset")).suspects == ("a", "b")
    assert Orphaned(GOOD, (replace(KEPT, fault="reset"),)).suspects == ("a", "b")


def test_nothing_of_a_revoked_flow_that_is_sent_after_the_commit_may_arrive() -> None:
    assert Revoked((), 0, (CUT, replace(CUT, sent_after_ns=-9)), KEPT).held
    assert not Revoked((), 0, (CUT, replace(CUT, sent_after_ns=1)), KEPT).held


def test_a_flow_that_its_sender_ended_was_not_cut() -> None:
    assert not Revoked((), 0, (CUT, replace(CUT, in_vain=0)), KEPT).held


def test_an_allowed_flow_must_neither_break_nor_pause() -> None:
    assert Orphaned(GOOD, (KEPT,)).held
    assert not Orphaned(GOOD, (KEPT, replace(KEPT, gap_ns=GAP_NS))).held
    assert not Orphaned(GOOD, (replace(KEPT, fault="reset"),)).held
    assert not Orphaned(matrix((Action.DENY, "ok")), (KEPT,)).held
