# SPDX-License-Identifier: Apache-2.0
"""Which flows go on: as the judge has it, which judges packet by packet."""

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krait.common.reason import Reason
from krait.policy.case import InForce
from krait.policy.evaluate import decide
from krait.policy.flow import FlowTuple
from krait.policy.model import ECHO_REQUEST, ICMP4, TCP, UDP
from krait.policy.survival import Survival
from krait.policy.view import resolve
from tests.strategies.documents import GRE
from tests.strategies.packets import ip
from tests.strategies.worlds import World, landmarks, worlds
from tests.unit.policy.bench import (
    APP,
    BRANCH,
    BRANCH_UNTAGGED,
    INTERFACE,
    LAN,
    ME,
    NOBODY,
    STRANGE,
    WEB,
    Bench,
    document,
    of_udp,
    ping,
)


def fate(source: str, destination: str, protocol: int = TCP, port: int = 80) -> Reason:
    found = document()
    opener = FlowTuple(protocol, (ip_address(source), 40000), (ip_address(destination), port))
    return Survival(found.policy, resolve(found, INTERFACE)).of(opener).reason


@pytest.mark.parametrize(
    ("source", "destination", "reason"),
    [
        (WEB, ME, Reason.PASS),
        (ME, WEB, Reason.DENIED),
        (ME, APP, Reason.PASS),
        (BRANCH, ME, Reason.DENIED),
        (BRANCH_UNTAGGED, ME, Reason.NO_IDENTITY),
        (STRANGE, ME, Reason.UNKNOWN_PEER),
        (NOBODY, ME, Reason.UNKNOWN_SOURCE),
        ("169.254.0.9", ME, Reason.LINK_LOCAL),
        (ME, "169.254.0.9", Reason.LINK_LOCAL),
        (ME, NOBODY, Reason.UNKNOWN_DESTINATION),
        (LAN, ME, Reason.WRONG_SIDE),
        (WEB, APP, Reason.NOT_TRANSIT),
    ],
)
def test_a_flow_ends_for_the_reason_of_its_packets(
    source: str, destination: str, reason: Reason
) -> None:
    assert fate(source, destination) is reason


def test_ports_decide_and_an_echo_has_its_identifier_in_their_place() -> None:
    assert fate(WEB, ME, TCP, 81) is Reason.DENIED
    assert fate(WEB, ME, UDP, 53) is Reason.PASS
    assert fate(WEB, ME, ICMP4, 4711) is Reason.PASS
    found = document(("ports: [tcp/80, udp/53, icmp]", "ports: [tcp/80, icmp/echo]"))
    opener = FlowTuple(ICMP4, (ip_address(WEB), 4711), (ip_address(ME), 4711))
    assert Survival(found.policy, resolve(found, INTERFACE)).of(opener).lives


@settings(max_examples=100, deadline=None)
@given(worlds(), st.data())
def test_owners_and_decisions_are_those_of_the_reference(world: World, data: st.DataObject) -> None:
    view, policy = world.view, world.document.policy
    survival, state = Survival(policy, view), InForce(policy, view, 1)
    addresses = st.sampled_from(landmarks(view))
    for _ in range(10):
        ends = data.draw(addresses), data.draw(addresses)
        protocol = data.draw(st.sampled_from((TCP, UDP, ICMP4, GRE)))
        port = 0 if protocol == GRE else data.draw(st.sampled_from((22, 53, 80, 85, 8000)))
        found = survival.of(FlowTuple(protocol, (ends[0], 40000), (ends[1], port)))
        assert (found.source, found.destination) == tuple(map(state.owner, ends))
        if found.decision is not None:
            assert found.source is not None
            assert found.destination is not None
            opened = ECHO_REQUEST.get(protocol, port)
            labels = found.source.labels, found.destination.labels
            assert found.decision == decide(policy, *labels, protocol, opened)
            assert found.lives is found.decision.allows


ANSWERS = {
    "udp": (of_udp(WEB, ME), of_udp(ME, WEB, -53)),
    "gre": (ip(WEB, ME, GRE), ip(ME, WEB, GRE)),
    "ping": (ping(WEB, ME, 8), ping(ME, WEB, 0)),
}


@pytest.mark.parametrize("protocol", ANSWERS)
@pytest.mark.parametrize("back", [True, False])
def test_what_the_other_side_opens_anew_is_what_the_judge_lets_pass(
    protocol: str, *, back: bool
) -> None:
    first, answer = ANSWERS[protocol]
    open_to_all = ("ports: [tcp/80, udp/53, icmp]", "ports: [tcp, udp, gre, icmp]")
    bench = Bench(open_to_all)
    assert bench.outcome(first, "ingress") == "pass web-db"
    assert bench.outcome(answer, "egress") == "pass web-db"
    (flow,) = bench.judge.flows.values()
    ends = "from: db, to: web" if back else "from: db, to: lan"
    changes = open_to_all, ("from: web, to: db, ports: [tcp,", f"{ends}, ports: [tcp,")
    bench.commit(*changes)
    assert bench.outcome(first, "ingress").startswith("denied")
    found = document(*changes)
    reopens = Survival(found.policy, resolve(found, INTERFACE)).reopens(flow.opener)
    assert bench.outcome(answer, "egress").startswith("pass") is reopens
    assert reopens is (back and protocol != "ping")
    assert bench.outcome(first, "ingress").startswith("pass") is reopens, "it is an answer now"
