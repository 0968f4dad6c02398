# SPDX-License-Identifier: Apache-2.0
"""What should be in force: a document, as one interface sees it, in numbers.

Pure: what was observed is an argument.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from math import inf
from typing import NamedTuple

from krait.policy import lifetime
from krait.policy.beside import beside
from krait.policy.capacity import Capacity
from krait.policy.compile import Compiled, compile_policy
from krait.policy.guard import Guard, guard_of
from krait.policy.image import need
from krait.policy.model import Document, Network
from krait.policy.numbering import Numbers
from krait.policy.prefixes import Prefixes
from krait.policy.retagged import retagged
from krait.policy.view import HERE, Interface, View, resolve, withhold


@dataclass(frozen=True, slots=True)
class Source:
    """A document and where it came from."""

    document: Document = field(compare=False)  # the hash says it in less
    path: str
    sha256: str
    data: bytes = field(default=b"", repr=False, compare=False)  # as it was read
    warnings: tuple[str, ...] = ()


class Named(NamedTuple):
    """A peer that the document names. A tuple: there are many."""

    name: str
    tags: tuple[str, ...]


class Clock(NamedTuple):
    """The wall clock, since 1970: now, and what it showed when the machine was booted."""

    now_s: float
    boot_ns: int  # by how much it is ahead of CLOCK_BOOTTIME, which is the kernel programs' clock


NO_CLOCK = Clock(-inf, 0)
"""By which no rule has ended."""


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that a commit puts in force or writes down. Equal ones need no commit."""

    source: Source
    compiled: Compiled
    need: Capacity
    peers: Mapping[bytes, Named]
    withheld: frozenset[Network]
    warnings: tuple[str, ...]
    guard: Guard | None = field(repr=False)
    interface: Interface = field(repr=False, compare=False)
    view: View = field(repr=False, compare=False)  # with nothing withheld
    document: Document = field(repr=False, compare=False)  # with the labels of the shadow's
    shadow: Source | None = None
    """Whose policy is rehearsed; None also where it is the document's own audit rules."""


def desire(
    source: Source,
    interface: Interface,
    known: Numbers,
    withheld: Set[Network] = frozenset(),
    *,
    before: "Desired | None" = None,
    shadow: Source | None = None,
    clock: Clock = NO_CLOCK,
    rehearse: bool = True,
    room: bool = False,
) -> Desired:
    """Compile a document for an interface; who has a number in `known` keeps it.

    `withheld` prefixes, and what the document places inside them, are nobody's for now. `before` is
    another answer, which saves time where it is near; this one does not depend on it. The policy of
    `shadow`, or the document's own audit rules, are rehearsed, unless it is not to `rehearse`.
    Where nothing is, `room` may be left for the shadow's rules that are known. Rules
    that have ended by the `clock` are left out. Raises UsageError if the document does not name
    this node or cannot be represented, with the shadow or without.
    """
    document, tried = lifetime.at(source.document, clock.now_s), None
    shadow_warnings: tuple[str, ...] = ()
    if shadow is not None and rehearse:
        both = beside(document, shadow.document)
        document, tried = both.document, both.shadow
        told = (f"{shadow.path}: {each}" for each in both.warnings)
        shadow_warnings = (*shadow.warnings, *told)
    view = None
    if before and before.interface is interface and before.view.peers == known.peers:
        view = retagged(before.view, before.document, document)
    if view is None:
        view = resolve(document, interface, known.peers)
    whole = view
    if withheld:
        view = withhold(view, _withheld(view, interface, withheld))
    compiled = compile_policy(document, view, known, tried, rehearse=rehearse)
    compiled, size = replace(compiled, clock_ns=clock.boot_ns), need(compiled)
    if room and not compiled.shadow:
        numbers = replace(compiled.numbers, shadow_rules=known.shadow_rules)
        compiled = replace(compiled, numbers=numbers)
        size = replace(size, shadow_rules=len(known.shadow_rules) + 1)
    nodes = {node.public_key: node for node in source.document.nodes if node.public_key}
    in_order = cache(lambda tags: tuple(sorted(tags)))  # most nodes share theirs
    return Desired(
        source=source,
        compiled=compiled,
        need=size,
        peers={
            peer.public_key: Named(node.name, in_order(node.tags))
            for peer in interface.peers
            if (node := nodes.get(peer.public_key))
        },
        withheld=frozenset(withheld),
        warnings=(*source.warnings, *view.warnings, *shadow_warnings),
        guard=guard_of(source.document, interface, whole),
        interface=interface,
        view=whole,
        document=document,
        shadow=shadow if rehearse else None,
    )


def moved(before: Interface, now: Interface) -> frozenset[Network]:
    """The prefixes that belonged to one peer and belong to another.

    Until a look told, packets of the new owner wore the old one's identity; that the old owner's
    do not now wear the new one's is only sure once WireGuard's queues have emptied.
    """
    were, are = _differing(before, now), _differing(now, before)
    changed = {
        cidr
        for key in were.keys() | are.keys()
        for cidr in set(were.get(key, ())).symmetric_difference(are.get(key, ()))
    }
    if not changed:
        return frozenset()
    new = {cidr: peer.public_key for peer in now.peers for cidr in peer.allowed_ips}
    old = dict(new)
    for cidr in chain.from_iterable(are.values()):
        old.pop(cidr, None)
    old |= {cidr: key for key, cidrs in were.items() for cidr in cidrs}
    was, became = Prefixes(old), Prefixes(new)
    return frozenset(
        cidr
        for cidr in changed
        if (one := was.of(cidr)) and (other := became.of(cidr)) and one != other
    )


def _withheld(view: View, interface: Interface, withheld: Set[Network]) -> Iterator[Network]:
    """What is in doubt of a view: the prefixes, and what lies in them and in no surer one."""
    allowed = (cidr for peer in interface.peers for cidr in peer.allowed_ips)
    in_doubt = Prefixes(dict.fromkeys(allowed, False) | dict.fromkeys(withheld, True))
    for cidr in view.owners.keys() | withheld:
        who = view.owners.get(cidr)
        if (who is None or who.peer != HERE) and in_doubt.of(cidr):
            yield cidr


def _differing(some: Interface, others: Interface) -> dict[bytes, tuple[Network, ...]]:
    """The allowed IPs of those peers that have other ones there, or are not there."""
    theirs = {peer.public_key: peer.allowed_ips for peer in others.peers}
    return {
        peer.public_key: peer.allowed_ips
        for peer in some.peers
        if theirs.get(peer.public_key) != peer.allowed_ips
    }
