# SPDX-License-Identifier: Apache-2.0
"""docs/packet-path.md, sentence by sentence, for packets that come first."""

import pytest

from krait.common.reason import Reason
from krait.policy.case import Path, Side, Verdict
from krait.policy.judge import Judge
from tests.strategies.packets import ACK, FIN, RST, SYN, error, icmp, ip, ip4, tcp
from tests.unit.policy.bench import (
    APP,
    APP_PEER,
    BRANCH,
    BRANCH_UNTAGGED,
    LAN,
    LAN_UNTAGGED,
    ME,
    ME6,
    NOBODY,
    STRANGE,
    STRANGE_PEER,
    SYN_IN,
    WEB,
    WEB6,
    WEB_PEER,
    Bench,
    of_tcp,
    of_udp,
    ping,
)

PACKETS: dict[str, tuple[Side, bytes, str]] = {
    # 4. Principals
    "far is unknown and the packet leaves": (
        "egress",
        of_tcp(ME, NOBODY, SYN),
        "unknown-destination",
    ),
    "far is unknown and the packet arrives": ("ingress", of_tcp(NOBODY, ME, SYN), "unknown-source"),
    "both are unknown: far is asked first": (
        "ingress",
        of_tcp(NOBODY, "10.8.0.78", SYN),
        "unknown-source",
    ),
    "far is link-local and nobody's, arriving": (
        "ingress",
        of_tcp("169.254.255.254", ME, SYN),
        "link-local",
    ),
    "far is link-local and nobody's, leaving": (
        "egress",
        of_tcp(ME6, "febf::1", SYN),
        "link-local",
    ),
    "near is link-local and nobody's, leaving": (
        "egress",
        of_tcp("169.254.0.1", WEB, SYN),
        "link-local",
    ),
    "near is link-local and nobody's, arriving": (
        "ingress",
        of_tcp(WEB6, "fe80::1", SYN),
        "link-local",
    ),
    "beside what is link-local": ("ingress", of_tcp("fec0::1", ME6, SYN), "unknown-source"),
    "far is unknown, near link-local": (
        "ingress",
        of_tcp(NOBODY, "169.254.0.1", SYN),
        "unknown-source",
    ),
    "far is this node, leaving": ("egress", of_tcp(ME, ME, SYN), "wrong-side"),
    "far is behind this node, arriving": ("ingress", of_tcp(LAN, ME, SYN), "wrong-side"),
    "near is unknown and the packet leaves": ("egress", of_tcp(NOBODY, WEB, SYN), "unknown-source"),
    "near is unknown and the packet arrives": (
        "ingress",
        of_tcp(WEB, NOBODY, SYN),
        "unknown-destination",
    ),
    "near is a peer, without transit": ("ingress", of_tcp(WEB, APP, SYN), "not-transit"),
    "far is of an unnamed peer": ("ingress", of_tcp(STRANGE, ME, SYN), "unknown-peer"),
    "not-transit is asked before unknown-peer": (
        "ingress",
        of_tcp(WEB, STRANGE, SYN),
        "not-transit",
    ),
    "unknown-peer is asked before no-identity": (
        "egress",
        of_tcp(LAN_UNTAGGED, STRANGE, SYN),
        "unknown-peer",
    ),
    "far has identity 0": ("ingress", of_tcp(BRANCH_UNTAGGED, ME, SYN), "no-identity"),
    "near has identity 0": ("ingress", of_tcp(WEB, LAN_UNTAGGED, SYN), "no-identity"),
    # 5. The pair
    "stateless, in": ("ingress", of_tcp(APP, ME, SYN | ACK), "pass app-in"),
    "stateless, out": ("egress", of_udp(ME, APP), "pass app-out"),
    "stateless reads no ports": ("ingress", ip(APP, ME, 6, bytes(3)), "pass app-in"),
    "deny both": ("ingress", of_tcp(APP, LAN, SYN), "denied default"),
    "deny both reads no ports": ("ingress", ip(APP, LAN, 6, bytes(3)), "denied default"),
    "deny both with ports, another port": ("ingress", of_tcp(BRANCH, ME, SYN), "denied default"),
    "deny both with ports, that port": (
        "ingress",
        of_tcp(BRANCH, ME, ACK, 23),
        "denied no-telnet",
    ),
    "deny both with ports, cut short": ("ingress", ip(BRANCH, ME, 6, bytes(13)), "malformed"),
    "deny both with ports the other way": ("egress", ip(ME, BRANCH, 6, bytes(3)), "denied default"),
    "deny both is no flow": ("ingress", ping(BRANCH, ME, 0), "denied default"),
    "stateful, 13 bytes of TCP": ("ingress", ip(WEB, ME, 6, bytes(13)), "malformed"),
    "stateful, 7 bytes of UDP": ("ingress", ip(WEB, ME, 17, bytes(7)), "malformed"),
    "stateful, no bytes of GRE": ("ingress", ip(WEB, LAN, 47), "pass web-db-gre"),
    # 6. Opens
    "SYN": ("ingress", SYN_IN, "pass web-db"),
    "SYN over IPv6": ("ingress", of_tcp(WEB6, ME6, SYN), "pass web-db"),
    "SYN to another port": ("ingress", of_tcp(WEB, ME, SYN, 81), "denied default"),
    "SYN the other way": ("egress", of_tcp(ME, WEB, SYN), "denied default"),
    "SYN and FIN open": ("ingress", of_tcp(WEB, ME, SYN | FIN), "pass web-db"),
    "ACK is picked up": ("ingress", of_tcp(WEB, ME, ACK), "pass web-db"),
    "ACK in reply is picked up": ("egress", of_tcp(ME, WEB, ACK, -80), "pass web-db"),
    "ACK of neither way": ("egress", of_tcp(ME, WEB, ACK, 81), "denied default"),
    "SYN+ACK": ("egress", of_tcp(ME, WEB, SYN | ACK, -80), "no-flow"),
    "SYN+ACK, forwards": ("ingress", of_tcp(WEB, ME, SYN | ACK), "no-flow"),
    "RST": ("ingress", of_tcp(WEB, ME, RST), "no-flow"),
    "RST+ACK": ("ingress", of_tcp(WEB, ME, RST | ACK), "no-flow"),
    "SYN+RST": ("ingress", of_tcp(WEB, ME, SYN | RST), "no-flow"),
    "FIN alone": ("ingress", of_tcp(WEB, ME, FIN), "no-flow"),
    "no flags": ("ingress", of_tcp(WEB, ME, 0), "no-flow"),
    "UDP": ("ingress", of_udp(WEB, ME), "pass web-db"),
    "UDP to another port": ("ingress", of_udp(WEB, ME, 54), "denied default"),
    "a UDP reply makes nothing": ("egress", of_udp(ME, WEB, -53), "denied default"),
    "echo request": ("ingress", ping(WEB, ME, 8), "pass web-db"),
    "echo request over IPv6": ("ingress", ping(WEB6, ME6, 128), "pass web-db"),
    "echo request the other way": ("egress", ping(ME, WEB, 8), "denied default"),
    "echo reply": ("egress", ping(ME, WEB, 0), "no-flow"),
    "echo reply, forwards": ("ingress", ping(WEB, ME, 0), "no-flow"),
    "another ICMP message": ("ingress", ip(WEB, ME, 1, icmp(13)), "pass web-db"),
    "another ICMP message the other way": ("egress", ip(ME, WEB, 1, icmp(14)), "denied default"),
    "another protocol": ("ingress", ip(WEB, ME, 47), "denied default"),
    "a first fragment": (
        "ingress",
        ip4(WEB, ME, 6, tcp(40000, 80, SYN, bytes(4)), fragment=0x2000),
        "pass web-db",
    ),
    # 3. Errors
    "an error about nothing known": ("egress", error(ME, WEB, 3, SYN_IN), "no-flow"),
    "an error from nobody": ("ingress", error(NOBODY, ME, 3, of_tcp(ME, WEB, ACK)), "bad-error"),
    "an error from a link-local router that is nobody's": (
        "ingress",
        error("fe80::1", ME6, 3, of_tcp(ME6, WEB6, ACK)),
        "bad-error",
    ),
    "an error about a packet to nobody": (
        "ingress",
        error(WEB, ME, 3, of_tcp(ME, NOBODY, ACK)),
        "bad-error",
    ),
    "an error from another peer": ("ingress", error(APP, ME, 3, of_tcp(ME, WEB, ACK)), "bad-error"),
    "an error that claims to be from here": (
        "ingress",
        error(ME, ME, 3, of_tcp(ME, WEB, ACK)),
        "wrong-side",
    ),
    "a stateless pair's error, from its peer": (
        "ingress",
        error(APP, ME, 3, of_tcp(ME, APP, ACK)),
        "pass app-out",
    ),
    "a stateless pair's error, from here": (
        "egress",
        error(LAN_UNTAGGED, APP, 11, of_udp(APP, ME)),
        "pass app-in",
    ),
    "an untagged router behind the peer may answer": (
        "ingress",
        error(BRANCH_UNTAGGED, LAN, 3, of_tcp(LAN, WEB, ACK)),
        "no-flow",
    ),
    "an error about a pair that is denied": (
        "ingress",
        error(BRANCH, ME, 3, of_tcp(ME, BRANCH, ACK)),
        "denied default",
    ),
    "an error about a peer that no node names": (
        "ingress",
        error(STRANGE, ME, 3, of_tcp(ME, STRANGE, ACK)),
        "unknown-peer",
    ),
    "an error about another ICMP message": (
        "egress",
        error(ME, WEB, 3, ip(WEB, ME, 1, icmp(13))),
        "no-flow",
    ),
}


