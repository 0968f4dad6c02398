# SPDX-License-Identifier: Apache-2.0
"""How many flows a peer may open: as documents say it, and as the reference counts it."""

import pytest

from krait.common.errors import UsageError
from krait.policy.document import load
from krait.policy.model import DEFAULT_LIMITS, Limits
from tests.documents import key
from tests.strategies.packets import ACK, SYN
from tests.unit.policy.bench import ME, WEB, Bench, of_tcp, of_udp

NODES = f"nodes: {{n: {{public_key: {key(1)}, tags: web}}}}"
TWO = ("policy:", "policy:\n  limits: {opens: 1, burst: 2}")


def limits(text: str) -> Limits:
    return load(f"{NODES}\npolicy: {{limits: {text}}}".encode(), "test.yaml").policy.limits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", DEFAULT_LIMITS),
        ("{opens: 50}", Limits(50, 200)),
        ("{burst: 9}", Limits(1000, 9)),
        ("{opens: 1, burst: 1000000}", Limits(1, 1_000_000)),
        ("{opens: 1000000}", Limits(1_000_000, 1_000_000)),
        ("{opens: unlimited}", Limits(None, 0)),
    ],
)
def test_limits_are_read(text: str, expected: Limits) -> None:
    assert limits(text) == expected


def test_a_document_that_says_nothing_has_the_usual_limits() -> None:
    document = load(f"{NODES}\npolicy: {{rules: []}}".encode(), "test.yaml")
    assert document.policy.limits == DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{opens: 0}", '"0" is no number of opens'),
        ("{opens: 1000001}", "is no number of opens"),
        ("{opens: many}", "is no number of opens"),
        ("{burst: unlimited}", "is no number of opens"),
        ("{opens: unlimited, burst: 3}", "there is no limit on opens"),
        ("{open: 3}", 'unknown key "open" in limits'),
        ("7", "expected a mapping"),
    ],
)
def test_limits_that_say_nothing_sensible_are_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        limits(text)


def test_a_peer_may_open_what_it_saved_up_and_then_as_many_as_a_second_brings() -> None:
    bench = Bench(TWO)
    outcomes = [bench.outcome(of_udp(WEB, ME, own=own), "ingress", 0) for own in range(1, 5)]
    assert outcomes == ["pass web-db"] * 2 + ["open-limit"] * 2
    assert bench.outcome(of_udp(WEB, ME, own=5), "ingress", 0.9) == "open-limit"
    assert bench.outcome(of_udp(WEB, ME, own=6), "ingress", 1.1) == "pass web-db"
    assert bench.outcome(of_udp(WEB, ME, own=7), "ingress", 1.2) == "open-limit"
    outcomes = [bench.outcome(of_udp(WEB, ME, own=own), "ingress", 99) for own in range(8, 11)]
    assert outcomes == ["pass web-db"] * 2 + ["open-limit"]


def test_what_this_node_opens_is_not_counted() -> None:
    bench = Bench(TWO, ("from: web, to: db, ports", "from: db, to: web, ports"))
    outcomes = {bench.outcome(of_udp(ME, WEB, own=own), "egress") for own in range(1, 9)}
    assert outcomes == {"pass web-db"}


def test_only_what_would_pass_and_opens_something_is_counted() -> None:
    bench = Bench(TWO)
    for own in range(1, 9):
        assert bench.outcome(of_udp(WEB, ME, 54, own=own), "ingress") == "denied default"
        assert bench.outcome(of_tcp(ME, WEB, SYN, own=own), "egress") == "denied default"
    assert bench.outcome(of_tcp(WEB, ME, SYN), "ingress") == "pass web-db"
    for _ in range(8):
        assert bench.outcome(of_tcp(WEB, ME, ACK), "ingress") == "pass web-db"
    assert bench.outcome(of_udp(WEB, ME), "ingress") == "pass web-db"
    assert bench.outcome(of_udp(WEB, ME, own=9), "ingress") == "open-limit"


def test_a_segment_that_is_picked_up_counts_as_an_open() -> None:
    bench = Bench(TWO)
    outcomes = [bench.outcome(of_tcp(WEB, ME, ACK, own=own), "ingress") for own in range(1, 4)]
    assert outcomes == ["pass web-db"] * 2 + ["open-limit"]
