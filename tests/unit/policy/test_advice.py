# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.policy.advice import advise
from krait.policy.document import load
from tests.documents import key, policy, several

EXAMPLE = Path(__file__).parents[3] / "examples" / "small.yaml"


def test_the_example_needs_no_advice() -> None:
    assert advise(load(EXAMPLE.read_bytes(), "small.yaml")) == ()


USED = "{from: [web, prod], to: db}"

REMARKS = {
    several(f"a: {{public_key: {key(1)}}}"): [(2, 3, "a has no tags, and no rule names it")],
    several(f"a: {{public_key: {key(1)}, tags: [x]}}"): [
        (2, 3, 'no rule or test names the tag "x"')
    ],
    policy("{rules: [{name: r, from: web, to: web}, {from: [web, prod], to: db}]}"): [
        (4, 18, 'rule "r" matches no two nodes or tagged subnets')
    ],
    policy(f"{{rules: [{USED}, {{from: {{all: [web, db]}}, to: db}}]}}"): [
        (4, 47, 'rule "rule-2" matches no two nodes or tagged subnets')
    ],
    policy(f"{{rules: [{USED}]}}").replace("[db, prod]", "db, routes: [10.1.0.0/16]"): [
        (2, 88, "10.1.0.0/16 has no tags: no rule reaches it, nothing passes")
    ],
    policy(f"{{rules: [{USED}, {{from: web1, to: far}}]}}").replace(
        "policy:",
        "  hub: {public_key: " + key(3) + ", transit: true, tags: [web]}\n"
        "  far: {via: hub}\npolicy:",
    ): [(5, 3, "far has a via but no address, so only hub finds it")],
}


@pytest.mark.parametrize("text", REMARKS, ids=[r[0][2] for r in REMARKS.values()])
def test_what_is_seldom_meant_is_remarked_at_its_place(text: str) -> None:
    remarks = advise(load(text.encode(), "krait.yaml"))
    assert [(each.line, each.column, each.message) for each in remarks] == REMARKS[text]
