# SPDX-License-Identifier: Apache-2.0
"""What the kernel counts for a shadow; the property tests hold the rest against the reference."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from krait.common.abi import Rehearsal
from krait.common.reason import Reason
from krait.kernel.datapath import Datapath
from krait.kernel.hook import Hook
from krait.policy.capacity import SMALLEST
from krait.policy.image import need
from krait.policy.numbering import Numbers
from tests.kernel.loaded import HERE, PEER, Loaded, compiled, packet

MAY = "{name: web, from: web, to: db, ports: udp/53}"
TRIED = f"{MAY}, {{name: trial, from: web, to: db, ports: udp/53, action: deny, audit: true}}"
QUERY = packet(PEER, HERE, sport=40000, dport=53)
ANSWER = packet(HERE, PEER, sport=53, dport=40000)


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    policy = compiled(TRIED)
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        yield loaded


def told(datapath: Datapath, numbers: Numbers) -> dict[tuple[str, Rehearsal], int]:
    """Packets by the shadow's rule and what it would have done to them."""
    names = ("default", *numbers.shadow_rules)
    return {
        (str(names[index // len(Rehearsal)]), Rehearsal(index % len(Rehearsal))): count.packets
        for index, count in enumerate(datapath.counts("shadow_rules"))
        if count.packets
    }


def test_the_first_verdict_counts_and_the_second_is_counted(loaded: Loaded) -> None:
    numbers = compiled(TRIED).numbers
    assert loaded.judge(QUERY) is Reason.PASS
    assert told(loaded.datapath, numbers) == {("trial", Rehearsal.CUTS): 1}
    assert loaded.judge(ANSWER, Hook.EGRESS) is Reason.PASS
    assert told(loaded.datapath, numbers) == {("trial", Rehearsal.CUTS): 2}


def test_of_a_flow_that_cannot_be_only_the_packets_own_tuple_is_asked_for(loaded: Loaded) -> None:
    """Its reversed tuple may open in the shadow, but nobody has: a reply would have a flow."""
    tried = f"{MAY}, {{name: back, from: db, to: web, ports: udp/40000, audit: true}}"
    policy = compiled(tried)
    loaded.put(policy)
    assert loaded.judge(packet(PEER, HERE, sport=40000, dport=54)) is Reason.DENIED
    assert told(loaded.datapath, policy.numbers) == {("default", Rehearsal.SAME): 1}


def test_without_an_audit_rule_nothing_is_rehearsed() -> None:
    policy = compiled(MAY)
    assert need(policy).shadow_rules == 0
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        loaded.judge(QUERY)
        assert told(loaded.datapath, policy.numbers) == {}


def test_larger_tables_count_on_for_the_shadow(loaded: Loaded) -> None:
    loaded.judge(QUERY)
    capacity = SMALLEST.grown(need(compiled(TRIED)))
    with closing(Datapath.load(capacity, after=loaded.datapath)) as larger:
        numbers = compiled(TRIED).numbers
        assert told(larger, numbers) == {("trial", Rehearsal.CUTS): 1}
