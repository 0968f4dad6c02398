# SPDX-License-Identifier: Apache-2.0
"""Sets of principals are named by tags where they can be."""

import pytest

from krait.policy.alike import Group
from krait.policy.compare import compare
from krait.policy.document import load
from krait.policy.model import Document
from krait.policy.parties import Parties
from tests.documents import key, several

WEB, OTHER_WEB, DB, LAPTOP = "web1", "web2", "db1", "laptop"
TAGS = {WEB: "web, prod", OTHER_WEB: "web", DB: "db, prod", LAPTOP: ""}


def document(**changed: str) -> Document:
    tags = {**TAGS, **changed}
    entries = (
        f'{name}: {{public_key: "{key(i)}", tags: [{tags[name]}]}}'
        for i, name in enumerate(tags, start=1)
    )
    return load(several(*entries).encode(), "test.yaml")


def named(before: Document, now: Document, *members: str) -> tuple[str, ...]:
    everyone = compare(before, now).everyone
    return Parties(everyone).names([each for each in everyone if each.members[0] in members])


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ((WEB, OTHER_WEB, DB, LAPTOP), ("*",)),
        ((WEB, OTHER_WEB), ("web",)),
        ((WEB, DB), ("prod",)),
        ((WEB, OTHER_WEB, DB), ("prod", "web")),
        ((OTHER_WEB, DB), ("db", "web")),
        ((WEB,), ("prod+web",)),
        ((LAPTOP, DB), ("db", LAPTOP)),
    ],
)
def test_as_few_tags_as_mean_these_and_no_others(
    members: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert named(document(), document(), *members) == names


def test_who_changed_its_tags_or_came_goes_by_name() -> None:
    now = document(laptop="web", web9="web")
    assert named(document(), now, LAPTOP) == (LAPTOP,)
    assert named(document(laptop="guest"), document(laptop="admin"), LAPTOP) == (LAPTOP,)
    assert named(document(), now, "web9") == ("web9",)
    assert named(document(), now, WEB, OTHER_WEB) == ("prod+web", "web")
    everyone = named(document(), document(web9="web"), WEB, OTHER_WEB, "web9")
    assert everyone == ("web",), "all that had the tag and all that have it"


def test_many_alike_are_counted() -> None:
    group = Group(None, frozenset({"a"}), tuple(f"n{i}" for i in range(1003)), None)
    other = Group(frozenset({"a"}), frozenset({"a"}), ("x",), ("x",))
    assert Parties((group, other)).names((group,)) == ("n0", "n1", "n2", "1,000 like n0")


def test_of_tags_that_mean_the_same_the_one_in_the_rule_is_said() -> None:
    text = several(f'a: {{public_key: "{key(1)}", tags: [x, y]}}', f'b: {{public_key: "{key(2)}"}}')
    rule = "policy: {rules: [{from: y, to: y}]}\n"
    found = load(text.replace("policy: {}\n", rule).encode(), "test.yaml")
    everyone = compare(found, found).everyone
    assert Parties(everyone).names(everyone[:1]) == ("x",)
    assert Parties(everyone).names(everyone[:1], found.policy.rules) == ("y",)
