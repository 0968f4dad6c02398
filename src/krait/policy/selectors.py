# SPDX-License-Identifier: Apache-2.0
"""`web`, `db1`, `"*"`, `{all: [web, prod]}`, or a list of them: the two sides of a rule."""

from dataclasses import dataclass

from krait.common.errors import UsageError
from krait.policy.model import Labels, Selector
from krait.policy.problems import quoted, suggestion
from krait.policy.reader import Reader
from krait.policy.values import RESERVED_NAMES
from krait.policy.yaml_source import Mapping, Scalar, Sequence, Tree

EVERYONE = "*"

ANY = "any"
"""No key: a list means that."""

SELECTOR_KEYS = frozenset({"all"})
_EMPTY = "expected at least one tag or node, found none"


@dataclass(frozen=True, slots=True)
class Names:
    """What a selector may name: nodes, multicast groups, and the tags that any of them or a route
    has.
    """

    nodes: Labels
    tags: Labels
    groups: Labels = frozenset()

    def __contains__(self, name: str) -> bool:
        return name in self.tags or name in self.nodes or name in self.groups

    def node(self, text: str) -> str:
        """The name of a node of the document. Raises UsageError with the nearest one."""
        if text not in self.nodes:
            raise UsageError(f"unknown node {quoted(text)}", hint=suggestion(text, self.nodes))
        return text


class Selectors:
    """Reads selectors. Those that repeat, as most do, are read once and shared."""

    def __init__(self, reader: Reader, names: Names) -> None:
        self._reader = reader
        self._names = names
        self._known: dict[tuple[str, ...], Selector] = {}

    def read(self, tree: Tree | None, what: str) -> Selector | None:
        """The selector, or None where the problem was noted."""
        if tree is None:
            return None
        items = tree.items if isinstance(tree, Sequence) else [tree]
        words = tuple(item.text for item in items if isinstance(item, Scalar))
        simple = len(words) == len(items)
        if simple and (known := self._known.get(words)):
            return known
        if not items:
            self._reader.problems.add(tree, f"{what}: {_EMPTY}", f'write "{EVERYONE}" for everyone')
        terms = [term for item in items if (term := self._term(item, what)) is not None]
        if not terms or len(terms) < len(items):
            return None
        texts = [_text(item) for item in items]
        selector = Selector(tuple(terms), texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        if simple:
            self._known[words] = selector
        return selector

    def _term(self, tree: Tree, what: str) -> Labels | None:
        if isinstance(tree, Scalar) and tree.text == EVERYONE:
            return frozenset()
        if not isinstance(tree, Mapping):
            name = self._reader.value(tree, what, str)
            known = name is not None and self._check(tree, what, name)
            return frozenset({name}) if known and name is not None else None
        if ANY in tree.keys:
            self._reader.problems.add(
                tree.keys[ANY],
                f"unknown key {quoted(ANY)} in {what}",
                "a list means any of them: [web, db]",
            )
            return None
        values = self._reader.mapping(tree, what, SELECTOR_KEYS, ("all",))
        members = values.get("all") if values else None
        if members is None:
            return None
        names = self._reader.values(members, what, str)
        if isinstance(members, Sequence) and not members.items:
            self._reader.problems.add(members, f"{what}: {_EMPTY}")
        checked = [self._check(at, what, name) for at, name in names]
        written = len(members.items) if isinstance(members, Sequence) else 1
        is_whole = len(names) == written > 0
        return frozenset(name for _, name in names) if is_whole and all(checked) else None

    def _check(self, at: Tree, what: str, name: str) -> bool:
        """Whether the document has the name; if not, the problem is noted."""
        if name in self._names:
            return True
        problem, hint = _explain(name, self._names)
        self._reader.problems.add(at, f"{what}: {problem}", hint)
        return False


def _explain(name: str, names: Names) -> tuple[str, str]:
    shown = quoted(name)
    if not name:
        return _EMPTY, f'write "{EVERYONE}" for everyone'
    if name == EVERYONE:
        return f"{shown} inside `all`", f'everyone is `"{EVERYONE}"` alone'
    if name in RESERVED_NAMES:
        return f"{shown} is a reserved word", f'everyone is `"{EVERYONE}"`'
    if name.startswith("@"):
        return f"{shown} is a group of ports; selectors name tags and nodes", "name it in `ports`"
    if "/" in name or ":" in name or name.replace(".", "").isdigit():
        return (
            f"{shown} is an address; selectors name tags and nodes",
            "list the subnet under `routes` of its node, with tags, and name a tag here",
        )
    return f"unknown tag or node {shown}", suggestion(name, names.tags, names.nodes, names.groups)


def _text(tree: Tree) -> str:
    """As the document wrote it; only called for a selector that was read without a problem."""
    if isinstance(tree, Scalar):
        return tree.text
    if isinstance(tree, Sequence):
        return f"[{', '.join(_text(item) for item in tree.items)}]"
    return f"{{all: {_text(tree.values['all'])}}}"
