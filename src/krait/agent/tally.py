# SPDX-License-Identifier: Apache-2.0
"""What each rule of the document in force decided on an interface: for `krait rules`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from krait.agent import in_force, inspect
from krait.agent.in_force import Governed
from krait.agent.paths import Paths
from krait.common.abi import Rehearsal
from krait.kernel.generation import Count, Moment
from krait.policy import lifetime
from krait.policy.idle import Idle, idle_rules
from krait.policy.model import Document, Rule
from krait.policy.rules import DEFAULT_RULE


@dataclass(frozen=True, slots=True)
class Counted:
    """A rule of the document, and what was counted under it."""

    rule: Rule
    count: Count | None  # None: it enforces nothing on this node
    idle: Idle | None  # why it can never decide, on any node
    rehearsed: Mapping[Rehearsal, Count] | None = None
    """What an audit rule would have done here; None: it is none, or is not rehearsed here."""
    has_ended: bool = False

    @property
    def is_unused(self) -> bool:
        """Whether it could have decided here and never did, or can decide nowhere (any more)."""
        if self.has_ended:
            return True
        return self.idle is not None or (self.count is not None and not self.count.packets)


@dataclass(frozen=True, slots=True)
class Tally:
    """All rules in the order of the file; the default comes after the last."""

    interface: str
    document: Document
    revision: int
    rules: tuple[Counted, ...]
    default: Count
    now: Moment
    """Right after the counters were read."""


def tally(interface: str, paths: Paths) -> Tally:
    """Read the counters of an interface, agent or no agent.

    Raises UsageError where no policy is in force; SystemRefused where the kernel does not let us
    look, or it is not known which document is.
    """
    hint = f"`krait status {interface}` tells what is known of it"
    return count_up(in_force.look(interface, paths, hint=hint), time.time())


def count_up(seen: Governed, now_s: float = -inf) -> Tally:
    """The tally of what was seen on an interface; `now_s` is the wall clock, for rules that end."""
    found, tables, document = seen
    counts = inspect.rules(found)
    idle = {each.rule.name: each for each in idle_rules(lifetime.at(document, now_s))}
    is_of_another = found.record is not None and found.record.shadow
    rehearsed = {} if is_of_another else inspect.rehearsed(found)  # of audit rules alone
    rules = tuple(
        Counted(
            rule,
            counts.get(rule.name),
            idle.get(rule.name),
            rehearsed.get(rule.name),
            rule.has_ended(now_s),
        )
        for rule in document.policy.rules
    )
    default = counts.get(DEFAULT_RULE, Count(0, 0))
    return Tally(found.interface, document, tables.revision, rules, default, tables.now)
