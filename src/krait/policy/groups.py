# SPDX-License-Identifier: Apache-2.0
"""`groups: {web: [tcp/80, tcp/443]}`, and `@web` where rules and tests say ports.

A group is short for its ports: whoever names it has its spans, and nothing behind the reader knows
that they had a name.
"""

from collections.abc import Iterable
from dataclasses import replace

from krait.common.errors import UsageError
from krait.policy import ports, values
from krait.policy.model import Mark, PortGroup, PortSpan
from krait.policy.problems import quoted, suggestion
from krait.policy.reader import Reader
from krait.policy.yaml_source import Mapping, Scalar, Tree

SIGN = "@"
"""Before the name of a group, where it is used."""


class Groups:
    """The groups of one policy, and which of them are used."""

    def __init__(self, known: Iterable[PortGroup] = ()) -> None:
        self._known = {f"{SIGN}{group.name}": group for group in known}
        self._used: set[str] = set()

    def parse(self, text: str) -> tuple[PortSpan, ...]:
        """The spans of `@web`, or of what `ports.parse` knows; none of a group that is wrong.

        Raises UsageError, whose hint says what is expected.
        """
        if not text.startswith(SIGN):
            return ports.parse(text)
        group = self._known.get(text)
        if group is None:
            near = suggestion(text, self._known)
            hint = near or "the policy has it under `groups`, or writes the ports out"
            raise UsageError(f"unknown group {quoted(text)}", hint=hint)
        self._used.add(group.name)
        return group.ports

    def found(self) -> tuple[PortGroup, ...]:
        """All of them in the order of the file, once rules and tests were read."""
        return tuple(replace(each, used=each.name in self._used) for each in self._known.values())


def read_groups(tree: Tree | None, reader: Reader) -> Groups:
    """The groups of a policy; those in which a problem was noted have no ports."""
    if tree is None:
        return Groups()
    if not isinstance(tree, Mapping):
        reader.problems.add(
            tree, "groups: expected a mapping of names to ports", "as in {web: [tcp/80, tcp/443]}"
        )
        return Groups()
    return Groups(_group(key, tree.values[name], reader) for name, key in tree.keys.items())


def _group(key: Scalar, tree: Tree, reader: Reader) -> PortGroup:
    reader.value(key, "group", _name)
    what = f"group {quoted(key.text)}"
    items = reader.one_or_more(tree, what)
    if not items:
        reader.problems.add(tree, f"{what}: expected at least one port")
    read = reader.values(tree, what, _member)
    spans = tuple(dict.fromkeys(span for _, spans in read for span in spans))
    whole = spans if len(read) == len(items) else ()
    return PortGroup(key.text, whole, used=False, mark=Mark(key.line, key.column))


def _name(text: str) -> str:
    if text.startswith(SIGN):
        bare = text.removeprefix(SIGN)
        raise UsageError(
            f"{quoted(text)} is not a name",
            hint=f"the {SIGN} stands only where a group is used: write `{bare}`",
        )
    return values.name(text)


def _member(text: str) -> tuple[PortSpan, ...]:
    if text.startswith(SIGN):
        raise UsageError(
            f"{quoted(text)} inside a group", hint="a group names no groups: write its ports out"
        )
    return ports.parse(text)
