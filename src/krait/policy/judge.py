# SPDX-License-Identifier: Apache-2.0
"""The reference: what becomes of each packet at one interface, by docs/packet-path.md.

It asks the page's questions in the page's order, straight from the rules, with nothing compiled,
indexed or packed. The kernel program is held against it by property tests.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from krait.common.abi import PairClass
from krait.common.reason import Reason
from krait.policy.evaluate import Decision, decide
from krait.policy.flow import Flow, FlowTuple, advance, fin_mark, first_state
from krait.policy.model import TCP, UDP, Address, Labels, Policy
from krait.policy.packet import Message, Packet, parse
from krait.policy.pair import pair_class, ports_concern
from krait.policy.view import HERE, Principal, View

Side: TypeAlias = Literal["ingress", "egress"]
"""The values of `kernel.hook.Hook`: out of the tunnel into this node, and the other way."""


class Path(Enum):
    """Where in the order of questions a packet was decided."""

    HEADERS = "headers"
    PRINCIPALS = "principals"
    PAIR = "pair"
    FLOW = "flow"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one packet.

    `rule` is the number of the rule under which it is counted (0: the default), None where none
    decided. `peer` is the far principal's, HERE where far is this node or was not found.
    """

    reason: Reason
    rule: int | None = None
    peer: int = HERE
    path: Path = Path.HEADERS


class Judge:
    """One interface: the policy in force and the flows seen so far. Time is an argument."""

    def __init__(self) -> None:
        self._in_force: _InForce | None = None
        self.flows: dict[frozenset[object], Flow] = {}

    def commit(self, policy: Policy, view: View, revision: int) -> None:
        """Put a policy in force; flows stay, and are judged anew when next seen."""
        self._in_force = _InForce(policy, view, revision)

    def judge(
        self, frame: bytes, ethertype: int, side: Side, now_s: float, *, came_in: bool = False
    ) -> Verdict:
        """Judge a frame that begins at its IP header, and let it have its effect on the flows.

        `ethertype` is the frame's protocol in host byte order; `now_s` never runs backwards.
        `came_in` says of a frame on egress that it came in by this same interface.
        """
        if self._in_force is None:
            return Verdict(Reason.NOT_READY)
        packet = parse(frame, ethertype)
        if isinstance(packet, Reason):
            return Verdict(packet)
        subject, way = packet, _Way(leaves=side == "egress", came_in=came_in)
        if packet.inner is not None:
            fault = _fault_of_sender(self._in_force, packet, packet.inner, way)
            if fault is not Reason.PASS:
                return Verdict(fault)
            subject, way = packet.inner, way.back()
        case = _between_principals(self._in_force, subject, now_s, way)
        return case if isinstance(case, Verdict) else self._pair(case)

    def _pair(self, case: "_Case") -> Verdict:
        """Question 5."""
        verdict_class, reads_ports = case.state.pair(case.source, case.destination)
        if reads_ports and case.cut_short:
            return case.verdict(Path.PAIR, Reason.MALFORMED)
        if verdict_class is PairClass.STATEFUL:
            return self._flow(case)
        return case.decided(Path.PAIR, case.may_open(case.about))

    def _flow(self, case: "_Case") -> Verdict:
        """Question 6."""
        if case.packet.message is Message.OTHER:
            # The page speaks of a message "and no error": an error about one finds no flow.
            if case.error:
                return case.verdict(Path.FLOW, Reason.NO_FLOW)
            return case.decided(Path.OPEN, case.may_open(case.about))
        flow = self.flows.get(_key(case.about))
        if flow is None or not flow.lives(case.now_s):
            return self._open(case)
        reply = flow.opener != case.about
        if not case.error and _is_an_open(case.packet, reply=reply):
            return self._open(case)
        return self._live(case, flow, reply=reply)

    def _live(self, case: "_Case", flow: Flow, *, reply: bool) -> Verdict:
        allow, rule = flow.allow, flow.rule
        if flow.revision != case.state.revision:
            decision = case.may_open(flow.opener)
            allow, rule = decision.allow, _number(decision)
            if not case.error:
                flow.allow, flow.rule, flow.revision = allow, rule, case.state.revision
        if not allow:
            segment = case.packet.protocol == TCP and not case.packet.opens_tcp
            if not case.error and not segment:
                chance = self._open(case)
                if chance.reason is Reason.PASS:
                    return chance
            return case.verdict(Path.FLOW, Reason.DENIED, rule)
        if not case.error:
            flow.seen_s = case.now_s
            advance(flow, case.packet, reply=reply)
        return case.verdict(Path.FLOW, Reason.PASS, rule)

    def _open(self, case: "_Case") -> Verdict:
        packet, opener = case.packet, case.about
        if case.error or packet.message is Message.ECHO_REPLY:
            return case.verdict(Path.OPEN, Reason.NO_FLOW)
        decision = case.may_open(opener)
        if packet.protocol == TCP and not packet.opens_tcp:
            if not packet.picks_up_tcp or case.state.policy.strict:
                return case.verdict(Path.OPEN, Reason.NO_FLOW)
            other_way = case.may_open(opener.reversed())
            if not decision.allow and other_way.allow:
                opener, decision = opener.reversed(), other_way
        if decision.allow:
            self.flows[_key(opener)] = Flow(
                opener,
                first_state(packet.protocol),
                fin_mark(packet, reply=opener != case.about),
                case.now_s,
                allow=True,
                rule=_number(decision),
                revision=case.state.revision,
            )
        return case.decided(Path.OPEN, decision)


