# SPDX-License-Identifier: Apache-2.0
"""Two peers under one document: enforced by both, by one of them, or not by both the same."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from krait.lab.machine import unhurried
from krait.lab.traffic import Flow
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.flows import is_silent, ticks
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until

TICKS = ticks(40)  # sent in vain by both ends
TICK_S = unhurried(0.005, 0.05)
ENDS = {"alice": "tags: [a]", "bob": "tags: [b]"}
PING = "name: ping, from: a, to: b, ports: icmp"
ONE = "name: one, from: a, to: b, ports: [tcp/80, udp/80]"
OTHER = "name: other, from: a, to: b, ports: [tcp/81, udp/81]"


@contextmanager
def flow(mesh: Mesh, probe: str) -> Iterator[Flow]:
    """From Alice to Bob, and alive."""
    to_bob = target(probe, mesh.hosts["bob"][0])
    with Flow(mesh["alice"], mesh["bob"], to_bob, interval_s=TICK_S) as live:
        assert_goes_on(live)
        yield live


def assert_goes_on(live: Flow) -> None:
    """Both directions receive something."""
    before = received(live.report())

    def has_gone_on() -> bool:
        return all(now > then for now, then in zip(received(live.report()), before, strict=True))

    wait_until(has_gone_on, live.report)


def assert_is_cut(live: Flow) -> None:
    """Neither direction receives anything any more, while both ends send."""
    wait_until(lambda: is_silent(live, TICKS), live.report)


@BOTH_KINDS
def test_what_may_not_open_drops_where_it_is_sent(pair: Mesh) -> None:
    pair.enforce(pair.document(ENDS, [PING, ONE]), "alice", "bob")
    pair.succeed("alice", "bob", "icmp", "tcp/80", "udp/80")
    pair.fail("bob", "alice", "icmp", "tcp/80", "udp/80", drops={"bob": "denied"})
    pair.fail("alice", "bob", "tcp/81", "udp/81", drops={"alice": "denied"})
    for name in ("alice", "bob"):
        assert pair.warden(name).passed("one") > 0
        assert pair.warden(name).drops().keys() == {"denied"}


@BOTH_KINDS
@pytest.mark.parametrize("enforcing", ["alice", "bob"])
def test_one_end_alone_enforces_both_directions(pair: Mesh, enforcing: str) -> None:
    pair.enforce(pair.document(ENDS, [PING, ONE]), enforcing)
    pair.succeed("alice", "bob", "icmp", "tcp/80", "udp/80")
    pair.fail("bob", "alice", "icmp", "tcp/80", "udp/80", drops={enforcing: "denied"})
    pair.fail("alice", "bob", "tcp/81", "udp/81", drops={enforcing: "denied"})


@pytest.mark.parametrize(("first", "second"), [("alice", "bob"), ("bob", "alice")])
def test_of_two_revisions_only_what_both_allow_opens(pair: Mesh, first: str, second: str) -> None:
    old, new = pair.document(ENDS, [PING, ONE]), pair.document(ENDS, [PING, OTHER])
    pair.enforce(old, "alice", "bob")
    pair.enforce(new, first)
    pair.succeed("alice", "bob", "icmp")
    pair.fail("alice", "bob", "tcp/80", "udp/80", drops={first: "denied"})
    pair.fail("alice", "bob", "tcp/81", "udp/81", drops={second: "denied"})
    pair.enforce(new, second)
    pair.succeed("alice", "bob", "icmp", "tcp/81", "udp/81")
    pair.fail("alice", "bob", "tcp/80", "udp/80", drops={"alice": "denied"})


LIVE_90 = "name: live-90, from: [a, z], to: b, ports: [tcp/90, udp/90]"
LIVE_91 = "name: live-91, from: a, to: b, ports: [tcp/91, udp/91]"
# Both tags are somebody's all the while, or a rule could not name them.
BOTH = "tags: [b], routes: [{cidr: 10.21.1.0/24, tags: a}, {cidr: 10.21.2.0/24, tags: z}]"
TAGGED, RETAGGED = {"alice": "tags: [a]", "bob": BOTH}, {"alice": "tags: [z]", "bob": BOTH}


@pytest.mark.parametrize(("first", "second"), [("alice", "bob"), ("bob", "alice")])
@pytest.mark.parametrize(
    ("nodes", "rules"),
    [(TAGGED, [LIVE_90]), (RETAGGED, [LIVE_90, LIVE_91])],
    ids=["without the rule", "with another tag"],
)
def test_either_end_cuts_live_flows_and_keeps_the_others(
    pair: Mesh, first: str, second: str, nodes: dict[str, str], rules: list[str]
) -> None:
    old, new = pair.document(TAGGED, [LIVE_90, LIVE_91]), pair.document(nodes, rules)
    pair.enforce(old, "alice", "bob")
    with (
        flow(pair, "tcp/90") as kept_tcp,
        flow(pair, "udp/90") as kept_udp,
        flow(pair, "tcp/91") as revoked_tcp,
        flow(pair, "udp/91") as revoked_udp,
    ):
        pair.enforce(new, first)
        assert_is_cut(revoked_tcp)
        assert_is_cut(revoked_udp)
        before = {name: pair.warden(name).counted() for name in (first, second)}
        dropped = pair.warden(second).drops()
        for live in (kept_tcp, kept_udp):  # while each end goes by a revision of its own
            assert_goes_on(live)
        assert_is_cut(revoked_tcp)
        assert_is_cut(revoked_udp)
        moved = {name: pair.warden(name).counted() - before[name] for name in (first, second)}
        assert moved[first].keys() == {"rule live-90", "denied", "rule default"}
        # Of live flows both are never read at one moment.
        assert min(moved[first]["denied"], moved[first]["rule default"]) > TICKS
        # What the other end sends in vain it still counts as allowed.
        assert moved[second].keys() == {"rule live-90", "rule live-91"}
        assert pair.warden(second).drops() == dropped
        pair.enforce(new, second)
        for live in (kept_tcp, kept_udp):
            assert_goes_on(live)
            assert not live.report().error
        assert_is_cut(revoked_tcp)
        assert_is_cut(revoked_udp)
        assert (Counter(pair.warden(second).drops()) - Counter(dropped)).keys() == {"denied"}
