# SPDX-License-Identifier: Apache-2.0
"""Question 8 of docs/packet-path.md, a case at a time; the kernel is held against the same code."""

import pytest

from krait.common.abi import Rehearsal
from krait.policy.shadow import shadow_of
from tests.strategies.packets import ACK, SYN
from tests.unit.policy.bench import (
    APP,
    AUDIT_RULE,
    ME,
    SYN_IN,
    WEB,
    Bench,
    document,
    of_tcp,
    of_udp,
)

SAME, CUTS, OPENS = Rehearsal


def trying(*rules: str) -> tuple[str, str]:
    """The rule `trial` and others like it in the bench's document."""
    return AUDIT_RULE, "\n    ".join(f"- {{audit: true, {each}}}" for each in rules)


NO_WEB = trying("name: no-web, from: web, to: db, ports: tcp/80, action: deny")


def rehearsed(bench: Bench) -> tuple[str, Rehearsal] | None:
    """The rule of the shadow, and what it would have done to the last packet."""
    found = bench.judge.rehearsed
    return None if found is None else (bench.rules[found.rule], found.outcome)


def test_a_document_without_audit_rules_has_no_shadow() -> None:
    assert shadow_of(document((f"    {AUDIT_RULE}\n", "")).policy) is None
    bench = Bench((f"    {AUDIT_RULE}\n", ""))
    bench.outcome(SYN_IN, "ingress")
    assert rehearsed(bench) is None


def test_a_deny_on_trial_tells_what_it_would_have_cut_and_cuts_nothing() -> None:
    bench = Bench(NO_WEB)
    assert bench.outcome(SYN_IN, "ingress") == "pass web-db"
    assert rehearsed(bench) == ("no-web", CUTS)
    assert bench.outcome(of_tcp(ME, WEB, SYN | ACK, -80), "egress") == "pass web-db"
    assert rehearsed(bench) == ("no-web", CUTS), "its replies would not have come either"


def test_an_allow_on_trial_tells_what_it_would_have_let_pass() -> None:
    bench = Bench(trying("name: ssh, from: web, to: db, ports: tcp/22"))
    assert bench.outcome(of_tcp(WEB, ME, SYN, 22), "ingress") == "denied default"
    assert rehearsed(bench) == ("ssh", OPENS)


def test_where_both_agree_the_shadows_rule_is_told() -> None:
    bench = Bench(NO_WEB)
    bench.outcome(of_udp(WEB, ME), "ingress")
    assert rehearsed(bench) == ("web-db", SAME)
    bench.outcome(of_udp(WEB, ME, 54), "ingress")
    assert rehearsed(bench) == ("default", SAME)


def test_of_two_that_share_everything_a_reply_is_not_taken_for_an_open() -> None:
    """No flow tells who opened between them: what may be a reply is let pass."""
    bench = Bench(trying("name: no-app, from: app, to: db, action: deny"))
    assert bench.outcome(of_udp(APP, ME, 7), "ingress") == "pass app-in"
    assert rehearsed(bench) == ("app-out", SAME)
    assert bench.outcome(of_tcp(APP, ME, SYN, 7), "ingress") == "pass app-in"
    assert rehearsed(bench) == ("no-app", CUTS), "but a SYN opens"


@pytest.mark.parametrize("flags", [ACK, SYN | ACK])
def test_what_drops_for_want_of_a_flow_is_no_matter_of_policy(flags: int) -> None:
    bench = Bench(NO_WEB, ("policy:", "policy:\n  strict: true"))
    assert bench.outcome(of_tcp(WEB, ME, flags), "ingress") == "no-flow"
    assert rehearsed(bench) is None


def test_what_goes_to_a_group_is_no_reply() -> None:
    group = ("policy:", "multicast: {servers: {address: 224.0.0.5, tags: [db]}}\npolicy:")
    bench = Bench(group, trying("name: no-app, from: app, to: db, action: deny"))
    assert bench.outcome(of_udp(APP, "224.0.0.5", 7), "ingress") == "pass app-in"
    assert rehearsed(bench) == ("no-app", CUTS), "but the other way all may open"
