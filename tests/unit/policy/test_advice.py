# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.policy import device_advice
from krait.policy.advice import IDS, advise
from krait.policy.document import load
from tests.documents import key, policy, several

EXAMPLE = Path(__file__).parents[3] / "examples" / "small.yaml"


def test_the_example_needs_no_advice() -> None:
    assert advise(load(EXAMPLE.read_bytes(), "small.yaml")) == ()


WITH_TAGS = "{cidr: 10.1.0.0/16, tags: [lan]}"
UNTAGGED = "has no tags: no rule reaches it, nothing passes"
USED = "{from: [web, prod], to: db}"

REMARKS = {
    several(f"a: {{public_key: {key(1)}}}"): [
        (2, 3, "a has no tags, and no rule names it", "unnamed-node")
    ],
    several(f"a: {{public_key: {key(1)}, tags: [x]}}"): [
        (2, 3, 'no rule or test names the tag "x"', "unused-tag")
    ],
    policy("{rules: [{name: r, from: web, to: web}, {from: [web, prod], to: db}]}"): [
        (4, 18, 'rule "r" matches no two nodes or tagged subnets', "matches-nobody")
    ],
    policy(f"{{rules: [{USED}, {{name: own, from: lan, to: web}}]}}").replace(
        "[web, prod]}", f"[web, prod], routes: [{WITH_TAGS}]}}"
    ): [(4, 47, 'rule "own" matches no two nodes or tagged subnets', "matches-nobody")],
    policy(f"{{rules: [{USED}, {{from: {{all: [web, db]}}, to: db}}]}}"): [
        (4, 47, 'rule "rule-2" matches no two nodes or tagged subnets', "matches-nobody")
    ],
    policy(f"{{rules: [{USED}]}}").replace("[db, prod]", "db, routes: [10.1.0.0/16]"): [
        (
            2,
            88,
            f"10.1.0.0/16 {UNTAGGED}; write {{cidr: 10.1.0.0/16, tags: [lan]}}",
            "untagged-subnet",
        )
    ],
    policy(f"{{groups: {{web: tcp, old: udp}}, rules: [{USED[:-1]}, ports: '@web'}}]}}"): [
        (4, 29, 'no rule or test names the group "@old"', "unused-group")
    ],
    policy(f"{{rules: [{USED}, {{from: web1, to: far}}]}}").replace(
        "policy:",
        "  hub: {public_key: " + key(3) + ", transit: true, tags: [web]}\n"
        "  far: {via: hub}\npolicy:",
    ): [(5, 3, "far has a via but no address, so only hub finds it", "lost-node")],
}


@pytest.mark.parametrize("text", REMARKS, ids=[r[0][2] for r in REMARKS.values()])
def test_what_is_seldom_meant_is_remarked_at_its_place(text: str) -> None:
    remarks = advise(load(text.encode(), "krait.yaml"))
    assert [(each.line, each.column, each.message, each.id) for each in remarks] == REMARKS[text]


def test_each_kind_of_remark_has_an_id_of_its_own() -> None:
    told = {what for remarks in REMARKS.values() for *_, what in remarks}
    assert told == IDS - device_advice.IDS - {"nested-routes", "ended"}


def routed(*entries: tuple[str, str, str]) -> list[tuple[int, str]]:
    """Line (the first entry is in line 2) and message of the remarks on these nodes' prefixes.

    An entry is a name, addresses and routes.
    """
    lines = (
        f"{name}: {{public_key: {key(number)}, tags: [web], address: [{addresses}], "
        f"routes: [{', '.join(f'{{cidr: {cidr!r}, tags: [lan]}}' for cidr in routes.split())}]}}"
        for number, (name, addresses, routes) in enumerate(entries, 1)
    )
    policy = "policy: {rules: [{from: [web, lan], to: [web, lan]}]}"
    document = load(several(*lines).replace("policy: {}", policy).encode(), "krait.yaml")
    return [(each.line, each.message) for each in advise(document)]


@pytest.mark.parametrize(
    ("entries", "remarks"),
    [
        (
            [("a", "", "10.20.0.0/16"), ("b", "", "10.20.1.0/24")],
            [(2, "10.20.0.0/16 of a holds 10.20.1.0/24 of b: the longest prefix decides")],
        ),
        (
            [("a", "10.8.0.7", ""), ("b", "", "10.8.0.0/24")],
            [(3, "10.8.0.0/24 of b holds 10.8.0.7 of a: the longest prefix decides")],
        ),
        (
            [("a", "'fd00::7'", ""), ("b", "", "fd00::/64 10.1.0.0/16")],
            [(3, "fd00::/64 of b holds fd00::7 of a: the longest prefix decides")],
        ),
        (
            [("a", "10.8.0.1", "10.0.0.0/8"), ("b", "10.8.0.2", "10.9.0.0/16 10.10.0.0/16")],
            [(2, "10.0.0.0/8 of a holds 10.8.0.2 of b and 2 more: the longest prefix decides")],
        ),
        (
            [("a", "", "10.0.0.0/8 10.2.3.0/24"), ("b", "", "10.2.0.0/16 10.2.4.0/24")],
            [
                (2, "10.0.0.0/8 of a holds 10.2.0.0/16 of b: the longest prefix decides"),
                (3, "10.2.0.0/16 of b holds 10.2.3.0/24 of a: the longest prefix decides"),
            ],
        ),
        ([("a", "10.8.0.1", "10.8.0.0/24 10.8.0.0/25"), ("b", "10.8.1.2", "10.8.2.0/24")], []),
        ([("a", "", "0.0.0.0/0 0.0.0.0/1 128.0.0.0/1 ::/0"), ("b", "10.8.1.2", "fd00::/64")], []),
        ([("a", "", "::a08:0/112"), ("b", "10.8.0.1", "")], []),
    ],
    ids=["route", "address", "v6", "many", "nearest", "own and apart", "default", "families"],
)
def test_a_route_that_holds_what_is_another_nodes_is_remarked_once(
    entries: list[tuple[str, str, str]], remarks: list[tuple[int, str]]
) -> None:
    assert routed(*entries) == remarks
