# SPDX-License-Identifier: Apache-2.0
"""From YAML trees to values: each field says what it expects, and what is wrong is noted.

A reader never raises for a wrong value: it notes the problem, returns None or leaves the entry
out, and the document is refused once everything was read.
"""

from collections.abc import Callable
from collections.abc import Mapping as Words
from types import MappingProxyType
from typing import TypeVar

from krait.common.errors import UsageError
from krait.policy.problems import Problems, quoted, suggestion
from krait.policy.yaml_source import Mapping, Scalar, Sequence, Tree

T = TypeVar("T")
Word = TypeVar("Word", bound=str)

NO_SLIPS: Words[str, str] = MappingProxyType({})
_NOTHING = frozenset({"", "~", "null"})


class Reader:
    """Reads the fields of one document, noting problems as it goes."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def mapping(
        self,
        tree: Tree,
        what: str,
        known: frozenset[str],
        required: tuple[str, ...] = (),
        *,
        slips: Words[str, str] = NO_SLIPS,
    ) -> dict[str, Tree] | None:
        """The values of a mapping by key: those it may have are `known`.

        `slips` are keys of other tools, and what each is called here.
        """
        if not isinstance(tree, Mapping):
            self._expected("a mapping", what, tree)
            return None
        if not tree.keys.keys() <= known:
            for key in tree.keys.values():
                if key.text not in known:
                    meant = slips.get(key.text)
                    near = f"did you mean {quoted(meant)}?" if meant else ""
                    near = near or suggestion(key.text, known)
                    near = near or f"known are {', '.join(sorted(known))}"
                    self.problems.add(key, f"unknown key {quoted(key.text)} in {what}", near)
        written = {slips.get(key, key) for key in tree.keys}
        if missing := [f"`{name}`" for name in required if name not in written]:
            self.problems.add(tree, f"{what} lacks {' and '.join(missing)}")
        return tree.values

    def items(self, tree: Tree, what: str) -> list[Tree]:
        """The items of a list."""
        if isinstance(tree, Sequence):
            return tree.items
        hint = "write [] for none" if is_nothing(tree) else ""
        self._expected("a list", what, tree, hint)
        return []

    def one_or_more(self, tree: Tree | None, what: str) -> list[Tree]:
        """The items of a list, or the one value that stands without a list."""
        if tree is None:
            return []
        if isinstance(tree, Sequence):
            return tree.items
        if is_nothing(tree):
            self._expected("a value or a list", what, tree)
            return []
        return [tree]

    def value(self, tree: Tree | None, what: str, parse: Callable[[str], T]) -> T | None:
        """What `parse` makes of a scalar; its UsageError becomes a problem of this place."""
        if tree is None:
            return None
        if not isinstance(tree, Scalar) or is_nothing(tree):
            self._expected("one value", what, tree)
            return None
        try:
            return parse(tree.text)
        except UsageError as error:
            self.problems.add(tree, f"{what}: {error.message}", error.hint)
            return None

    def values(
        self, tree: Tree | None, what: str, parse: Callable[[str], T]
    ) -> list[tuple[Scalar, T]]:
        """A scalar or a list of them: those that could be read, each with its place."""
        read = [(each, self.value(each, what, parse)) for each in self.one_or_more(tree, what)]
        return [(at, value) for at, value in read if isinstance(at, Scalar) and value is not None]

    def flag(self, tree: Tree | None, what: str) -> bool:
        """true or false; false where the key is missing."""
        if tree is None:
            return False
        if isinstance(tree, Scalar) and tree.plain and tree.text in {"true", "false"}:
            return tree.text == "true"
        self._expected("true or false", what, tree)
        return False

    def choice(self, tree: Tree | None, what: str, choices: tuple[Word, ...]) -> Word:
        """One of a few words; the first where the key is missing."""
        if tree is None:
            return choices[0]
        if isinstance(tree, Scalar) and tree.text in choices:
            return choices[choices.index(tree.text)]
        near = suggestion(tree.text, choices) if isinstance(tree, Scalar) else ""
        self._expected(" or ".join(choices), what, tree, near)
        return choices[0]

    def _expected(self, expected: str, what: str, tree: Tree, hint: str = "") -> None:
        self.problems.add(tree, f"{what}: expected {expected}, found {_kind(tree)}", hint)


def is_nothing(tree: Tree) -> bool:
    """Whether a value was left out, or is YAML's word for that."""
    return isinstance(tree, Scalar) and tree.plain and tree.text in _NOTHING


def _kind(tree: Tree) -> str:
    if isinstance(tree, Sequence):
        return "a list"
    if isinstance(tree, Mapping):
        return "a mapping"
    return "nothing" if is_nothing(tree) else quoted(tree.text)
