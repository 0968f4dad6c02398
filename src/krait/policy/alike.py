# SPDX-License-Identifier: Apache-2.0
"""Who is who in two documents: principals that had one identity and have one, told together.

A mesh has many nodes and few identities, and of those many are concerned by the same rules.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from krait.policy.model import Document, Labels
from krait.policy.owners import Owner, principals
from krait.policy.pairing import Concern

Concerned: TypeAlias = tuple[int, int]
"""The rules that concern somebody, as source and as destination: a bit for each."""


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes and tagged subnets that are treated alike before, and alike now."""

    before: Labels | None  # their identity; None: they had none, or were not there
    now: Labels | None
    members: tuple[str, ...]  # their names, in the order of the new document, then of the old
    home: tuple[str, ...] | None
    """The node by whose tunnel all are in the mesh; two where it was another one before, as of who
    gets a key or moves to another hub. None: they are on several.
    """
    sends: bool = True  # not so of multicast groups

    @property
    def is_moved(self) -> bool:
        """Whether it is another identity than it was, or one that came or went."""
        return self.before != self.now

    def holds(self, label: str) -> bool:
        """Whether all of it had the label, and has it."""
        return all(label in labels for labels in (self.before, self.now) if labels is not None)


class Alike(NamedTuple):
    """Groups that the same rules concern, before and now: what is said of one is said of all."""

    before: Concerned | None  # None: they have no identity
    now: Concerned | None
    is_moved: bool
    sends: bool
    groups: tuple[Group, ...]

    def meetings(self, other: "Alike") -> int:
        """How many pairs of groups, one of each, are not all on one node and have a sender."""
        if not (self.sends or other.sends):
            return 0
        here, there = (
            Counter(group.home for group in each.groups if group.home) for each in (self, other)
        )
        at_home = sum(count * there[home] for home, count in here.items())
        return len(self.groups) * len(other.groups) - at_home


def groups(before: Document, now: Document) -> tuple[Group, ...]:
    """Everybody of two documents; a node, or a subnet behind one, is itself while its name is."""
    were, are = ({owner.name: owner for owner in principals(each)} for each in (before, now))
    found: dict[tuple[tuple[Labels | None, Labels | None], bool], list[str]] = {}
    for name in are | were:
        was, it_is = were.get(name), are.get(name)
        owner = it_is or was
        if owner is not None:
            ends = was and was.identity, it_is and it_is.identity
            found.setdefault((ends, owner.sends), []).append(name)
    return tuple(
        Group(*ends, tuple(names), _only_home(names, (were, are)), sends)
        for (ends, sends), names in found.items()
    )


def alike(everyone: Sequence[Group], before: "Columns", now: "Columns") -> tuple[Alike, ...]:
    """Every group, put with those that the same rules concern in both documents."""
    found: dict[tuple[Concerned | None, Concerned | None, bool, bool], list[Group]] = {}
    for group in everyone:
        ends = before.concerned(group.before), now.concerned(group.now)
        key = *ends, group.is_moved, group.sends
        found.setdefault(key, []).append(group)
    return tuple(Alike(*key, tuple(some)) for key, some in found.items())


class Columns:
    """Which rules of one document concern which identity."""

    def __init__(self, document: Document, identities: Iterator[Labels | None]) -> None:
        labels = tuple(dict.fromkeys(each for each in identities if each is not None))
        self.concern = Concern(document.policy, labels)
        self._of: Mapping[Labels, Concerned] = dict(
            zip(
                labels,
                zip(self.concern.sources, self.concern.destinations, strict=True),
                strict=True,
            )
        )

    def concerned(self, identity: Labels | None) -> Concerned | None:
        """None for no identity."""
        return None if identity is None else self._of[identity]


def _only_home(
    names: Sequence[str], known: Sequence[Mapping[str, Owner]]
) -> tuple[str, ...] | None:
    homes = {
        tuple(dict.fromkeys(each[name].node for each in known if name in each)) for name in names
    }
    return homes.pop() if len(homes) == 1 else None
