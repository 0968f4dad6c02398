# SPDX-License-Identifier: Apache-2.0
"""Rules that name types of ICMP, SCTP ports and other protocols, packet by packet."""

import pytest

from tests.strategies.packets import error, icmp, ip, sctp
from tests.unit.policy.bench import ME, ME6, WEB, WEB6, Bench, ping

PING_ONLY = ("ports: [tcp/80, udp/53, icmp]", "ports: icmp/echo")
CLOCK_ONLY = ("ports: [tcp/80, udp/53, icmp]", "ports: icmp4/13")
SIGTRAN = ("ports: [tcp/80, udp/53, icmp]", "ports: [sctp/2905, gre, ip/200]")
TIMESTAMP, TIMESTAMP_REPLY = ip(WEB, ME, 1, icmp(13)), ip(ME, WEB, 1, icmp(14))


def of_sctp(source: str, destination: str, port: int, own: int = 40000) -> bytes:
    """To `port`; with a negative one the reply from it."""
    return ip(source, destination, 132, sctp(*((own, port) if port > 0 else (-port, own))))


@pytest.mark.parametrize(
    ("ends", "types"), [((WEB, ME), (8, 0)), ((WEB6, ME6), (128, 129))], ids=["IPv4", "IPv6"]
)
def test_a_rule_for_echoes_opens_echoes_alone(
    ends: tuple[str, str], types: tuple[int, int]
) -> None:
    bench = Bench(PING_ONLY)
    request, reply = types
    assert bench.outcome(ping(*ends, request), "ingress") == "pass web-db"
    assert bench.outcome(ping(*ends[::-1], reply), "egress") == "pass web-db"
    number = 1 if request == 8 else 58
    assert bench.outcome(ip(*ends, number, icmp(143)), "ingress") == "denied default"


def test_a_reply_is_judged_anew_as_the_echo_that_was_opened() -> None:
    bench = Bench(PING_ONLY)
    assert bench.outcome(ping(WEB, ME, 8), "ingress") == "pass web-db"
    bench.commit(PING_ONLY)
    assert bench.outcome(ping(ME, WEB, 0), "egress") == "pass web-db"
    bench.commit(CLOCK_ONLY)
    assert bench.outcome(ping(ME, WEB, 0), "egress") == "denied default"


def test_a_rule_for_a_type_opens_that_type_alone() -> None:
    bench = Bench(CLOCK_ONLY)
    assert bench.outcome(TIMESTAMP, "ingress") == "pass web-db"
    assert bench.outcome(TIMESTAMP_REPLY, "egress") == "denied default"
    assert bench.outcome(ping(WEB, ME, 8), "ingress") == "denied default"


def test_sctp_has_ports_and_flows() -> None:
    bench = Bench(SIGTRAN)
    assert bench.outcome(of_sctp(ME, WEB, -2905), "egress") == "denied default"
    assert bench.outcome(of_sctp(WEB, ME, 2905), "ingress") == "pass web-db"
    assert bench.outcome(of_sctp(ME, WEB, -2905), "egress") == "pass web-db"
    assert bench.outcome(of_sctp(WEB, ME, 2906), "ingress") == "denied default"
    assert bench.outcome(ip(WEB, ME, 132, bytes(7)), "ingress") == "malformed"
    about = of_sctp(ME, WEB, -2905)
    assert bench.outcome(error(WEB, ME, 3, about), "ingress") == "pass web-db"


def test_a_protocol_without_ports_is_named_by_its_word_or_its_number() -> None:
    bench = Bench(SIGTRAN)
    assert bench.outcome(ip(WEB, ME, 47), "ingress") == "pass web-db"
    assert bench.outcome(ip(WEB, ME, 200), "ingress") == "pass web-db"
    assert bench.outcome(ip(WEB, ME, 50), "ingress") == "denied default"
