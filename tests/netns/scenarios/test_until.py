# SPDX-License-Identifier: Apache-2.0
"""Rules that end by themselves, over an interface: with the agent dead, and with it alive."""

import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from krait.lab.machine import unhurried
from krait.lab.traffic import Flow
from tests.netns.flows import is_silent, ticks
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until

ENDS = {"alice": "tags: a", "bob": "tags: b"}
PING = "name: ping, from: a, to: b, ports: icmp"
BAN = "name: ban, from: a, to: b, ports: tcp/80, action: deny"
OPEN = "name: open, from: a, to: b, ports: [tcp/80, tcp/90, udp/90]"
TICKS = ticks(40)
SOON_S, LATER_S = round(unhurried(8, 30)), 3600  # a commit, and more, have to fit in


def until(end_s: int) -> str:
    return f", until: '{datetime.fromtimestamp(end_s, UTC).isoformat()}'"


@pytest.mark.parametrize("is_alive", [True, False], ids=["alive", "dead"])
def test_flows_of_a_rule_are_cut_at_its_end(pair: Mesh, is_alive: bool) -> None:
    bob = pair.warden("bob")
    bob.enforce(pair.document(ENDS, [PING, OPEN + until(int(time.time()) + LATER_S)]))
    with (
        Flow(pair["alice"], pair["bob"], target("tcp/90", pair.hosts["bob"][0])) as tcp,
        Flow(pair["alice"], pair["bob"], target("udp/90", pair.hosts["bob"][0])) as udp,
    ):
        wait_until(
            lambda: all(min(received(each.report())) >= ticks(20) for each in (tcp, udp)), bob.drops
        )
        end_s = int(time.time()) + SOON_S
        bob.enforce(pair.document(ENDS, [PING, OPEN + until(end_s)]))
        if not is_alive:
            bob.kill()
        before = Counter(bob.drops())
        assert time.time() < end_s, "the machine is too slow to tell"
        wait_until(lambda: all(is_silent(each, TICKS) for each in (tcp, udp)), bob.drops)
        assert time.time() >= end_s
        assert (Counter(bob.drops()) - before).keys() == {"denied"}
    pair.fail("alice", "bob", "tcp/80", drops={"bob": "denied"})
    pair.succeed("alice", "bob", "icmp")


def test_a_deny_that_ends_goes_with_the_agents_next_commit(pair: Mesh) -> None:
    bob = pair.warden("bob")
    end_s = int(time.time()) + SOON_S
    bob.enforce(pair.document(ENDS, [PING, OPEN, BAN + until(end_s)]))
    pair.fail("alice", "bob", "tcp/80", drops={"bob": "denied"})
    assert time.time() < end_s, "the machine is too slow to tell"
    pair.succeed("alice", "bob", "tcp/80")
    assert time.time() >= end_s
