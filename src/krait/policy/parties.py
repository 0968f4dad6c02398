# SPDX-License-Identifier: Apache-2.0
"""Sets of principals in as few names as say who they are: tags where they can, nodes where not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Self

from krait.policy.alike import Group
from krait.policy.identities import in_words
from krait.policy.model import Labels, Rule

EVERYONE = "*"
_MEMBERS = 3


class Parties:
    """Names for sets of groups; `everyone` are all that there are."""

    def __init__(self, everyone: Sequence[Group]) -> None:
        self._everyone = frozenset(everyone)

    @cached_property
    def senders(self) -> Self:
        """The same for sets of those that a packet can be from."""
        return type(self)([group for group in self._everyone if group.sends])

    def names(self, some: Iterable[Group], known_to: Iterable[Rule] = ()) -> tuple[str, ...]:
        """Each name means groups of the set and no others; together they mean all of it.

        Of tags that mean the same, one that a rule of `known_to` names is taken.
        """
        left = frozenset(some)
        if left == self._everyone and len(left) > 1:
            return (EVERYONE,)
        said = frozenset(name for rule in known_to for name in _names_of(rule))
        found = []
        for label, holders in self._by_strength(left, said):
            if holders & left:
                found.append(label)
                left -= holders
        found += [name for group in some if group in left for name in name_of(group)]
        return tuple(found)

    def _by_strength(
        self, some: frozenset[Group], said: Labels
    ) -> Iterator[tuple[str, frozenset[Group]]]:
        """Tags that nobody outside of the set has: the widest first."""
        inside = {label: self._holders[label] for group in some for label in _labels(group)}
        fitting = [
            (label, holders)
            for label, holders in inside.items()
            if holders <= some and all(group.holds(label) for group in holders)
        ]
        yield from sorted(fitting, key=lambda each: (-len(each[1]), each[0] not in said, each[0]))

    @cached_property
    def _holders(self) -> Mapping[str, frozenset[Group]]:
        """Who has a label, before or now."""
        found: dict[str, set[Group]] = {}
        for group in self._everyone:
            for label in _labels(group):
                found.setdefault(label, set()).add(group)
        return {label: frozenset(some) for label, some in found.items()}


def name_of(group: Group) -> Iterator[str]:
    """An identity by its tags; who has another than before, by name."""
    if group.now and not group.is_moved:
        yield in_words(group.now)
        return
    yield from group.members[:_MEMBERS]
    if (more := len(group.members) - _MEMBERS) > 0:
        yield f"{more:,} like {group.members[0]}"


def _labels(group: Group) -> Labels:
    return (group.before or frozenset()) | (group.now or frozenset())


def _names_of(rule: Rule) -> Iterator[str]:
    for selector in (rule.sources, rule.destinations):
        for term in selector.terms:
            yield from term
