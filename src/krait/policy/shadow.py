# SPDX-License-Identifier: Apache-2.0
"""The shadow of a policy: a second one over the same identities, counted and never enforced.

A document with audit rules has one: itself, with these enforced. docs/packet-path.md, part 8, says
what is asked of it; `rehearse` is the reference, which the kernel program is held against.
"""

from dataclasses import dataclass, replace

from krait.common.abi import Rehearsal
from krait.common.reason import Reason
from krait.policy.case import Case, Path, Verdict, number_of
from krait.policy.evaluate import Decision
from krait.policy.flow import FlowTuple
from krait.policy.model import TCP, Policy
from krait.policy.packet import Message


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the shadow says of a packet."""

    rule: int  # of the shadow, that decides; 0 is its default
    outcome: Rehearsal


def shadow_of(policy: Policy) -> Policy | None:
    """The policy with its audit rules enforced, and without ends; None if it has none."""
    if not any(rule.audit for rule in policy.rules):
        return None
    rules = tuple(replace(rule, audit=False, until=None) for rule in policy.rules)
    return replace(policy, rules=rules)


def rehearse(
    shadow: Policy, case: Case, verdict: Verdict, opener: FlowTuple | None
) -> Rehearsed | None:
    """Question 8; None where the shadow has nothing to say.

    `opener` is that of the live flow that the packet belongs to, if it does.
    """
    fragment = case.packet.fragment
    if case.way.error or case.cut_short or (fragment and not fragment.is_first):
        return None
    if verdict.reason not in (Reason.PASS, Reason.DENIED):
        return None
    decision = _decision(replace(case, state=replace(case.state, policy=shadow)), verdict, opener)
    passed = verdict.reason is Reason.PASS
    if decision.allows == passed:
        outcome = Rehearsal.SAME
    else:
        outcome = Rehearsal.CUTS if passed else Rehearsal.OPENS
    return Rehearsed(number_of(decision), outcome)


def _decision(case: Case, verdict: Verdict, opener: FlowTuple | None) -> Decision:
    """What the shadow decides for whoever opened; of two that may have, for one that may open."""
    packet, about = case.packet, case.about
    if verdict.path is Path.FLOW:
        return case.may_open(opener or about)
    if packet.destination.is_multicast:
        return case.may_open(about)
    if packet.message is Message.ECHO_REPLY:
        return case.may_open(about.reversed())
    own = case.may_open(about)
    if own.allows or _is_surely_open(case, verdict):
        return own
    other = case.may_open(about.reversed())
    return other if other.allows else own


def _is_surely_open(case: Case, verdict: Verdict) -> bool:
    if case.packet.message is not None:
        return True
    if case.packet.protocol == TCP:
        return case.packet.opens_tcp
    return verdict.path is Path.OPEN  # a reply would have found its flow
