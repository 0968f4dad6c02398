# SPDX-License-Identifier: Apache-2.0
"""From a document and a view to what the kernel is to know, without the shape of its tables.

`policy.image` gives the result its place in tables of a certain capacity.
"""

from collections.abc import Callable, Iterable, Sequence
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
    if len(numbers.rules) >= MAX_RULES:
        raise PolicyTooLarge(
            f"{document.source}: {len(policy.rules)} rules, and the kernel counts {MAX_RULES - 1}",
            hint="let one rule list several tags or ports instead of writing one for each",
        )
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


def _rows(
    policy: Policy, numbers: Numbers, principals: Sequence[Principal], *, transit: bool
) -> dict[int, tuple[Pair, ...]]:
    pair = _pairs(policy, numbers)
    columns = range(len(numbers.identities))
    if transit:
        if len(columns) > MAX_TRIANGLE_IDENTITIES:
            raise PolicyTooLarge(
                f"a hub of {len(columns)} identities; its table holds {MAX_TRIANGLE_IDENTITIES}",
                hint="give nodes that are treated alike the same tags",
            )
        return {
            FIRST_IDENTITY + high: tuple(pair(low, high) for low in range(high + 1))
            for high in columns
        }
    here = {who.labels for who in principals if who.peer == HERE}
    return {
        FIRST_IDENTITY + row: tuple(pair(min(row, column), max(row, column)) for column in columns)
        for row, labels in enumerate(numbers.identities)
        if labels is not None and labels in here
    }


def _pairs(policy: Policy, numbers: Numbers) -> Callable[[int, int], Pair]:
    """The pair of two columns. Pairs that the same rules concern are worked out once."""
    sources, destinations = _concerned(policy, numbers.identities)
    rule_numbers = {name: i for i, name in enumerate(numbers.rules, start=1) if name is not None}
    tables = (0, *(rule_numbers[rule.name] for rule in policy.rules))

    @cache
    def towards(concerned: int) -> Direction:
        rules = [policy.rules[i] for i in _bits(concerned)]
        return direction(rules, default_allow=policy.default_allow)

    @cache
    def packed(concerned: int) -> PortList:
        found = towards(concerned).intervals
        if len(found) > MAX_LIST_LENGTH:
            names = ", ".join(policy.rules[i].name for i in _bits(concerned)[:3])
            raise PolicyTooLarge(
                f"rules {names} … make {len(found)} port intervals for one pair of identities; "
                f"the kernel's list holds {MAX_LIST_LENGTH}",
                hint="join ports to ranges, or spread the rules over more tags",
            )
        return tuple(
            interval(each.low, each.high, allow=each.allow, rule=tables[each.rule])
            for each in found
        )

    @cache
    def joined(up: int, down: int) -> Pair:
        both = (towards(up), towards(down))
        uniform = tuple(each.uniform for each in both)
        rules = tuple(tables[each[1]] if each else 0 for each in uniform)
        if all(each is not None and each[0] for each in uniform):
            return Pair(PairClass.ALLOW_STATELESS, (rules[0], rules[1]), ((), ()))
        if all(each.opens_nothing for each in both):
            lists = tuple(
                () if each.uniform else packed(concerned)
                for each, concerned in zip(both, (up, down), strict=True)
            )
            return Pair(PairClass.DENY_BOTH, (rules[0], rules[1]), (lists[0], lists[1]))
        return Pair(PairClass.STATEFUL, (rules[0], rules[1]), (packed(up), packed(down)))

    def pair(low: int, high: int) -> Pair:
        if numbers.identities[low] is None or numbers.identities[high] is None:
            return MISSING_PAIR
        return joined(sources[low] & destinations[high], sources[high] & destinations[low])

    return pair


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
