# SPDX-License-Identifier: Apache-2.0
"""Flows by the names of who speaks in them, and those that are asked for."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from krait.agent.live_flows import Seen, Sought, asked_for, told
from krait.common.abi import FlowState
from krait.common.errors import UsageError
from krait.kernel.flows import LiveFlow
from krait.policy.flow import FlowTuple
from krait.policy.model import TCP, Address
from tests.unit.policy.bench import BRANCH, ME, NOBODY, WEB, document

NAMES = {WEB: "web1", ME: "db1", BRANCH: "10.20.0.0/24 behind web1"}
RULES = ("default", "web-db", None)


def owner(address: Address) -> str | None:
    return NAMES.get(str(address))


def live(source: str = WEB, destination: str = ME, rule: int = 1, revision: int = 7) -> LiveFlow:
    opener = FlowTuple(TCP, (ip_address(source), 40000), (ip_address(destination), 80))
    state = FlowState.TCP_ESTABLISHED
    return LiveFlow(opener, state, 0, 3, allowed=True, rule=rule, revision=revision)


def seen(source: str = WEB, destination: str = ME) -> Seen:
    return told(live(source, destination), owner, RULES, 7)


def test_ends_are_told_by_name_as_far_as_they_are_somebodys() -> None:
    found = told(live(), owner, RULES, 7)
    assert found == Seen(live(), "web1", "db1", is_stale=False, rule="web-db")
    assert seen(NOBODY, BRANCH).opener is None
    assert seen(NOBODY, BRANCH).other == "10.20.0.0/24 behind web1"


@pytest.mark.parametrize(
    ("flow", "is_stale", "rule"),
    [
        (live(rule=0), False, "default"),
        (live(rule=2), False, None),  # a number that is nobody's
        (live(rule=3), False, None),
        (live(revision=6), True, None),  # then the number was another rule's, perhaps
        (live(revision=8), False, None),  # committed since the names were read
    ],
)
def test_a_rules_number_has_a_name_in_its_own_revision_alone(
    flow: LiveFlow, is_stale: bool, rule: str | None
) -> None:
    found = told(flow, owner, RULES, 7)
    assert (found.is_stale, found.rule) == (is_stale, rule)


@pytest.mark.parametrize(
    ("sought", "asked"),
    [
        (Sought(), "webdb dbweb branchdb nobody"),
        (Sought(opener="web1"), "webdb branchdb"),
        (Sought(other="web1"), "dbweb"),
        (Sought(either="web1"), "webdb dbweb branchdb"),
        (Sought(either=WEB), "webdb dbweb"),
        (Sought(opener="10.20.0.0/24"), "branchdb"),
        (Sought(opener="web1", other=WEB), ""),
        (Sought(opener=NOBODY), "nobody"),
        (Sought(opener="db1", either="web1"), "dbweb"),
    ],
)
def test_who_is_asked_for_is_a_node_with_what_is_behind_it_or_an_address(
    sought: Sought, asked: str
) -> None:
    flows = {
        "webdb": seen(WEB, ME),
        "dbweb": seen(ME, WEB),
        "branchdb": seen(BRANCH, ME),
        "nobody": seen(NOBODY, ME),
    }
    is_asked_for = asked_for(document(), sought)
    assert " ".join(name for name, each in flows.items() if is_asked_for(each)) == asked


def test_a_name_that_ends_alike_is_another_nodes() -> None:
    is_asked_for = asked_for(document(), Sought(opener="web1"))
    assert not is_asked_for(replace(seen(), opener="old-web1"))


def test_a_node_without_a_key_is_meant_with_what_is_behind_it() -> None:
    known = document()
    printer = replace(known.nodes[0], name="printer", public_key=None, via="web1", routes=())
    known = replace(known, nodes=(*known.nodes, printer))
    is_asked_for = asked_for(known, Sought(opener="printer"))
    assert is_asked_for(replace(seen(), opener="10.7.0.0/24 behind printer"))


def test_a_name_that_nobody_has_is_no_empty_answer() -> None:
    with pytest.raises(UsageError, match='no node "web9"'):
        asked_for(document(), Sought(either="web9"))
