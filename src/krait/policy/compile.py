# SPDX-License-Identifier: Apache-2.0
"""From a document and a view to what the kernel is to know, without the shape of its tables.

`policy.image` gives the result its place in tables of a certain capacity.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from krait.common.abi import (
    FIRST_IDENTITY,
    MAX_LIST_LENGTH,
    MAX_RULES,
    PairClass,
    PairLayout,
    PrincipalFlag,
    SelfFlag,
    interval,
)
from krait.common.errors import UsageError
from krait.policy.identities import identities
from krait.policy.intervals import Direction, direction
from krait.policy.model import Document, Labels, Network, Policy, Selector
from krait.policy.numbering import Numbers, renumber
from krait.policy.view import HERE, Principal, View

PortList = tuple[int, ...]
"""Intervals as `common.abi.interval` packs them, sorted; () for none."""

MAX_TRIANGLE_IDENTITIES = 2048


class PolicyTooLarge(UsageError):
    """The policy cannot be represented; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both directions between two identities; [0]: the lower number opens, [1]: the higher."""

    verdict_class: PairClass
    rules: tuple[int, int]
    lists: tuple[PortList, PortList]


NOBODY = 0
"""The principal number of a prefix that nobody owns."""

MISSING_PAIR = Pair(PairClass.MISSING, (0, 0), ((), ()))


@dataclass(frozen=True, slots=True)
class Owner:
    """A principal in numbers."""

    identity: int
    peer: int
    flags: PrincipalFlag


@dataclass(frozen=True, slots=True)
class Compiled:
    """Everything that one node's kernel is to know under one policy."""

    numbers: Numbers
    flags: SelfFlag
    mesh: tuple[Network, ...]
    owners: tuple[Owner, ...]  # place i is principal number i + 1; the first is this node
    prefixes: dict[Network, int]  # to principal numbers; NOBODY hides shorter prefixes
    layout: PairLayout
    rows: dict[int, tuple[Pair, ...]]  # identity -> its pairs with the columns, in order
    """ROWS: each row has every identity as a column. TRIANGLE: those up to and with its own."""


def compile_policy(document: Document, view: View, known: Numbers | None = None) -> Compiled:
    """Compile a document as one node sees it.

    `known` are the numbers in the tables now. Raises PolicyTooLarge.
    """
    known = known or Numbers()
    policy = document.policy
    numbers = Numbers(
        identities=renumber(known.identities, identities(document)),
        rules=renumber(known.rules, (rule.name for rule in policy.rules)),
        peers=view.peers,
    )
    _refuse_too_many_rules(document)
    identity_of = {
        labels: FIRST_IDENTITY + i
        for i, labels in enumerate(numbers.identities)
        if labels is not None
    }
    principals = tuple(dict.fromkeys((view.node, *filter(None, view.owners.values()))))
    number_of = {who: i for i, who in enumerate(principals, start=1)}
    flags = SelfFlag.ARMED
    flags |= SelfFlag.TRANSIT if view.transit else SelfFlag(0)
    flags |= SelfFlag.STRICT if policy.strict else SelfFlag(0)
    return Compiled(
        numbers=numbers,
        flags=flags,
        mesh=view.mesh,
        owners=tuple(_owner(who, identity_of) for who in principals),
        prefixes={cidr: number_of[who] if who else NOBODY for cidr, who in view.owners.items()},
        layout=PairLayout.TRIANGLE if view.transit else PairLayout.ROWS,
        rows=_rows(policy, numbers, principals, transit=view.transit),
    )


def _owner(who: Principal, identity_of: dict[Labels, int]) -> Owner:
    flags = PrincipalFlag.UNKNOWN_PEER if who.unknown_peer else PrincipalFlag(0)
    return Owner(0 if who.labels is None else identity_of[who.labels], who.peer, flags)


def check_size(document: Document) -> None:
    """Raise PolicyTooLarge if a pair of identities has more ports than the kernel's list holds."""
    rules = document.policy.rules
    numbers = Numbers(identities(document), tuple(rule.name for rule in rules))
    _Pairing(document.policy, numbers).pack_all()


def _refuse_too_many_rules(document: Document) -> None:
    count = len(document.policy.rules)
    if count >= MAX_RULES:
        raise PolicyTooLarge(
            f"{document.source}: {count} rules, and the kernel counts {MAX_RULES - 1}",
            hint="let one rule list several tags or ports instead of writing one for each",
        )


