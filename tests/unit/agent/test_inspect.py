# SPDX-License-Identifier: Apache-2.0
"""The word for an interface's state, and whose numbers are whose."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from krait.agent.desired import Named
from krait.agent.guarded import Guarded
from krait.agent.inspect import (
    Condition,
    InspectedTables,
    Inspection,
    PeerSeen,
    condition,
    peers,
    rehearsed,
    rules,
)
from krait.agent.state import Fault, Live, Record
from krait.common.abi import ABI_VERSION, Rehearsal
from krait.kernel.generation import Count, Generation, Moment
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.seat import AttachKind, Seat
from krait.kernel.wireguard import Device, Peer
from krait.policy.numbering import Numbers

WEB, DB, STRANGER = (bytes((number,)) * 32 for number in (1, 2, 3))
RECORD = Record(
    revision=7,
    committed_s=1_000.0,
    source="/etc/krait/wg0.yaml",
    sha256="ab",
    numbers=Numbers(
        identities=(frozenset({"web"}), None, frozenset({"db", "db1"})),
        rules=("web-to-db", None, "no-ssh"),
        peers=(None, WEB, DB),
    ),
    peers={WEB: Named("web1", ("web",)), DB: Named("db1", ("db",))},
)
GENERATION = Generation(ABI_VERSION, 1, {Hook.INGRESS: 11, Hook.EGRESS: 12}, revision=7)
TABLES = InspectedTables(
    GENERATION,
    armed=True,
    rules=tuple(Count(number, 0) for number in range(64)),
    peers=tuple(Count(10 * number, 0) for number in range(64)),
    now=Moment(1000, 100),
)
SEATS = {hook: (Seat(AttachKind.TCX, number),) for hook, number in GENERATION.programs.items()}


def peer(key: bytes) -> Peer:
    return Peer(key, None, (ip_network("10.8.0.2/32"),), 0, 0, 0, 0)


FOUND = Inspection(
    interface="wg0",
    link=Link(7, "wg0", "wireguard", 1420, up=True),
    device=Device("wg0", 7, b"k" * 32, 51820, False, (peer(WEB), peer(DB), peer(STRANGER))),
    seats=SEATS,
    elsewhere=False,
    tables=TABLES,
    record=RECORD,
    pid=4711,
    live=None,
)


def seats(hook: Hook, *found: Seat) -> dict[Hook, tuple[Seat, ...]]:
    """As they should be, but for one hook."""
    return SEATS | {hook: found}


BEHIND = Seat(AttachKind.TCX, 12, ahead=("program 99",))
POSING = Seat(AttachKind.CLSACT, 99)
UNREADABLE = InspectedTables(replace(GENERATION, abi_version=ABI_VERSION + 1))


@pytest.mark.parametrize(
    ("found", "word", "why"),
    [
        (FOUND, Condition.ENFORCING, ""),
        (replace(FOUND, pid=None), Condition.ENFORCING, ""),
        (replace(FOUND, record=None), Condition.ENFORCING, ""),
        (
            replace(FOUND, seats=seats(Hook.EGRESS, BEHIND)),
            Condition.DEGRADED,
            "ahead of Krait: program 99 on egress",
        ),
        (
            replace(FOUND, seats=seats(Hook.EGRESS)),
            Condition.DEGRADED,
            "nothing is judged on egress",
        ),
        (replace(FOUND, tables=UNREADABLE), Condition.DEGRADED, "another version"),
        (replace(FOUND, tables=None), Condition.DEGRADED, "not pinned"),
        (
            replace(FOUND, tables=InspectedTables(GENERATION)),
            Condition.WAITING,
            "no policy is in force",
        ),
        (replace(FOUND, seats=dict.fromkeys(Hook, ())), Condition.BARE, "every packet passes"),
        (
            replace(FOUND, seats=seats(Hook.EGRESS, POSING)),
            Condition.DEGRADED,
            "not attached there; another program is there under its name",
        ),
        (
            replace(FOUND, seats=dict.fromkeys(Hook, (POSING,))),
            Condition.BARE,
            "not attached; another program",
        ),
        (replace(FOUND, link=None), Condition.WAITING, "no such interface yet"),
        (replace(FOUND, link=None, pid=None), Condition.BARE, "no agent to meet it"),
        (replace(FOUND, link=None, elsewhere=True), Condition.DEGRADED, "moved to another"),
    ],
)
def test_the_state_is_one_word_and_the_reason_that_it_is_not_a_better_one(
    found: Inspection, word: Condition, why: str
) -> None:
    said, because = condition(found)
    assert said is word
    assert why in because
    assert bool(because) is (word is not Condition.ENFORCING)


def test_a_program_ahead_of_krait_matters_more_than_a_policy_that_is_not_there_yet() -> None:
    found = replace(FOUND, seats=seats(Hook.EGRESS, BEHIND), tables=InspectedTables(GENERATION))
    assert condition(found)[0] is Condition.DEGRADED


def test_peers_get_the_names_and_numbers_of_the_commit_in_force() -> None:
    assert peers(FOUND) == (
        PeerSeen(peer(WEB), "web1", ("web",), 256, Count(20, 0)),
        PeerSeen(peer(DB), "db1", ("db",), 258, Count(30, 0)),
        PeerSeen(peer(STRANGER), None, (), None, None),
    )


def test_without_a_record_of_the_revision_in_force_peers_have_keys_only() -> None:
    assert peers(replace(FOUND, record=None))[0] == PeerSeen(peer(WEB), None, (), None, None)
    assert rules(replace(FOUND, record=None)) == {}


def test_rules_are_counted_by_name_and_a_free_number_is_nobodys() -> None:
    assert rules(FOUND) == {
        "default": Count(0, 0),
        "web-to-db": Count(1, 0),
        "no-ssh": Count(3, 0),
    }


def test_an_interface_that_is_no_wireguard_any_more_has_no_peers() -> None:
    assert peers(replace(FOUND, device=None)) == ()


def test_of_audit_rules_only_they_are_told_of_another_document_all_its_rules() -> None:
    numbers = replace(RECORD.numbers, shadow_rules=("trial", None, "web-to-db"))
    counts = tuple(Count(number, 0) for number in range(64 * len(Rehearsal)))
    found = replace(FOUND, tables=replace(TABLES, shadow_rules=counts))
    audited = replace(found, record=replace(RECORD, numbers=numbers))
    assert rehearsed(audited) == {"trial": dict(zip(Rehearsal, counts[3:6], strict=True))}
    tried = replace(found, record=replace(RECORD, numbers=numbers, shadow="/tried.yaml"))
    assert list(rehearsed(tried)) == ["default", "trial", "web-to-db"]
    assert rehearsed(tried)["web-to-db"][Rehearsal.OPENS] == counts[11]
    assert rehearsed(FOUND) == {}


def test_an_identity_is_found_whatever_the_shadow_calls_it() -> None:
    both = Numbers(
        identities=(frozenset({"web", "shadow/canary"}), None, frozenset({"db", "db1", "shadow/"})),
        rules=RECORD.numbers.rules,
        peers=RECORD.numbers.peers,
    )
    found = replace(FOUND, record=replace(RECORD, numbers=both))
    assert [each.identity for each in peers(found)] == [256, 258, None]


def test_a_guard_that_is_missing_somewhere_or_everywhere_degrades() -> None:
    assert condition(replace(FOUND, guard=Guarded({"eth0": ()}, (), {}))) == (
        Condition.ENFORCING,
        "",
    )
    missing = replace(FOUND, guard=Guarded({}, ("eth0", "eth1"), {}))
    assert condition(missing) == (Condition.DEGRADED, "no guard on eth0, eth1")
    fault = Fault("degraded: no guard on eth0: refused", "", 0.0, "guard")
    live = Live(1, 0.0, "tcx", enforcing=True, revision=7, faults=(fault,))
    assert condition(replace(FOUND, live=live)) == (
        Condition.DEGRADED,
        "no guard on eth0: refused",
    )
    assert condition(replace(FOUND, live=live, pid=None))[0] is Condition.ENFORCING


def test_a_guard_that_was_to_be_and_is_not_degrades_with_the_agent_dead_too() -> None:
    none = "the document wants a guard, and there is none"
    wanted = replace(FOUND, record=replace(RECORD, guard=True), pid=None)
    assert condition(wanted) == (Condition.DEGRADED, none)
    there = replace(wanted, guard=Guarded({"eth0": ()}, (), {}))
    assert condition(there) == (Condition.ENFORCING, "")
    fault = Fault("degraded: no guard on eth0: refused", "", 0.0, "guard")
    live = Live(1, 0.0, "tcx", enforcing=True, revision=7, faults=(fault,))
    assert condition(replace(wanted, live=live, pid=1))[1] == "no guard on eth0: refused"
    assert condition(replace(wanted, live=live))[1] == none, "the dead agent's word is old"
