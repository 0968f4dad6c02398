# SPDX-License-Identifier: Apache-2.0
"""What is in force on an interface, and which of its live flows another document would cut.

Asked of the kernel and of what the agent wrote down, agent or no agent. Changes nothing.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from heapq import nlargest

from krait.agent import in_force
from krait.agent.adapters import adapters
from krait.agent.diff import choose
from krait.agent.inspect import Inspection
from krait.agent.paths import Paths
from krait.agent.ports import Tables
from krait.kernel.flows import LiveFlow
from krait.policy import device, lifetime
from krait.policy.model import Document, Labels
from krait.policy.survival import Fate, Survival
from krait.policy.view import Interface, Peer, own_node, resolve

LISTED = 10


@dataclass(frozen=True, slots=True)
class Cut:
    """A live flow that passes, and would not."""

    flow: LiveFlow
    before: Fate
    now: Fate
    reopens: bool = False
    """Until its other side sends: that may open what it may not any more."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """All of them, counted; those that would live longest are told one by one."""

    total: int
    pairs: Mapping[tuple[Labels, Labels], int]  # by the identities of today: opener, the other
    longest: tuple[Cut, ...]
    reopening: int = 0
    """So many of them only until their other side sends."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """What there is to compare a document with."""

    before: Document
    cuts: Cuts | None = None
    unseen: str = ""
    """Why flows could not be judged."""


def foresee(interface: str, now: Document, paths: Paths) -> Foresight:
    """The document in force on an interface, and what of its flows would end under `now`.

    Raises UsageError where none is in force, or `now` could not be there; SystemRefused where the
    kernel does not let us look, or what is in force is not known.
    """
    found, _, before = in_force.look(
        interface,
        paths,
        hint="compare with another file instead: krait diff FILE --against OTHER",
    )
    before = lifetime.at(before, time.time())
    if found.device is None or found.link is None:
        why = found.unseen.message if found.unseen else "there is no such interface now"
        return Foresight(before, unseen=why)
    seen = found.device.as_policy_sees_it(found.link.addresses)
    was = Survival(before.policy, resolve(before, seen))
    later = Survival(now.policy, resolve(now, _interface_under(now, found, seen)))
    real = adapters(interface, paths)
    with closing(real.loads) as loads:
        generation = choose(loads.found(), found.seats)
        tables = loads.open(generation) if generation else None
        if tables is None:
            return Foresight(before, unseen="its tables are not pinned any more")
        return Foresight(before, _count(_cut(tables, was, later)))


def _cut(tables: Tables, was: Survival, later: Survival) -> Iterator[Cut]:
    revision = tables.in_force.revision
    for flow in tables.flows():
        if flow.revision != revision or flow.allowed:
            before, now = was.of(flow.opener), later.of(flow.opener)
            if before.lives and not now.lives:
                yield Cut(flow, before, now, later.reopens(flow.opener))


def _count(cuts: Iterator[Cut]) -> Cuts:
    pairs: Counter[tuple[Labels, Labels]] = Counter()
    reopening: Counter[bool] = Counter()

    def counted() -> Iterator[Cut]:
        for cut in cuts:
            pairs[cut.before.identities] += 1
            reopening[cut.reopens] += 1
            yield cut

    longest = nlargest(LISTED, counted(), key=lambda cut: cut.flow.left_s)
    ranked = dict(pairs.most_common())
    return Cuts(pairs.total(), ranked, tuple(longest), reopening[True])


def _interface_under(document: Document, found: Inspection, seen: Interface) -> Interface:
    """The interface once the document is in force: where Krait makes it, as that says."""
    if found.standing.orders is None:
        return seen
    node = own_node(document, seen.public_key)
    wanted = device.wanted(document, node.name, interface=found.interface)
    peers = tuple(Peer(each.public_key, each.allowed_ips) for each in wanted.peers)
    return Interface(wanted.public_key, wanted.addresses, peers)
