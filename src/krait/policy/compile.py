# SPDX-License-Identifier: Apache-2.0
"""From a document and a view to what the kernel is to know, without the shape of its tables.

`policy.image` gives the result its place in tables of a certain capacity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from krait.common.abi import FIRST_IDENTITY, PairLayout, PrincipalFlag, SelfFlag
from krait.policy.beside import UNKNOWN
from krait.policy.identities import identities
from krait.policy.model import Document, Labels, Limits, Network, Policy
from krait.policy.numbering import Numbers, renumber
from krait.policy.pairing import Concern, Pair, Pairing, PolicyTooLarge
from krait.policy.shadow import shadow_of
from krait.policy.view import HERE, Principal, View

MAX_TRIANGLE_IDENTITIES = 2048
"""A hub's table has an entry for every pair: 64 MiB for both slots."""

NOBODY = 0
"""The principal number of a prefix that nobody owns."""


class NumberedPrincipal(NamedTuple):
    """A principal as the tables know it."""

    identity: int
    peer: int
    flags: PrincipalFlag


class Span(NamedTuple):
    """A prefix by its numbers, and the number of its principal; NOBODY hides shorter prefixes."""

    length: int
    low: int
    size: int
    principal: int
    cidr: Network


@dataclass(frozen=True, slots=True)
class Compiled:
    """Everything that one node's kernel is to know under one policy."""

    numbers: Numbers
    flags: SelfFlag
    limits: Limits
    mesh: tuple[Network, ...]
    principals: tuple[NumberedPrincipal, ...]  # place i is number i + 1; the first is this node
    spans: dict[int, tuple[Span, ...]]  # by IP version
    layout: PairLayout
    rows: dict[int, tuple[Pair, ...]]  # identity -> its pairs with the columns, in order
    """ROWS: each row has every identity as a column. TRIANGLE: those up to and with its own."""
    ends: tuple[int, ...] = ()
    """When each rule ends, by its place among `numbers.rules`; 0: never. Empty: none does."""
    rejecting: tuple[bool, ...] = ()
    """Whether a denial is told, by rule number: of the default first. Empty: none is."""
    clock_ns: int = 0
    """The wall clock at boot, by which the kernel knows the end of a rule."""
    shadow: dict[int, tuple[Pair, ...]] = field(default_factory=dict)
    """The same pairs under the shadow; empty where there is none."""

    def principal_of(self, cidr: Network) -> int | None:
        """The number of a prefix's owner; None if it is not one of those that have one."""
        return next((s.principal for s in self.spans[cidr.version] if s.cidr == cidr), None)


def compile_policy(
    document: Document,
    view: View,
    known: Numbers | None = None,
    shadow: Policy | None = None,
    *,
    rehearse: bool = True,
) -> Compiled:
    """Compile a document as one node sees it.

    `known` are the numbers in the tables now. Only rules that concern this node get numbers.
    `shadow` is in the labels of the document (policy.beside); its own, if it has audit rules, where
    none is given; without `rehearse` there is none at all. Raises PolicyTooLarge.
    """
    known = known or Numbers()
    columns = _columns(known.identities, identities(document), is_hub=view.transit)
    principals, spans = _placed(view)
    concern = Concern(document.policy, columns)
    rows = _all_rows(columns) if view.transit else _rows_here(columns, principals)
    shadow = (shadow or shadow_of(document.policy)) if rehearse else None
    shadow_concern = Concern(shadow, _known_to_the_shadow(columns)) if shadow else None
    numbers = Numbers(
        columns,
        _numbered_rules(known.rules, concern, rows),
        view.peers,
        _numbered_rules(known.shadow_rules, shadow_concern, rows) if shadow_concern else (),
    )
    rejecting = _rejecting(document.policy, numbers.rules)
    return Compiled(
        numbers=numbers,
        flags=_flags(document.policy, transit=view.transit, rejects=any(rejecting)),
        limits=document.policy.limits,
        mesh=view.mesh,
        principals=_numbered(principals, columns),
        spans=spans,
        layout=PairLayout.TRIANGLE if view.transit else PairLayout.ROWS,
        rows=_rows(Pairing(concern, _places(numbers.rules)), rows, columns, view),
        ends=_ends(document.policy, numbers.rules),
        rejecting=rejecting,
        shadow=_rows(Pairing(shadow_concern, _places(numbers.shadow_rules)), rows, columns, view)
        if shadow_concern
        else {},
    )


def check_size(document: Document) -> None:
    """Raise PolicyTooLarge if some node of the mesh could not compile the document."""
    columns = identities(document)
    places = {rule.name: rule.number for rule in document.policy.rules}
    for policy in filter(None, (document.policy, shadow_of(document.policy))):
        concern = Concern(policy, columns)
        if any(node.transit for node in document.nodes):
            concern.rules(_all_rows(columns))
        for row in range(len(columns)):
            concern.rules((row,))
        Pairing(concern, places).pack_all()


