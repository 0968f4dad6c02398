# SPDX-License-Identifier: Apache-2.0
"""Who may open what to whom, straight from the rules: the reference.

The compiled tables and the kernel program are held against this, so it has to be obviously right
and may be slow.
"""

from dataclasses import dataclass, replace
from math import inf

from krait.policy import ports
from krait.policy.model import Action, Labels, Policy, PortSpan, Rule

EVERYTHING = tuple(ports.whole(protocol) for protocol in range(ports.MAX_PROTOCOL + 1))
"""Every protocol and port there is, in order."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one open, and why."""

    action: Action
    rule: Rule | None  # the one that decides; None is the default, or an identity that is missing
    others: tuple[Rule, ...] = ()  # matched too, in the order of the file
    audit: tuple[Rule, ...] = ()  # matched, but never enforce

    @property
    def allows(self) -> bool:
        """The verdict alone."""
        return self.action.allows


@dataclass(frozen=True, slots=True)
class Segment:
    """An inclusive range of ports of one protocol throughout which the decision is the same."""

    protocol: int
    low: int
    high: int
    decision: Decision


def decide(
    policy: Policy,
    source: Labels | None,
    destination: Labels | None,
    protocol: int,
    port: int,
    *,
    now_s: float = -inf,
) -> Decision:
    """Whether `source` may open a flow to `port` of `destination`.

    Labels are identities; None is identity 0, which is denied under every default. `protocol` is
    an IANA number; `port` is as in model.LAST_PORT. `now_s` is the wall clock, for rules that end:
    what opened opens no more, but a deny holds as long as it is in the policy (`lifetime` takes it
    out). Without it, all hold.
    """
    if source is None or destination is None:
        return Decision(Action.DENY, rule=None)
    matching = [
        rule
        for rule in policy.rules
        if rule.concerns(source, destination) and rule.covers(protocol, port)
    ]
    audit = tuple(rule for rule in matching if rule.audit)
    enforced = [rule for rule in matching if not rule.audit]
    if not enforced:
        return Decision(policy.default, None, (), audit)
    deciding = min(enforced, key=lambda rule: rule.strength)
    others = tuple(rule for rule in enforced if rule is not deciding)
    has_ended = deciding.allows and deciding.has_ended(now_s)
    action = policy.default if has_ended else deciding.action
    return Decision(action, deciding, others, audit)


def decide_all(
    policy: Policy,
    source: Labels | None,
    destination: Labels | None,
    spans: tuple[PortSpan, ...] = EVERYTHING,
) -> tuple[Segment, ...]:
    """The decision for every protocol and port in `spans`, in their order.

    The segments cover the spans exactly once; a rule's edges are where one ends and the next
    begins, so neighbours may hold equal decisions.
    """
    between = replace(policy, rules=_concerning(policy.rules, source, destination))
    return tuple(
        Segment(span.protocol, low, high, decide(between, source, destination, span.protocol, low))
        for span in spans
        for low, high in _pieces(span, between.rules)
    )


def _concerning(
    rules: tuple[Rule, ...], source: Labels | None, destination: Labels | None
) -> tuple[Rule, ...]:
    if source is None or destination is None:
        return ()
    return tuple(rule for rule in rules if rule.concerns(source, destination))


def _pieces(span: PortSpan, rules: tuple[Rule, ...]) -> list[tuple[int, int]]:
    """The span, cut wherever the set of rules that cover a port may change."""
    written = [each for rule in rules for each in rule.ports if each.protocol == span.protocol]
    edges = {edge for each in written for edge in (each.low, each.high + 1)}
    starts = sorted({span.low} | {edge for edge in edges if span.low < edge <= span.high})
    return list(zip(starts, [start - 1 for start in starts[1:]] + [span.high], strict=True))