@dataclass(frozen=True, slots=True)
class _InForce:
    """What one commit put in force."""

    policy: Policy
    view: View
    revision: int
    # Pairs are few and their class is dear to find: each is asked once a commit.
    _pairs: dict[tuple[Labels, Labels], tuple[PairClass, bool]] = field(default_factory=dict)

    def owner(self, address: Address) -> Principal | None:
        """The principal with the longest prefix that holds the address."""
        holding = [prefix for prefix in self.view.owners if address in prefix]
        if not holding:
            return None
        return self.view.owners[max(holding, key=lambda prefix: prefix.prefixlen)]

    def pair(self, source: Labels, destination: Labels) -> tuple[PairClass, bool]:
        """The pair's class, and whether it wants the next header of a packet this way."""
        ends = (source, destination)
        if ends not in self._pairs:
            found = pair_class(self.policy, *ends)
            reads_ports = found is PairClass.STATEFUL or (
                found is PairClass.DENY_BOTH and ports_concern(self.policy, *ends)
            )
            self._pairs[ends] = found, reads_ports
        return self._pairs[ends]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a packet travels; what an ICMP error is about went the other way."""

    leaves: bool  # into the tunnel
    came_in: bool  # and it came out of the same tunnel before
    error: bool = False

    @property
    def stray(self) -> bool:
        """Whether a peer's address on it would be a lie: WireGuard did not vouch for it."""
        return self.leaves and not self.came_in

    def back(self) -> "_Way":
        return _Way(not self.leaves, self.came_in, error=True)


@dataclass(frozen=True, slots=True)
class _Case:
    """A packet between two identities; for an ICMP error, the packet inside it."""

    state: _InForce
    packet: Packet
    about: FlowTuple
    source: Labels
    destination: Labels
    peer: int
    now_s: float
    error: bool

    @property
    def cut_short(self) -> bool:
        """Of TCP inside an error only 8 bytes can be expected: the ports, but no flags."""
        packet = self.packet
        no_flags = packet.protocol == TCP and packet.flags is None
        return packet.ports is None or (no_flags and not self.error)

    def may_open(self, opener: FlowTuple) -> Decision:
        """Whether rules let `opener` open: the packet's own tuple, or the same reversed."""
        ends = (self.source, self.destination)
        if opener != self.about:
            ends = ends[::-1]
        port = opener.destination[1] if opener.protocol in (TCP, UDP) else 0
        return decide(self.state.policy, *ends, opener.protocol, port)

    def verdict(self, path: Path, reason: Reason, rule: int | None = None) -> Verdict:
        return Verdict(reason, rule, self.peer, path)

    def decided(self, path: Path, decision: Decision) -> Verdict:
        reason = Reason.PASS if decision.allow else Reason.DENIED
        return self.verdict(path, reason, _number(decision))


def _fault_of_sender(state: _InForce, outer: Packet, inner: Packet, way: _Way) -> Reason:
    """Question 3, as far as it is about who sent the error; PASS where nothing is wrong."""
    sender, target = state.owner(outer.source), state.owner(inner.destination)
    if sender is None or target is None or sender.peer not in (HERE, target.peer):
        return Reason.BAD_ERROR
    if sender.peer == HERE:
        return Reason.PASS if way.leaves else Reason.WRONG_SIDE
    return Reason.WRONG_SIDE if way.stray else Reason.PASS


def _between_principals(
    state: _InForce, packet: Packet, now_s: float, way: _Way
) -> _Case | Verdict:
    """Question 4."""
    source, destination = state.owner(packet.source), state.owner(packet.destination)
    near, far = (source, destination) if way.leaves else (destination, source)
    unknown = (Reason.UNKNOWN_SOURCE, Reason.UNKNOWN_DESTINATION)
    near_unknown, far_unknown = unknown if way.leaves else unknown[::-1]
    if far is None:
        return Verdict(far_unknown, path=Path.PRINCIPALS)
    fault = Reason.PASS
    if far.peer == HERE:
        fault = Reason.WRONG_SIDE
    elif near is None:
        fault = near_unknown
    elif near.peer != HERE and not state.view.transit:
        fault = Reason.NOT_TRANSIT
    elif near.peer != HERE and way.stray and not way.error:
        fault = Reason.WRONG_SIDE
    elif far.unknown_peer or near.unknown_peer:
        fault = Reason.UNKNOWN_PEER
    if fault is not Reason.PASS or near is None:
        return Verdict(fault, None, far.peer, Path.PRINCIPALS)
    if far.labels is None or near.labels is None:
        return Verdict(Reason.NO_IDENTITY, None, far.peer, Path.PRINCIPALS)
    ends = (near.labels, far.labels) if way.leaves else (far.labels, near.labels)
    ports = packet.ports or (0, 0)
    about = FlowTuple(packet.protocol, (packet.source, ports[0]), (packet.destination, ports[1]))
    return _Case(state, packet, about, *ends, far.peer, now_s, way.error)


def _is_an_open(packet: Packet, *, reply: bool) -> bool:
    """Whether a packet of a live flow's tuple is an open all the same."""
    if reply:
        return packet.opens_tcp or packet.message is Message.ECHO_REQUEST
    return packet.message is Message.ECHO_REPLY


def _key(about: FlowTuple) -> frozenset[object]:
    """The same for both directions."""
    return frozenset({about.protocol, about.source, about.destination})


def _number(decision: Decision) -> int:
    return decision.rule.number if decision.rule else 0
