# SPDX-License-Identifier: Apache-2.0
"""Which word is suggested for a misspelt one, and what it costs in a large mesh."""

from collections.abc import Iterator

import pytest

from krait.policy.problems import suggestion

MANY = 60_000


class Uncompared(frozenset[str]):
    """Names that may be looked up, and not gone through; `asked` counts."""

    asked = 0

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("gone through")

    def __contains__(self, name: object) -> bool:
        self.asked += 1
        return super().__contains__(name)


def mesh() -> Uncompared:
    return Uncompared([*(f"node-{number:05}" for number in range(MANY)), "web", "@web"])


SLIPS = {
    "another letter": ("wdb", "web"),
    "a letter less": ("wb", "web"),
    "a letter more": ("weeb", "web"),
    "the last is missing": ("we", "web"),
    "one behind it": ("webs", "web"),
    "two that changed places": ("wbe", "web"),
    "a capital": ("Web", "web"),
    "of a group": ("@wbe", "@web"),
}


@pytest.mark.parametrize(("word", "meant"), SLIPS.values(), ids=SLIPS)
def test_among_few_names_and_among_many_a_slip_is_seen(word: str, meant: str) -> None:
    hint = f'did you mean "{meant}"?'
    assert suggestion(word, {"web", "@web"}) == hint
    assert suggestion(word, mesh()) == hint


def test_among_few_names_one_is_near_that_is_two_slips_away() -> None:
    assert suggestion("laptp-ann", {"hub"}, {"laptop-anna"}) == 'did you mean "laptop-anna"?'


@pytest.mark.parametrize("word", ["node-0000x-and-more", "n" * 5_000_000])
def test_what_a_suggestion_costs_does_not_grow_with_the_mesh(word: str) -> None:
    """Names are never compared with one another: 50 times 60,000 of them took minutes."""
    names = mesh()
    assert suggestion(word, frozenset({"hub"}), names) == ""
    assert 0 < names.asked < 5_000
