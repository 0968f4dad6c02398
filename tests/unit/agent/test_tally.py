# SPDX-License-Identifier: Apache-2.0
"""What was counted under which rule of the document in force."""

from dataclasses import replace

from krait.agent.in_force import Governed
from krait.agent.tally import Tally, count_up
from krait.common.abi import Rehearsal
from krait.kernel.generation import Count, Moment
from krait.policy.idle import Why
from krait.policy.model import Document
from krait.policy.numbering import Numbers
from tests.unit.agent.test_inspect import FOUND, RECORD, TABLES
from tests.unit.policy.bench import document

AGAIN = "    - {name: again, from: web, to: db, ports: tcp/80}\n"
BEFORE = "    - {name: trial"
COUNTS = (Count(2, 120, 500), Count(4000, 99, 700), Count(0, 0), Count(9, 900, 1000))


def counted(policy: Document, *rules: str | None, counts: tuple[Count, ...] = COUNTS) -> Tally:
    """`rules` are the names of the numbers from 1 on."""
    tables = replace(TABLES, rules=counts)
    record = replace(RECORD, numbers=Numbers(rules=rules))
    return count_up(Governed(replace(FOUND, tables=tables, record=record), tables, policy))


def test_rules_are_told_in_the_order_of_the_file_whatever_their_numbers() -> None:
    found = counted(document(), "app-in", None, "web-db")
    assert [each.rule.name for each in found.rules[:3]] == ["web-db", "web-db-gre", "app-in"]
    told = {each.rule.name: each.count for each in found.rules}
    assert (told["web-db"], told["app-in"]) == (COUNTS[3], COUNTS[1])
    assert (found.default, found.now, found.revision) == (COUNTS[0], Moment(1000, 100), 7)


def test_a_rule_without_a_number_enforces_nothing_here_and_is_not_unused() -> None:
    found = {each.rule.name: each for each in counted(document(), "app-in").rules}
    for name in ("trial", "peers"):
        assert found[name].count is None
        assert not found[name].is_unused, name


def test_what_an_audit_rule_would_have_done_is_told_of_the_documents_own_shadow_alone() -> None:
    numbers = Numbers(rules=("web-db",), shadow_rules=("trial", "web-db"))
    record = replace(RECORD, numbers=numbers)
    shadow = tuple(Count(number, 0) for number in range(9))
    tables = replace(TABLES, rules=COUNTS, shadow_rules=shadow)
    seen = replace(FOUND, tables=tables, record=record)
    found = {each.rule.name: each for each in count_up(Governed(seen, tables, document())).rules}
    assert found["trial"].rehearsed == dict(zip(Rehearsal, shadow[3:6], strict=True))
    assert found["web-db"].rehearsed is None
    other = replace(seen, record=replace(record, shadow="/root/other.yaml"))
    rules = count_up(Governed(other, tables, document())).rules
    assert {each.rehearsed for each in rules} == {None}


def test_what_never_decided_is_unused_and_so_is_what_never_can() -> None:
    policy = document((BEFORE, AGAIN + BEFORE))
    rules = counted(policy, "web-db", "app-in", "again").rules
    found = {each.rule.name: each for each in rules}
    assert not found["web-db"].is_unused
    assert found["app-in"].is_unused
    assert found["app-in"].idle is None
    again = found["again"]
    assert again.is_unused, "its packets are of a time when it decided"
    assert again.count == COUNTS[3]
    assert again.idle is not None
    assert (again.idle.why, again.idle.covering) == (Why.REPEATED, (found["web-db"].rule,))


def test_a_rule_that_has_ended_is_unused_and_covers_nothing() -> None:
    ban = "    - {name: ban, from: web, to: db, action: deny, until: '2030-01-01T00:00:00Z'}\n"
    policy = document((BEFORE, ban + BEFORE))
    tables, end_s = replace(TABLES, rules=COUNTS), 1_893_456_000
    record = replace(RECORD, numbers=Numbers(rules=("web-db",)))
    seen = Governed(replace(FOUND, tables=tables, record=record), tables, policy)
    for now_s, has_ended in ((end_s - 1, False), (end_s, True)):
        found = {each.rule.name: each for each in count_up(seen, now_s).rules}
        assert found["ban"].has_ended is has_ended
        assert found["ban"].is_unused is has_ended
        assert found["web-db"].idle is None
