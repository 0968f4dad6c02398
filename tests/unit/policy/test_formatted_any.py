# SPDX-License-Identifier: Apache-2.0
"""Of any document: it stays the same, and each comment with what it is about."""

import re
from collections.abc import Iterator

from hypothesis import given, settings

from krait.policy import commented
from krait.policy.commented import Entry, Listing
from krait.policy.document import load
from krait.policy.formatted import WIDTH, formatted
from krait.policy.places import unplaced
from tests.strategies.commented import examples, texts

_OURS = re.compile("# [0-9]+")


def fmt(text: str) -> str:
    new = formatted(text.encode(), "krait.yaml").decode()
    assert formatted(new.encode(), "krait.yaml").decode() == new
    return new


def places(text: str) -> dict[str, str]:
    """For each comment the rule, node or key that it is about, as a path."""
    found: dict[str, str] = {}

    def walk(listing: Listing, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for number, entry in enumerate(listing.entries):
            here = (*path, entry.key.text if entry.key else str(number))
            # a dash shares its line with the first key of what it begins
            about = path if path and path[-1].isdigit() and listing.is_mapping else here
            for comment in _about(entry):
                yield comment, "/".join(about)
            if isinstance(entry.value, Listing):
                yield from walk(entry.value, here)
        for comment in filter(None, listing.tail):
            yield comment, "/".join(path)

    read = commented.read(text)
    for comment, path in walk(read.root, ()):
        if _OURS.fullmatch(comment):
            assert comment not in found
            found[comment] = path
    return found


def _about(entry: Entry) -> list[str]:
    return [*filter(None, entry.above), *(each.text for each in entry.beside)]


def title(text: str) -> set[str]:
    """Comments above the first section: of it, or of all of the document."""
    return set(commented.read(text).root.entries[0].above)


@settings(max_examples=150, deadline=None)
@given(texts() | examples())
def test_any_document_stays_the_same_and_each_comment_with_what_it_is_about(text: str) -> None:
    new = fmt(text)
    old = unplaced(load(text.encode(), "krait.yaml"))
    assert unplaced(load(new.encode(), "krait.yaml")) == old
    before, after = places(text), places(new)
    assert before.keys() == after.keys()
    apart = title(text)
    assert {c: p for c, p in before.items() if c not in apart} == {
        c: p for c, p in after.items() if c not in apart
    }


@given(texts())
def test_what_is_formatted_has_no_long_lines_and_nothing_at_their_ends(text: str) -> None:
    for line in fmt(text).splitlines():
        assert line == line.rstrip()
        code = line.partition("#")[0].rstrip()
        assert len(code) <= WIDTH or "[" not in code
