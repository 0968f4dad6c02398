# SPDX-License-Identifier: Apache-2.0
"""What two identities may do to each other, packed as the kernel asks it.

Sets of rules are bit sets, and pairs that the same rules concern are worked out once: a mesh has
many pairs and few answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_

from krait.common.abi import MAX_LIST_LENGTH, MAX_RULES, PairClass, interval
from krait.common.errors import UsageError
from krait.policy.intervals import Direction, direction
from krait.policy.model import Labels, Policy, Rule, Selector

PortList = tuple[int, ...]
"""Intervals as `common.abi.interval` packs them, sorted; () for none."""


class PolicyTooLarge(UsageError):
    """The policy cannot be represented; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both directions between two identities; [0]: the lower number opens, [1]: the higher."""

    verdict_class: PairClass
    rules: tuple[int, int]
    lists: tuple[PortList, PortList]


def is_open_for_a_time(direction: Direction, policy: Policy) -> bool:
    """Whether something that is open there ends by itself. A default that allows opens it again."""
    return not policy.default.allows and any(
        each.allows and policy.rules[each.rule - 1].until is not None
        for each in direction.intervals
        if each.rule
    )


def class_of(both: tuple[Direction, Direction], policy: Policy) -> PairClass:
    """How packets between two identities are judged, from what each may open to the other."""
    if any(is_open_for_a_time(each, policy) for each in both):
        return PairClass.ENDING
    if all(each.uniform is not None and each.uniform[0] for each in both):
        return PairClass.ALLOW_STATELESS
    if all(each.opens_nothing for each in both):
        return PairClass.DENY_BOTH
    return PairClass.STATEFUL


MISSING_PAIR = Pair(PairClass.MISSING, (0, 0), ((), ()))


class Concern:
    """Which rules concern which identity, as source and as destination.

    Audit rules enforce nothing and are left out. A column is an identity's place; None is free.
    """

    def __init__(self, policy: Policy, columns: Sequence[Labels | None]) -> None:
        self.policy = policy
        self.columns = columns
        self._holders: dict[str, set[int]] = defaultdict(set)  # of each label
        for i, labels in enumerate(columns):
            for label in labels or ():
                self._holders[label].add(i)
        self._everyone = frozenset(i for i, labels in enumerate(columns) if labels is not None)
        self.sources = self._side(rule.sources for rule in policy.rules)
        self.destinations = self._side(rule.destinations for rule in policy.rules)

    def rules(self, rows: Iterable[int]) -> list[Rule]:
        """The rules that concern some pair of these columns with any other, as in the file.

        Raises PolicyTooLarge if one node cannot number them.
        """
        concerning = reduce(or_, (self.sources[i] | self.destinations[i] for i in rows), 0)
        if (count := concerning.bit_count()) >= MAX_RULES:
            raise PolicyTooLarge(
                f"{count:,} rules concern one node; the kernel numbers {MAX_RULES - 1:,}",
                hint="let one rule list several tags or ports instead of writing one for each",
            )
        return self.chosen(concerning)

    def chosen(self, bit_set: int) -> list[Rule]:
        """The rules whose bits are set, in order.

        By text: of a number of thousands of bits each operation takes all.
        """
        flags = f"{bit_set:b}"[::-1]
        found, at = [], flags.find("1")
        while at >= 0:
            found.append(self.policy.rules[at])
            at = flags.find("1", at + 1)
        return found

    def _side(self, selectors: Iterable[Selector]) -> list[int]:
        @cache
        def selected(selector: Selector) -> Set[int]:
            members = (
                self._everyone.intersection(*(self._holders.get(label, ()) for label in term))
                for term in selector.terms
            )
            return frozenset[int]().union(*members)

        sets = [bytearray(len(self.policy.rules) // 8 + 1) for _ in self.columns]
        for bit, selector in enumerate(selectors):
            for i in () if self.policy.rules[bit].audit else selected(selector):
                sets[i][bit >> 3] |= 1 << (bit & 7)
        return [int.from_bytes(each, "little") for each in sets]


class Pairing:
    """Works out pairs of columns."""

    def __init__(self, concern: Concern, numbers: Mapping[str, int]) -> None:
        """`numbers` are those of the rules, by name, in the kernel's tables."""
        self._concern = concern
        self._numbers = numbers
        # The keys are sets of rules; the caches go with the pairing.
        self._towards = cache(self._direction)
        self._packed = cache(self._pack)
        self._joined = cache(self._join)

    def pair(self, low: int, high: int) -> Pair:
        """Both directions between two columns; MISSING_PAIR if one stands for nobody."""
        concern = self._concern
        if concern.columns[low] is None or concern.columns[high] is None:
            return MISSING_PAIR
        up = concern.sources[low] & concern.destinations[high]
        down = concern.sources[high] & concern.destinations[low]
        return self._joined(up, down)

    def pack_all(self) -> None:
        """Pack the list of every direction that could be too long."""
        enforced = (rule for rule in self._concern.policy.rules if not rule.audit)
        # Each span adds an interval, and may split another in two.
        most = 2 * max((len(rule.ports) for rule in enforced), default=0)
        harmless = (MAX_LIST_LENGTH - 1) // most if most else MAX_RULES
        sources, destinations = set(self._concern.sources), set(self._concern.destinations)
        long = [rules for rules in sources if rules.bit_count() > harmless]
        for concerned in {rules & others for rules in long for others in destinations}:
            if concerned.bit_count() > harmless:
                self._packed(concerned)

    def _direction(self, concerned: int) -> Direction:
        return direction(self._rules(concerned), default=self._concern.policy.default)

    def _pack(self, concerned: int) -> PortList:
        found = self._towards(concerned).intervals
        if len(found) > MAX_LIST_LENGTH:
            names = ", ".join(rule.name for rule in self._rules(concerned)[:3])
            raise PolicyTooLarge(
                f"rules {names}, … make {len(found)} port intervals for one pair of identities; "
                f"the kernel's list holds {MAX_LIST_LENGTH}",
                hint="join ports to ranges, or spread the rules over more tags",
            )
        return tuple(
            interval(each.low, each.high, allow=each.allows, rule=self._number(each.rule))
            for each in found
        )

    def _join(self, up: int, down: int) -> Pair:
        both = (self._towards(up), self._towards(down))
        first, second = (self._number(each.uniform[1]) if each.uniform else 0 for each in both)
        verdict_class = class_of(both, self._concern.policy)
        lists: tuple[PortList, PortList] = ((), ())
        if verdict_class is PairClass.DENY_BOTH:
            lists = (
                () if both[0].uniform else self._packed(up),
                () if both[1].uniform else self._packed(down),
            )
        elif verdict_class is not PairClass.ALLOW_STATELESS:
            lists = self._packed(up), self._packed(down)
        return Pair(verdict_class, (first, second), lists)

    def _rules(self, concerned: int) -> list[Rule]:
        return self._concern.chosen(concerned)

    def _number(self, rule: int) -> int:
        """From a rule's number in the file to its number in the tables; 0 is the default."""
        return self._numbers[self._concern.policy.rules[rule - 1].name] if rule else 0
