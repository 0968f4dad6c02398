# SPDX-License-Identifier: Apache-2.0
"""Question 5 of docs/packet-path.md: what two identities may do to each other.

Derived from the rules by asking `decide`, never from what was compiled.
"""

from collections.abc import Iterator

from krait.common.abi import PairClass
from krait.policy.evaluate import decide
from krait.policy.model import LAST_PORT, Labels, Policy
from krait.policy.ports import OTHER_PROTOCOL


def pair_class(policy: Policy, one: Labels, other: Labels) -> PairClass:
    """The class of an unordered pair of identities, both directions together."""
    directions = ((one, other), (other, one))
    decisions = [
        decide(policy, source, destination, protocol, port)
        for source, destination in directions
        for protocol, port in _turning_points(policy, source, destination)
    ]
    verdicts = {each.allows for each in decisions}
    if not policy.default.allows and any(
        each.allows and each.rule and each.rule.until is not None for each in decisions
    ):
        return PairClass.ENDING
    if verdicts == {False}:
        return PairClass.DENY_BOTH
    if verdicts == {True} and not any(ports_concern(policy, *each) for each in directions):
        return PairClass.ALLOW_STATELESS
    return PairClass.STATEFUL


def ports_concern(policy: Policy, source: Labels, destination: Labels) -> bool:
    """Whether a rule with ports, allow or deny, concerns opens in this direction."""
    return any(
        rule.ports and not rule.audit and rule.concerns(source, destination)
        for rule in policy.rules
    )


def _turning_points(
    policy: Policy, source: Labels, destination: Labels
) -> Iterator[tuple[int, int]]:
    """A (protocol, port) from every stretch over which the verdict cannot change.

    It can change only where a span begins, or just beyond where one ends; and no rule tells apart
    two protocols that none of them names.
    """
    spans = [
        span
        for rule in policy.rules
        if not rule.audit and rule.concerns(source, destination)
        for span in rule.ports
    ]
    named = {span.protocol for span in spans}
    yield OTHER_PROTOCOL, 0
    yield from ((protocol, 0) for protocol in named)
    for span in spans:
        yield span.protocol, span.low
        if span.high < LAST_PORT.get(span.protocol, 0):
            yield span.protocol, span.high + 1
