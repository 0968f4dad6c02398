# SPDX-License-Identifier: Apache-2.0
"""docs/packet-path.md, for packets to multicast groups."""

import pytest

from krait.policy.case import Side
from tests.strategies.packets import ACK, SYN, error, icmp, ip, ip4, udp
from tests.unit.policy.bench import (
    APP,
    BRANCH_UNTAGGED,
    LAN,
    ME,
    ME6,
    NOBODY,
    STRANGE,
    WEB,
    WEB6,
    Bench,
    of_tcp,
    of_udp,
    ping,
)
from tests.unit.policy.test_judge import STRICT, TRANSIT

GROUP, GROUP6, OPEN, UNNAMED, UNNAMED6 = "224.0.0.5", "ff02::5", "224.0.0.9", "224.0.0.1", "ff02::1"
GROUPS = (
    "policy:",
    f"""multicast:
  servers: {{address: [{GROUP}, "{GROUP6}"], tags: [db]}}
  apps: {{address: {OPEN}, tags: [app]}}
policy:""",
)
TO_WEB = ("  rules:", "  rules:\n    - {name: back, from: db, to: web}")

PACKETS: dict[str, tuple[Side, bytes, str]] = {
    "a group that the document does not name, in": ("ingress", of_udp(WEB, UNNAMED), "multicast"),
    "a group that it does not name, out": ("egress", of_udp(ME6, UNNAMED6), "multicast"),
    "far is unknown: asked first": ("ingress", of_udp(NOBODY, UNNAMED), "unknown-source"),
    "broadcast": ("ingress", of_udp(WEB, "255.255.255.255"), "multicast"),
    "a group as the source": ("ingress", of_udp(GROUP, ME), "malformed"),
    "in": ("ingress", of_udp(WEB, GROUP), "pass web-db"),
    "in, IPv6": ("ingress", of_udp(WEB6, GROUP6), "pass web-db"),
    "in, another port": ("ingress", of_udp(WEB, GROUP, 54), "denied default"),
    "out, stateless": ("egress", of_udp(ME, OPEN), "pass app-out"),
    "out, denied": ("egress", of_udp(LAN, OPEN), "denied default"),
    "out, from nobody": ("egress", of_udp(NOBODY, OPEN), "unknown-source"),
    "out, from a link-local address of nobody": ("egress", of_udp("fe80::9", GROUP6), "link-local"),
    "in, from this node": ("ingress", of_udp(ME, GROUP), "wrong-side"),
    "in, of an unnamed peer": ("ingress", of_udp(STRANGE, GROUP), "unknown-peer"),
    "in, from an untagged subnet": ("ingress", of_udp(BRANCH_UNTAGGED, GROUP), "no-identity"),
    "out, relayed": ("egress", of_udp(WEB, OPEN), "not-transit"),
    "a ping": ("ingress", ping(WEB, GROUP, 8), "pass web-db"),
    "another ICMP message": ("ingress", ip(WEB, GROUP, 1, icmp(13)), "pass web-db"),
    "an answer to a ping": ("ingress", ping(WEB, GROUP, 0), "no-flow"),
    "a TCP segment, as it comes": (
        "ingress",
        of_tcp(WEB, GROUP, SYN | ACK),
        "pass web-db",
    ),
    "7 bytes of UDP": ("ingress", ip(WEB, GROUP, 17, bytes(7)), "malformed"),
    "an error about what went to a group": (
        "ingress",
        error(WEB, ME, 3, of_udp(ME, OPEN)),
        "bad-error",
    ),
    "an error to a group": ("ingress", error(WEB, GROUP, 3, of_udp(ME, WEB)), "bad-error"),
}


@pytest.mark.parametrize(("side", "frame", "outcome"), PACKETS.values(), ids=PACKETS.keys())
def test_a_packet_to_a_group_is_judged(side: Side, frame: bytes, outcome: str) -> None:
    assert Bench(GROUPS).outcome(frame, side) == outcome


def test_what_goes_to_a_group_makes_no_flow_and_is_nobodys_answer() -> None:
    bench = Bench(GROUPS, TO_WEB)
    assert bench.outcome(of_udp(WEB, GROUP), "ingress") == "pass web-db"
    assert bench.judge.flows == {}
    assert bench.outcome(of_tcp(WEB, GROUP, ACK, 81), "ingress") == "denied default"
    assert Bench(GROUPS, STRICT).outcome(of_tcp(WEB, GROUP, ACK), "ingress") == "pass web-db"


def test_a_rule_that_goes_ends_it_at_once() -> None:
    bench = Bench(GROUPS)
    assert bench.outcome(of_udp(WEB, GROUP), "ingress") == "pass web-db"
    bench.commit(GROUPS, ("udp/53, ", ""))
    assert bench.outcome(of_udp(WEB, GROUP), "ingress") == "denied default"
    bench.commit()
    assert bench.outcome(of_udp(WEB, GROUP), "ingress") == "multicast"


def test_what_goes_to_a_group_costs_its_peer_no_open() -> None:
    bench = Bench(GROUPS, ("policy:", "policy:\n  limits: {opens: 1, burst: 1}"))
    hellos = [bench.outcome(of_udp(WEB, GROUP, own=port), "ingress") for port in range(5)]
    assert hellos == ["pass web-db"] * 5
    assert bench.outcome(of_udp(WEB, ME), "ingress") == "pass web-db"
    assert bench.outcome(of_udp(WEB, ME, own=9), "ingress") == "open-limit"


def test_fragments_to_a_group_follow_their_first() -> None:
    first = ip4(WEB, GROUP, 17, udp(9, 53, bytes(8)), fragment=0x2000)
    later = ip4(WEB, GROUP, 17, bytes(8), fragment=2)
    bench = Bench(GROUPS)
    assert bench.outcome(later, "ingress") == "fragment"
    assert bench.outcome(first, "ingress") == "pass web-db"
    assert bench.outcome(later, "ingress") == "pass web-db"


def test_a_hub_relays_nothing_to_a_group() -> None:
    bench = Bench(TRANSIT, GROUPS)
    assert bench.outcome(of_udp(APP, OPEN), "egress", came_in=True) == "not-transit"
    assert bench.outcome(of_udp(APP, GROUP), "ingress") == "pass app-in"