@pytest.mark.parametrize(("side", "frame", "outcome"), PACKETS.values(), ids=PACKETS.keys())
def test_the_first_packet_is_judged(side: Side, frame: bytes, outcome: str) -> None:
    assert Bench().outcome(frame, side) == outcome


def test_without_a_policy_nothing_is_even_read() -> None:
    assert Judge().judge(b"", 0, "ingress", 0) == Verdict(Reason.NOT_READY)


STRICT = ("policy:", "policy:\n  strict: true")
TRANSIT = ("tags: [db]", "tags: [db]\n    transit: true")


def test_strict_picks_nothing_up() -> None:
    assert Bench(STRICT).outcome(of_tcp(WEB, ME, ACK), "ingress") == "no-flow"
    assert Bench(STRICT).outcome(of_tcp(ME, WEB, ACK, -80), "egress") == "no-flow"


def test_a_hub_relays_and_judges_at_both_hooks() -> None:
    bench = Bench(TRANSIT)
    opened, answered = of_tcp(WEB, APP, SYN), of_tcp(APP, WEB, SYN | ACK, -80)
    assert bench.outcome(opened, "ingress") == "pass peers"
    assert bench.outcome(opened, "egress", came_in=True) == "pass peers"
    assert bench.outcome(answered, "ingress") == "pass peers"
    assert bench.outcome(answered, "egress", came_in=True) == "pass peers"
    assert bench.outcome(of_tcp(APP, WEB, SYN), "ingress") == "denied default"
    assert bench.outcome(of_tcp(WEB, STRANGE, SYN), "ingress") == "unknown-peer"
    assert bench.outcome(error(APP, WEB, 3, opened), "ingress") == "pass peers"
    assert bench.outcome(error(APP, WEB, 3, opened), "egress", came_in=True) == "pass peers"


