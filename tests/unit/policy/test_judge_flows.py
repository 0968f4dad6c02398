# SPDX-License-Identifier: Apache-2.0
"""docs/packet-path.md, question 6, as conversations; time passes and policies change."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from krait.policy.case import Side
from tests.strategies.packets import ACK, FIN, RST, SYN, error, ip
from tests.unit.policy.bench import (
    BRANCH_UNTAGGED,
    LAN,
    ME,
    SYN_IN,
    WEB,
    Bench,
    of_tcp,
    of_udp,
    ping,
)


@dataclass(frozen=True)
class Step:
    """One packet of a conversation, `after_s` seconds after the one before."""

    frame: bytes
    side: Side
    outcome: str
    after_s: float = 0


def arrives(frame: bytes, outcome: str = "pass web-db", after_s: float = 0) -> Step:
    return Step(frame, "ingress", outcome, after_s)


def leaves(frame: bytes, outcome: str = "pass web-db", after_s: float = 0) -> Step:
    return Step(frame, "egress", outcome, after_s)


HELLO = [
    arrives(SYN_IN),
    leaves(of_tcp(ME, WEB, SYN | ACK, -80)),
    arrives(of_tcp(WEB, ME, ACK)),
]
SYN_BACK = of_tcp(ME, WEB, SYN, -80)
ACK_BACK = of_tcp(ME, WEB, ACK, -80)
RST_BACK = of_tcp(ME, WEB, RST, -80)
GRE_IN, GRE_BACK = ip(WEB, LAN, 47), ip(LAN, WEB, 47)

CONVERSATIONS: dict[str, list[Step]] = {
    "half-open lasts 30 s": [arrives(SYN_IN), leaves(RST_BACK, after_s=29)],
    "half-open lasts no longer": [arrives(SYN_IN), leaves(RST_BACK, "no-flow", 31)],
    "established lasts two hours": [*HELLO, leaves(RST_BACK, after_s=7199)],
    "established lasts no longer": [*HELLO, leaves(RST_BACK, "no-flow", 7201)],
    "each packet refreshes": [
        *HELLO,
        leaves(ACK_BACK, after_s=7000),
        leaves(RST_BACK, after_s=7000),
    ],
    "after RST 30 s": [*HELLO, leaves(RST_BACK), leaves(RST_BACK, after_s=29)],
    "after RST no longer": [*HELLO, leaves(RST_BACK), leaves(RST_BACK, "no-flow", 31)],
    "after one FIN still two hours": [
        *HELLO,
        leaves(of_tcp(ME, WEB, FIN | ACK, -80)),
        arrives(of_tcp(WEB, ME, RST), after_s=7199),
    ],
    "after both FINs 30 s": [
        *HELLO,
        leaves(of_tcp(ME, WEB, FIN | ACK, -80)),
        arrives(of_tcp(WEB, ME, FIN | ACK)),
        arrives(of_tcp(WEB, ME, RST), "no-flow", 31),
    ],
    "a SYN from the opener begins again": [
        *HELLO,
        leaves(of_tcp(ME, WEB, FIN | ACK, -80)),
        arrives(SYN_IN),
        leaves(of_tcp(ME, WEB, SYN | ACK, -80)),
        arrives(of_tcp(WEB, ME, FIN | ACK)),
        arrives(of_tcp(WEB, ME, RST), after_s=7199),
    ],
    "a SYN against the flow is a new open, and leaves a flow it may not replace": [
        *HELLO,
        leaves(SYN_BACK, "denied default"),
        leaves(RST_BACK, after_s=7199),
    ],
    "SYN+ACK and RST are packets of the flow": [
        *HELLO,
        arrives(of_tcp(WEB, ME, SYN | ACK)),
        leaves(of_tcp(ME, WEB, SYN | RST, -80)),
    ],
    "another port is another flow": [*HELLO, leaves(of_tcp(ME, WEB, RST, -80, 40001), "no-flow")],
    "a flow picked up is half-open": [
        arrives(of_tcp(WEB, ME, ACK)),
        arrives(of_tcp(WEB, ME, RST), "no-flow", 31),
    ],
    "a flow picked up by a reply is half-open": [
        leaves(ACK_BACK),
        leaves(RST_BACK, "no-flow", 31),
    ],
    "a flow picked up by a reply is established by the next after its opener was heard": [
        leaves(ACK_BACK),
        arrives(of_tcp(WEB, ME, ACK)),
        leaves(ACK_BACK),
        leaves(RST_BACK, after_s=7199),
    ],
    "a flow picked up by a reply is not answered by more of the same side": [
        leaves(ACK_BACK),
        leaves(ACK_BACK),
        leaves(RST_BACK, "no-flow", 31),
    ],
    "an opener who begins anew was heard": [
        leaves(ACK_BACK),
        arrives(of_tcp(WEB, ME, SYN)),
        leaves(ACK_BACK),
        leaves(RST_BACK, after_s=7199),
    ],
    "the FIN of a reply that is picked up is the other side's": [
        leaves(of_tcp(ME, WEB, FIN | ACK, -80)),
        leaves(ACK_BACK),
        arrives(of_tcp(WEB, ME, FIN | ACK)),
        arrives(of_tcp(WEB, ME, RST), "no-flow", 31),
    ],
    "UDP lasts 30 s without a reply": [
        arrives(of_udp(WEB, ME)),
        leaves(of_udp(ME, WEB, -53), after_s=29),
    ],
    "UDP without a reply lasts no longer": [
        arrives(of_udp(WEB, ME)),
        leaves(of_udp(ME, WEB, -53), "denied default", 31),
    ],
    "UDP with a reply lasts 180 s": [
        arrives(of_udp(WEB, ME)),
        leaves(of_udp(ME, WEB, -53)),
        leaves(of_udp(ME, WEB, -53), after_s=179),
        leaves(of_udp(ME, WEB, -53), "denied default", 181),
    ],
    "another protocol is one flow of both addresses": [
        leaves(GRE_BACK, "denied default"),
        arrives(GRE_IN, "pass web-db-gre"),
        leaves(GRE_BACK, "pass web-db-gre"),
        leaves(GRE_BACK, "pass web-db-gre", 179),
    ],
    "echo replies follow their request": [
        arrives(ping(WEB, ME, 8)),
        leaves(ping(ME, WEB, 0)),
        leaves(ping(ME, WEB, 0), after_s=29),
        leaves(ping(ME, WEB, 0, 8), "no-flow"),
        leaves(ping(ME, WEB, 0), "no-flow", 31),
    ],
    "an echo request in reply is a new open": [
        arrives(ping(WEB, ME, 8)),
        leaves(ping(ME, WEB, 8), "denied default"),
        leaves(ping(ME, WEB, 0)),
    ],
    "an echo reply of the opener is no packet of the flow": [
        arrives(ping(WEB, ME, 8)),
        arrives(ping(WEB, ME, 0), "no-flow"),
    ],
    "an error about a live flow, from either side": [
        *HELLO,
        leaves(error(ME, WEB, 3, SYN_IN)),
        arrives(error(BRANCH_UNTAGGED, ME, 3, ACK_BACK)),
        arrives(error(BRANCH_UNTAGGED, ME, 3, ACK_BACK[:28])),
        arrives(error(BRANCH_UNTAGGED, ME, 3, SYN_BACK)),
    ],
    "an error about another port": [
        *HELLO,
        arrives(error(WEB, ME, 3, of_tcp(ME, WEB, ACK, -81)), "no-flow"),
    ],
    "an error about an echo, from either side": [
        arrives(ping(WEB, ME, 8)),
        leaves(error(ME, WEB, 3, ping(WEB, ME, 8))),
        arrives(error(WEB, ME, 3, ping(ME, WEB, 0))),
    ],
    "an error refreshes nothing": [
        arrives(of_udp(WEB, ME)),
        leaves(error(ME, WEB, 3, of_udp(WEB, ME)), after_s=20),
        leaves(of_udp(ME, WEB, -53), "denied default", 20),
    ],
    "an error is no reply": [
        arrives(of_udp(WEB, ME)),
        arrives(error(WEB, ME, 3, of_udp(ME, WEB, -53))),
        leaves(of_udp(ME, WEB, -53), "denied default", 31),
    ],
    "an error about a flow that is too old": [
        arrives(of_udp(WEB, ME)),
        leaves(error(ME, WEB, 3, of_udp(WEB, ME)), "no-flow", 31),
    ],
}


def converse(bench: Bench, steps: Iterable[Step], now_s: float = 0) -> None:
    for number, step in enumerate(steps):
        now_s += step.after_s
        assert (number, bench.outcome(step.frame, step.side, now_s)) == (number, step.outcome)


@pytest.mark.parametrize("steps", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_a_conversation_is_judged(steps: list[Step]) -> None:
    converse(Bench(), steps)


WITHOUT = ("ports: [tcp/80, udp/53, icmp]", "ports: [tcp/81]")
BOTH_WAYS = (
    "- {name: app-in",
    "- {name: db-web, from: db, to: web, ports: tcp}\n    - {name: app-in",
)
EXCHANGED = ("from: web, to: db, ports: [tcp/80", "from: db, to: web, ports: [tcp/40000")


def test_a_revocation_cuts_a_flow_in_both_directions_and_the_entry_can_revive() -> None:
    bench = Bench()
    converse(bench, HELLO)
    bench.commit(WITHOUT)
    converse(
        bench,
        [
            arrives(of_tcp(WEB, ME, ACK), "denied default"),
            leaves(ACK_BACK, "denied default"),
            leaves(of_tcp(ME, WEB, SYN | ACK, -80), "denied default"),
            leaves(error(ME, WEB, 3, SYN_IN), "denied default"),
        ],
    )
    bench.commit()
    converse(bench, [leaves(RST_BACK, after_s=7199)])


def test_a_denied_flow_is_not_refreshed() -> None:
    bench = Bench()
    converse(bench, HELLO)
    bench.commit(WITHOUT)
    converse(bench, [arrives(of_tcp(WEB, ME, RST), "denied default", 7000)])
    bench.commit()
    converse(bench, [arrives(of_tcp(WEB, ME, RST), "no-flow")], now_s=7201)


def test_a_denied_flow_drops_under_its_own_rule() -> None:
    bench = Bench()
    converse(bench, HELLO)
    bench.commit(("name: no-telnet, from: branch", "name: no-telnet, from: [branch, web]"),
                 ("ports: tcp/23", "ports: tcp/80"))  # fmt: skip
    converse(bench, [leaves(ACK_BACK, "denied no-telnet")])


def test_a_packet_of_a_denied_flow_may_still_open_one_of_its_own() -> None:
    bench = Bench()
    converse(bench, HELLO)
    bench.commit(EXCHANGED)
    converse(bench, [leaves(of_tcp(ME, WEB, SYN, -80)), leaves(ACK_BACK), leaves(RST_BACK)])


def test_a_segment_of_a_denied_flow_opens_nothing_though_the_other_way_may_open() -> None:
    bench = Bench()
    converse(bench, HELLO)
    bench.commit(EXCHANGED)
    converse(
        bench,
        [
            leaves(of_tcp(ME, WEB, SYN | ACK, -80), "denied default"),
            leaves(ACK_BACK, "denied default"),
            arrives(of_tcp(WEB, ME, ACK), "denied default"),
            leaves(RST_BACK, "denied default"),
        ],
    )


def test_an_error_writes_no_verdict_back() -> None:
    bench = Bench()
    converse(bench, HELLO)
    (flow,) = bench.judge.flows.values()
    bench.commit(WITHOUT)
    converse(bench, [leaves(error(ME, WEB, 3, SYN_IN), "denied default")])
    assert (flow.allows, flow.revision) == (True, 1)
    converse(bench, [leaves(RST_BACK, "denied default")])
    assert (flow.allows, flow.revision) == (False, 2)


def test_a_syn_against_the_flow_that_is_allowed_replaces_the_opener() -> None:
    bench = Bench(BOTH_WAYS)
    converse(bench, [*HELLO, leaves(SYN_BACK, "pass db-web")])
    (flow,) = bench.judge.flows.values()
    assert flow.opener.source[1] == 80
    bench.commit()
    converse(bench, [leaves(RST_BACK, "denied default")])
