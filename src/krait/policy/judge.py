# SPDX-License-Identifier: Apache-2.0
"""The reference: what becomes of each packet at one interface, by docs/packet-path.md.

It asks the page's questions in the page's order, straight from the rules, with nothing compiled,
indexed or packed. The kernel program is held against it by property tests.
"""

from krait.common.reason import Reason
from krait.policy.case import (
    HAS_FLOWS,
    Case,
    InForce,
    Path,
    Side,
    Verdict,
    Way,
    between_principals,
    fault_of_sender,
    number_of,
)
from krait.policy.flow import Flow, FlowTuple, advance, first_marks, first_state
from krait.policy.fragment import Datagram, FirstFragment, Fragment
from krait.policy.limits import Budget
from krait.policy.model import TCP, Policy
from krait.policy.packet import Message, Packet, parse
from krait.policy.shadow import Rehearsed, rehearse, shadow_of
from krait.policy.view import View


class Judge:
    """One interface: the policy in force and the flows seen so far. Time is an argument."""

    def __init__(self) -> None:
        self._in_force: InForce | None = None
        self._shadow: Policy | None = None
        self.flows: dict[frozenset[object], Flow] = {}
        self.fragments: dict[Datagram, FirstFragment] = {}
        self.budgets: dict[int, Budget] = {}
        self.rehearsed: Rehearsed | None = None
        """What the shadow says of the packet that was judged last."""

    def commit(self, policy: Policy, view: View, revision: int) -> None:
        """Put a policy in force; flows stay, and are judged anew when next seen."""
        self._in_force = InForce(policy, view, revision)
        self._shadow = shadow_of(policy)

    def judge(
        self, frame: bytes, ethertype: int, side: Side, now_s: float, *, came_in: bool = False
    ) -> Verdict:
        """Judge a frame that begins at its IP header, and let it have its effect on the flows.

        `ethertype` is the frame's protocol in host byte order; `now_s` never runs backwards.
        `came_in` says of a frame on egress that it came in by this same interface.
        """
        self.rehearsed = None
        if self._in_force is None:
            return Verdict(Reason.NOT_READY)
        packet = parse(frame, ethertype)
        if isinstance(packet, Reason):
            return Verdict(packet)
        subject, way = packet, Way(leaves=side == "egress", came_in=came_in)
        if packet.inner is not None:
            fault = fault_of_sender(self._in_force, packet, packet.inner, way)
            if fault is not Reason.PASS:
                return Verdict(fault)
            subject, way = packet.inner, way.back()
        case = between_principals(self._in_force, subject, now_s, way)
        if isinstance(case, Verdict):
            return case
        verdict = self._pair(case)
        if self._shadow is not None:
            flow = self.flows.get(_key(case.about))
            self.rehearsed = rehearse(self._shadow, case, verdict, flow.opener if flow else None)
        return verdict

    def _pair(self, case: Case) -> Verdict:
        """Question 5."""
        verdict_class, reads_ports = case.state.pair(case.source, case.destination)
        fragment = case.packet.fragment
        if reads_ports and fragment and not fragment.is_first:
            return self._later_fragment(case, fragment)
        if reads_ports and case.cut_short:
            return case.verdict(Path.PAIR, Reason.MALFORMED)
        if verdict_class not in HAS_FLOWS:
            return case.decided(Path.PAIR, case.may_open(case.about))
        verdict = self._flow(case)
        if fragment and verdict.reason is Reason.PASS:
            self.fragments[case.datagram(fragment)] = FirstFragment(
                case.state.revision, case.now_s, fragment.length, verdict.rule or 0
            )
        return verdict

    def _may_open_one_more(self, case: Case) -> bool:
        limits = case.state.policy.limits
        if limits.opens_per_s is None or case.way.leaves:
            return True
        budget = self.budgets.setdefault(case.peer, Budget(limits.burst, case.now_s))
        return budget.spend(limits, case.now_s)

    def _later_fragment(self, case: Case, fragment: Fragment) -> Verdict:
        """Question 7."""
        first = self.fragments.get(case.datagram(fragment))
        if first is None or not first.vouches(case.state.revision, case.now_s):
            return case.verdict(Path.FRAGMENT, Reason.FRAGMENT)
        if case.is_ending and case.state.policy.rules[first.rule - 1].has_ended(case.now_s):
            return case.verdict(Path.FRAGMENT, Reason.FRAGMENT)
        if fragment.offset < first.end:
            return case.verdict(Path.FRAGMENT, Reason.FRAGMENT_OVERLAP)
        return case.verdict(Path.FRAGMENT, Reason.PASS, first.rule)

    def _flow(self, case: Case) -> Verdict:
        """Question 6."""
        if case.packet.is_its_own_open:
            # The page speaks of a message "and no error": an error about one finds no flow.
            if case.way.error:
                return case.verdict(Path.FLOW, Reason.NO_FLOW)
            return case.decided(Path.OPEN, case.may_open(case.about))
        flow = self.flows.get(_key(case.about))
        if flow is None or not flow.lives(case.now_s):
            return self._open(case)
        reply = flow.opener != case.about
        if not case.way.error and _is_an_open(case.packet, reply=reply):
            return self._open(case)
        return self._live(case, flow, reply=reply)

    def _live(self, case: Case, flow: Flow, *, reply: bool) -> Verdict:
        allows, rule = flow.allows, flow.rule
        if flow.revision != case.state.revision or case.is_ending:
            decision = case.may_open(flow.opener)
            allows, rule = decision.allows, number_of(decision)
            if not case.way.error:
                flow.allows, flow.rule, flow.revision = allows, rule, case.state.revision
        if not allows:
            segment = case.packet.protocol == TCP and not case.packet.opens_tcp
            if not case.way.error and not segment:
                chance = self._open(case)
                if chance.reason not in (Reason.DENIED, Reason.NO_FLOW):
                    return chance
            return case.verdict(Path.FLOW, Reason.DENIED, rule)
        if not case.way.error:
            flow.seen_s = case.now_s
            advance(flow, case.packet, reply=reply)
        return case.verdict(Path.FLOW, Reason.PASS, rule)

    def _open(self, case: Case) -> Verdict:
        packet, opener = case.packet, case.about
        if case.way.error or packet.message is Message.ECHO_REPLY:
            return case.verdict(Path.OPEN, Reason.NO_FLOW)
        decision = case.may_open(opener)
        if packet.protocol == TCP and not packet.opens_tcp:
            if not packet.picks_up_tcp or case.state.policy.strict:
                return case.verdict(Path.OPEN, Reason.NO_FLOW)
            other_way = case.may_open(opener.reversed())
            if not decision.allows and other_way.allows:
                opener, decision = opener.reversed(), other_way
        if decision.allows and not self._may_open_one_more(case):
            return case.verdict(Path.OPEN, Reason.OPEN_LIMIT)
        if decision.allows:
            self.flows[_key(opener)] = Flow(
                opener,
                first_state(packet.protocol),
                first_marks(packet, reply=opener != case.about),
                case.now_s,
                allows=True,
                rule=number_of(decision),
                revision=case.state.revision,
            )
        return case.decided(Path.OPEN, decision)


def _is_an_open(packet: Packet, *, reply: bool) -> bool:
    """Whether a packet of a live flow's tuple is an open all the same."""
    if reply:
        return packet.opens_tcp or packet.message is Message.ECHO_REQUEST
    return packet.message is Message.ECHO_REPLY


def _key(about: FlowTuple) -> frozenset[object]:
    """The same for both directions."""
    return frozenset({about.protocol, about.source, about.destination})