def _known_to_the_shadow(columns: Sequence[Labels | None]) -> tuple[Labels | None, ...]:
    return tuple(
        None if labels is None or not UNKNOWN.isdisjoint(labels) else labels for labels in columns
    )


def _numbered_rules(
    known: Sequence[str | None], concern: Concern, rows: Sequence[int]
) -> tuple[str | None, ...]:
    return renumber(known, (rule.name for rule in concern.rules(rows)))


def _ends(policy: Policy, numbered: Sequence[str | None]) -> tuple[int, ...]:
    until = {rule.name: rule.until for rule in policy.rules if rule.until is not None}
    if not until or policy.default.allows:  # which opens what an allow does not
        return ()
    return tuple(until.get(name or "", 0) for name in numbered)


def _rejecting(policy: Policy, numbered: Sequence[str | None]) -> tuple[bool, ...]:
    told = {rule.name for rule in policy.rules if policy.rejects(rule)}
    if not told and not policy.rejects(None):
        return ()
    return (policy.rejects(None), *(name in told for name in numbered))


def _places(rules: Sequence[str | None]) -> dict[str, int]:
    return {name: i for i, name in enumerate(rules, start=1) if name is not None}


def _rows(
    pairing: Pairing, rows: Sequence[int], columns: Sequence[Labels | None], view: View
) -> dict[int, tuple[Pair, ...]]:
    return {
        FIRST_IDENTITY + row: tuple(
            pairing.pair(min(row, column), max(row, column))
            for column in (range(row + 1) if view.transit else range(len(columns)))
        )
        for row in rows
    }


def _columns(
    known: Sequence[Labels | None], wanted: Sequence[Labels], *, is_hub: bool
) -> tuple[Labels | None, ...]:
    """Identities keep their places while not too many of those are empty.

    Nothing but the two tables of one slot goes by an identity's number, so they may all move.
    """
    places = renumber(known, wanted)
    most = 2 * max(len(wanted), 16)
    if is_hub:
        most = min(most, MAX_TRIANGLE_IDENTITIES)
    return places if len(places) <= most else tuple(wanted)


def _all_rows(columns: Sequence[Labels | None]) -> Sequence[int]:
    """A hub relays between any two. Raises PolicyTooLarge."""
    if len(columns) > MAX_TRIANGLE_IDENTITIES:
        raise PolicyTooLarge(
            f"a hub of {len(columns):,} identities; its table holds {MAX_TRIANGLE_IDENTITIES:,}",
            hint="give nodes that are treated alike the same tags",
        )
    return range(len(columns))


def _rows_here(columns: Sequence[Labels | None], principals: Sequence[Principal]) -> Sequence[int]:
    """What this node stands for: its own identity, and those of subnets behind it."""
    here = {who.labels for who in principals if who.peer == HERE and who.labels is not None}
    return [row for row, labels in enumerate(columns) if labels in here]


def _placed(view: View) -> tuple[tuple[Principal, ...], dict[int, tuple[Span, ...]]]:
    """The principals, whose places are their numbers less one, and what each owns."""
    number_of = {view.node: 1}
    spans: dict[int, list[Span]] = {4: [], 6: []}
    for cidr, who in view.owners.items():
        number = number_of.setdefault(who, len(number_of) + 1) if who else NOBODY
        length = cidr.prefixlen
        size = 1 << cidr.max_prefixlen - length
        spans[cidr.version].append(Span(length, int(cidr.network_address), size, number, cidr))
    return tuple(number_of), {version: tuple(some) for version, some in spans.items()}


def _flags(policy: Policy, *, transit: bool, rejects: bool) -> SelfFlag:
    flags = SelfFlag.ARMED
    flags |= SelfFlag.TRANSIT if transit else SelfFlag(0)
    flags |= SelfFlag.STRICT if policy.strict else SelfFlag(0)
    flags |= SelfFlag.REJECTS if rejects else SelfFlag(0)
    flags |= SelfFlag.REJECT_INGRESS if policy.reject_ingress else SelfFlag(0)
    return flags


def _numbered(
    principals: Sequence[Principal], columns: Sequence[Labels | None]
) -> tuple[NumberedPrincipal, ...]:
    identity_of = {labels: FIRST_IDENTITY + i for i, labels in enumerate(columns)}
    identity_of[None] = 0
    unknown, group, plain = PrincipalFlag.UNKNOWN_PEER, PrincipalFlag.GROUP, PrincipalFlag(0)
    return tuple(
        NumberedPrincipal(
            identity_of[who.labels],
            who.peer,
            unknown if who.unknown_peer else group if who.group else plain,
        )
        for who in principals
    )
