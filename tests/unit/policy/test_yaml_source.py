# SPDX-License-Identifier: Apache-2.0
"""What a text is refused for before a word of it is read."""

from typing import NoReturn

import pytest
import yaml

from krait.policy import yaml_source
from krait.policy.document import load
from krait.policy.problems import Problem
from tests.documents import policy
from tests.unit.policy.refusal import HERE, assert_refused_there, problems

SHORTER = "let rules name tags that many nodes have, and not one node each"
TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Unread(yaml.CSafeLoader):
    """Fails if anybody wants to know what is in it."""

    def get_event(self) -> NoReturn:
        raise AssertionError("parsed")


DIRECTIVES = {
    "of a version": f"{HERE}%YAML 1.1\n---\n{policy('{}')}",
    "behind a comment": f"# v\n{HERE}%TAG !a! a\n---\n{policy('{}')}",
    "in a document": f"nodes:\n{HERE}%TAG !a! a\n---\n{policy('{}')}",
    "with lines of DOS": f"---\r\n...\r\n{HERE}%TAG !a! a\r\n---\r\n{{}}",
}


@pytest.mark.parametrize("text", DIRECTIVES.values(), ids=DIRECTIVES)
def test_a_directive_is_refused_where_it_stands(text: str) -> None:
    assert_refused_there(text, "a directive of YAML")


def test_a_great_many_directives_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser compares each %TAG with all before it, in one call that holds Python's lock."""
    monkeypatch.setattr(yaml_source, "_PARSER", Unread)
    lines = "".join(f"%TAG !a{number}! a\n" for number in range(120_000))
    (problem,) = problems(f"{lines}--- a")
    assert problem == Problem(1, 1, "a directive of YAML", "leave the line out")


def test_more_values_than_the_bound_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six million of them would take ten seconds and half a GiB until the bound is met."""
    monkeypatch.setattr(yaml_source, "MAX_EVENTS", 10)
    monkeypatch.setattr(yaml_source, "_PARSER", Unread)
    (problem,) = problems("nodes: [a, b, c, d, e, f, g, h]")
    assert problem == Problem(1, 1, "more than 10 words, lists and mappings", SHORTER)


def test_the_parser_that_cannot_count_refuses_them_as_it_meets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yaml_source, "MAX_EVENTS", 10)
    monkeypatch.setattr(yaml_source, "_PARSER", yaml.SafeLoader)
    (problem,) = problems("nodes: [a,\nb, c, d, e, f, g, h]")
    assert problem == Problem(2, 16, "more than 10 words, lists and mappings", SHORTER)


def test_what_cannot_be_counted_is_told_of_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "MAX_EVENTS", 20)
    assert_refused_there(f"nodes: {{a: b{HERE}: [c, d, e, f]}}\n", "not valid YAML")


@pytest.mark.parametrize("sign", ["\r", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_what_ends_a_comment_for_the_reader_alone_is_refused(sign: str) -> None:
    """Editors and diffs show one comment, of which the parser reads a rule."""
    text = f"\n  rules:\n    # pings alone{HERE}{sign}    - {{from: web, to: db}}\n    []"
    assert_refused_there(policy(text), f"a control character, U+{ord(sign):04X}")
    (problem,) = problems(policy(text).replace(HERE, ""))
    assert problem.hint == (
        "take it out; a line ends here for YAML, though not where it is edited or reviewed"
    )


@pytest.mark.parametrize("sign", TURNS, ids=ascii)
def test_what_has_a_text_shown_in_another_order_is_refused(sign: str) -> None:
    text = f"\n  rules: []  # nothing{HERE}{sign} else"
    assert_refused_there(policy(text), f"a control character, U+{ord(sign):04X}")
    (problem,) = problems(policy(text).replace(HERE, ""))
    assert problem.hint == (
        "take it out; what is around it is shown in another order than it is read"
    )


@pytest.mark.parametrize("sign", ["\r\n", "\u200d", "\u061b", "ü", "שלום", "🐍"], ids=ascii)
def test_what_is_shown_as_it_is_read_may_stand_in_a_comment(sign: str) -> None:
    assert load(policy(f"{{}}  # a{sign}# b").encode(), "d").policy.rules == ()
