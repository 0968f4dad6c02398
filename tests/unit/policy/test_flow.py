# SPDX-License-Identifier: Apache-2.0
"""The table of flow states, and the page that is printed from it."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from krait.common.abi import FIN_OPENER, FIN_REPLY, FLOW_TIMEOUT_S, OPENER_SILENT, FlowState
from krait.policy.flow import MEANING, TRANSITIONS, Flow, FlowTuple, advance, as_markdown
from krait.policy.packet import Packet, parse
from tests.strategies.packets import ACK, FIN, RST, SYN, ethertype, ip4, tcp, udp

PAGE = Path(__file__).parents[3] / "docs" / "flow-states.md"
A, B = "10.8.0.1", "10.8.0.2"

HALF_OPEN, ESTABLISHED, CLOSING = (
    FlowState.TCP_HALF_OPEN,
    FlowState.TCP_ESTABLISHED,
    FlowState.TCP_CLOSING,
)
NEW, REPLIED = FlowState.UDP_NEW, FlowState.UDP_REPLIED
BOTH = FIN_OPENER | FIN_REPLY
SILENT = OPENER_SILENT


def packet(flags: int | None) -> Packet:
    body = udp(40000, 80) if flags is None else tcp(40000, 80, flags)
    frame = ip4(A, B, 17 if flags is None else 6, body)
    found = parse(frame, ethertype(frame))
    assert isinstance(found, Packet)
    return found


def flow(state: FlowState, marks: int = 0) -> Flow:
    opener = FlowTuple(6, (ip_address(A), 40000), (ip_address(B), 80))
    return Flow(opener, state, marks, 0.0, allows=True, rule=1, revision=1)


MOVES = [
    # state, marks, reply?, flags, next state, next marks
    (HALF_OPEN, 0, True, SYN | ACK, ESTABLISHED, 0),
    (HALF_OPEN, 0, True, ACK, ESTABLISHED, 0),
    (HALF_OPEN, 0, False, ACK, HALF_OPEN, 0),
    (HALF_OPEN, 0, False, SYN, HALF_OPEN, 0),
    (HALF_OPEN, 0, True, 0, HALF_OPEN, 0),
    (HALF_OPEN, 0, True, RST | ACK, CLOSING, 0),
    (HALF_OPEN, 0, True, RST, CLOSING, 0),
    (HALF_OPEN, FIN_OPENER, True, FIN | ACK, CLOSING, BOTH),
    (ESTABLISHED, 0, False, ACK, ESTABLISHED, 0),
    (ESTABLISHED, 0, False, FIN | ACK, ESTABLISHED, FIN_OPENER),
    (ESTABLISHED, 0, True, FIN | ACK, ESTABLISHED, FIN_REPLY),
    (ESTABLISHED, FIN_OPENER, False, FIN | ACK, ESTABLISHED, FIN_OPENER),
    (ESTABLISHED, FIN_OPENER, True, FIN | ACK, CLOSING, BOTH),
    (ESTABLISHED, FIN_REPLY, False, FIN | ACK, CLOSING, BOTH),
    (ESTABLISHED, 0, False, RST, CLOSING, 0),
    (ESTABLISHED, 0, True, RST | ACK, CLOSING, 0),
    (ESTABLISHED, FIN_REPLY, False, SYN, HALF_OPEN, 0),
    (ESTABLISHED, FIN_REPLY, False, SYN | FIN, HALF_OPEN, FIN_OPENER),
    (ESTABLISHED, 0, False, SYN | RST, CLOSING, 0),
    (HALF_OPEN, SILENT, True, ACK, HALF_OPEN, SILENT),
    (HALF_OPEN, SILENT, True, FIN | ACK, HALF_OPEN, SILENT | FIN_REPLY),
    (HALF_OPEN, SILENT, True, RST, CLOSING, SILENT),
    (HALF_OPEN, SILENT, False, ACK, HALF_OPEN, 0),
    (HALF_OPEN, SILENT | FIN_REPLY, False, FIN | ACK, CLOSING, BOTH),
    (HALF_OPEN, SILENT | FIN_REPLY, False, SYN, HALF_OPEN, 0),
    (CLOSING, 0, False, ACK, CLOSING, 0),
    (CLOSING, 0, True, ACK, CLOSING, 0),
    (CLOSING, BOTH, True, ACK, CLOSING, BOTH),
    (CLOSING, BOTH, False, SYN, HALF_OPEN, 0),
    (NEW, 0, False, None, NEW, 0),
    (NEW, 0, True, None, REPLIED, 0),
    (REPLIED, 0, False, None, REPLIED, 0),
]


@pytest.mark.parametrize(("state", "marks", "reply", "flags", "after", "marks_after"), MOVES)
def test_a_packet_of_an_allowed_flow_moves_its_state(
    state: FlowState, marks: int, reply: bool, flags: int | None, after: FlowState, marks_after: int
) -> None:
    moved = flow(state, marks)
    advance(moved, packet(flags), reply=reply)
    assert (moved.state, moved.marks) == (after, marks_after)


def test_every_state_has_a_row_a_meaning_and_a_time_out() -> None:
    assert set(TRANSITIONS) == set(MEANING) == set(FLOW_TIMEOUT_S) == set(FlowState)


def test_a_flow_lives_until_its_time_out() -> None:
    assert flow(REPLIED).lives(180)
    assert not flow(REPLIED).lives(180.1)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == as_markdown(), (
        "run `python -m krait.policy.flow >docs/flow-states.md`"
    )