def _rows(
    policy: Policy, numbers: Numbers, principals: Sequence[Principal], *, transit: bool
) -> dict[int, tuple[Pair, ...]]:
    pairing = _Pairing(policy, numbers)
    columns = range(len(numbers.identities))
    if transit:
        if len(columns) > MAX_TRIANGLE_IDENTITIES:
            raise PolicyTooLarge(
                f"a hub of {len(columns)} identities; its table holds {MAX_TRIANGLE_IDENTITIES}",
                hint="give nodes that are treated alike the same tags",
            )
        return {
            FIRST_IDENTITY + high: tuple(pairing.pair(low, high) for low in range(high + 1))
            for high in columns
        }
    here = {who.labels for who in principals if who.peer == HERE}
    return {
        FIRST_IDENTITY + row: tuple(
            pairing.pair(min(row, column), max(row, column)) for column in columns
        )
        for row, labels in enumerate(numbers.identities)
        if labels is not None and labels in here
    }


class _Pairing:
    """Works out pairs of columns. Those that the same rules concern are worked out once."""

    def __init__(self, policy: Policy, numbers: Numbers) -> None:
        self._policy = policy
        self._columns = numbers.identities
        self._sources, self._destinations = _concerned(policy, numbers.identities)
        places = {name: i for i, name in enumerate(numbers.rules, start=1) if name is not None}
        self._tables = (0, *(places[rule.name] for rule in policy.rules))
        # Sets of rules, as bits, are the keys; the caches go with the pairing.
        self._towards = cache(self._direction)
        self._packed = cache(self._pack)
        self._joined = cache(self._join)

    def pair(self, low: int, high: int) -> Pair:
        if self._columns[low] is None or self._columns[high] is None:
            return MISSING_PAIR
        up = self._sources[low] & self._destinations[high]
        down = self._sources[high] & self._destinations[low]
        return self._joined(up, down)

    def pack_all(self) -> None:
        """Pack the list of every direction there is."""
        sources, destinations = set(self._sources), set(self._destinations)
        for concerned in {rules & others for rules in sources for others in destinations}:
            self._packed(concerned)

    def _direction(self, concerned: int) -> Direction:
        rules = [self._policy.rules[i] for i in _bits(concerned)]
        return direction(rules, default_allow=self._policy.default_allow)

    def _pack(self, concerned: int) -> PortList:
        found = self._towards(concerned).intervals
        if len(found) > MAX_LIST_LENGTH:
            names = ", ".join(self._policy.rules[i].name for i in _bits(concerned)[:3])
            raise PolicyTooLarge(
                f"rules {names}, … make {len(found)} port intervals for one pair of identities; "
                f"the kernel's list holds {MAX_LIST_LENGTH}",
                hint="join ports to ranges, or spread the rules over more tags",
            )
        return tuple(
            interval(each.low, each.high, allow=each.allow, rule=self._tables[each.rule])
            for each in found
        )

    def _join(self, up: int, down: int) -> Pair:
        both = (self._towards(up), self._towards(down))
        uniform = tuple(each.uniform for each in both)
        rules = tuple(self._tables[each[1]] if each else 0 for each in uniform)
        if all(each is not None and each[0] for each in uniform):
            return Pair(PairClass.ALLOW_STATELESS, (rules[0], rules[1]), ((), ()))
        if all(each.opens_nothing for each in both):
            lists = tuple(
                () if each.uniform else self._packed(concerned)
                for each, concerned in zip(both, (up, down), strict=True)
            )
            return Pair(PairClass.DENY_BOTH, (rules[0], rules[1]), (lists[0], lists[1]))
        return Pair(
            PairClass.STATEFUL, (rules[0], rules[1]), (self._packed(up), self._packed(down))
        )


def _concerned(policy: Policy, columns: Sequence[Labels | None]) -> tuple[list[int], list[int]]:
    """For each identity, the rules that mean it as source, and as destination, as bit sets.

    Audit rules enforce nothing and are left out.
    """

    @cache
    def selected(selector: Selector) -> tuple[int, ...]:
        return tuple(
            i for i, labels in enumerate(columns) if labels is not None and selector.selects(labels)
        )

    def side(selectors: Iterable[Selector]) -> list[int]:
        sets = [bytearray(len(policy.rules) // 8 + 1) for _ in columns]
        for bit, selector in enumerate(selectors):
            for i in () if policy.rules[bit].audit else selected(selector):
                sets[i][bit >> 3] |= 1 << (bit & 7)
        return [int.from_bytes(each, "little") for each in sets]

    return (
        side(rule.sources for rule in policy.rules),
        side(rule.destinations for rule in policy.rules),
    )


def _bits(bit_set: int) -> list[int]:
    found = []
    while bit_set:
        lowest = bit_set & -bit_set
        found.append(lowest.bit_length() - 1)
        bit_set ^= lowest
    return found