def test_a_hub_takes_no_forwarded_stranger_for_a_peer() -> None:
    bench = Bench(TRANSIT)
    opened = of_tcp(WEB, APP, SYN)
    assert bench.outcome(opened, "egress") == "wrong-side"
    assert bench.outcome(opened, "ingress") == "pass peers"
    assert bench.outcome(error(APP, WEB, 3, opened), "egress") == "wrong-side"
    assert bench.outcome(error(ME, WEB, 3, opened), "egress") == "pass peers"


def test_the_peer_of_a_verdict_is_the_far_one() -> None:
    bench = Bench(TRANSIT)
    assert bench.verdict(of_tcp(WEB, APP, SYN), "ingress").peer == WEB_PEER
    assert bench.verdict(of_tcp(WEB, APP, SYN), "egress", came_in=True).peer == APP_PEER
    assert bench.verdict(of_tcp(STRANGE, ME, SYN), "ingress").peer == STRANGE_PEER
    assert bench.verdict(of_tcp(NOBODY, ME, SYN), "ingress").peer == 0


def test_the_longest_prefix_owns_an_address() -> None:
    inner = ("10.20.0.0/24, tags: [branch]}", "10.20.0.0/24, tags: [branch]}, 10.20.0.8/29")
    assert Bench(inner).outcome(of_tcp(BRANCH, ME, SYN), "ingress") == "no-identity"


def test_the_path_says_which_question_decided() -> None:
    bench = Bench()
    assert bench.verdict(b"", "ingress").path is Path.HEADERS
    assert bench.verdict(of_tcp(NOBODY, ME, SYN), "ingress").path is Path.PRINCIPALS
    assert bench.verdict(of_tcp(APP, ME, SYN), "ingress").path is Path.PAIR
    assert bench.verdict(SYN_IN, "ingress").path is Path.OPEN
    assert bench.verdict(SYN_IN, "ingress").path is Path.FLOW
