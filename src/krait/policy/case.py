# SPDX-License-Identifier: Apache-2.0
"""Who a packet is between, by docs/packet-path.md: question 4, and of question 3 who sent an error.

Part of the reference (judge.py), which asks about a Case what is left to ask.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from krait.common.abi import PairClass
from krait.common.reason import Reason
from krait.policy.evaluate import Decision, decide
from krait.policy.flow import FlowTuple
from krait.policy.fragment import Datagram, Fragment
from krait.policy.model import TCP, Address, Labels, Policy
from krait.policy.packet import Packet
from krait.policy.pair import pair_class, ports_concern
from krait.policy.reserved import of_nobody
from krait.policy.view import HERE, Principal, View

HAS_FLOWS = frozenset({PairClass.STATEFUL, PairClass.ENDING})

Side: TypeAlias = Literal["ingress", "egress"]
"""The values of `kernel.hook.Hook`: out of the tunnel into this node, and the other way."""


class Path(Enum):
    """Where in the order of questions a packet was decided."""

    HEADERS = "headers"
    PRINCIPALS = "principals"
    PAIR = "pair"
    FLOW = "flow"
    OPEN = "open"
    FRAGMENT = "fragment"


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


@dataclass(frozen=True, slots=True)
class InForce:
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
            reads_ports = found in HAS_FLOWS or (
                found is PairClass.DENY_BOTH and ports_concern(self.policy, *ends)
            )
            self._pairs[ends] = found, reads_ports
        return self._pairs[ends]


@dataclass(frozen=True, slots=True)
class Way:
    """How a packet travels; what an ICMP error is about went the other way."""

    leaves: bool  # into the tunnel
    came_in: bool  # and it came out of the same tunnel before
    error: bool = False

    @property
    def stray(self) -> bool:
        """Whether a peer's address on it would be a lie: WireGuard did not vouch for it."""
        return self.leaves and not self.came_in

    @property
    def side(self) -> Side:
        """The hook."""
        return "egress" if self.leaves is not self.error else "ingress"

    def back(self) -> "Way":
        return Way(not self.leaves, self.came_in, error=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A packet between two identities; for an ICMP error, the packet inside it."""

    state: InForce
    packet: Packet
    about: FlowTuple
    source: Labels
    destination: Labels
    peer: int
    now_s: float  # the wall clock
    way: Way

    @property
    def is_ending(self) -> bool:
        """Whether something between the two is open for a time only."""
        return self.state.pair(self.source, self.destination)[0] is PairClass.ENDING

    @property
    def cut_short(self) -> bool:
        """Of TCP inside an error only 8 bytes can be expected: the ports, but no flags."""
        packet = self.packet
        no_flags = packet.protocol == TCP and packet.flags is None
        return packet.ports is None or (no_flags and not self.way.error)

    def may_open(self, opener: FlowTuple) -> Decision:
        """Whether rules let `opener` open: the packet's own tuple, or the same reversed."""
        ends = (self.source, self.destination)
        if opener != self.about:
            ends = ends[::-1]
        port = self.packet.opened_type if self.packet.message else opener.destination[1]
        return decide(self.state.policy, *ends, opener.protocol, port, now_s=self.now_s)

    def datagram(self, fragment: Fragment) -> Datagram:
        ends = self.packet.source, self.packet.destination
        return Datagram(*ends, fragment.id, fragment.protocol, self.way.side)

    def verdict(self, path: Path, reason: Reason, rule: int | None = None) -> Verdict:
        return Verdict(reason, rule, self.peer, path)

    def decided(self, path: Path, decision: Decision) -> Verdict:
        reason = Reason.PASS if decision.allows else Reason.DENIED
        return self.verdict(path, reason, number_of(decision))


def fault_of_sender(state: InForce, outer: Packet, inner: Packet, way: Way) -> Reason:
    """Question 3, as far as it is about who sent the error; PASS where nothing is wrong."""
    sender, target = state.owner(outer.source), state.owner(inner.destination)
    if sender is None or target is None or sender.peer not in (HERE, target.peer):
        return Reason.BAD_ERROR
    if sender.peer == HERE:
        return Reason.PASS if way.leaves else Reason.WRONG_SIDE
    return Reason.WRONG_SIDE if way.stray else Reason.PASS


def between_principals(state: InForce, packet: Packet, now_s: float, way: Way) -> Case | Verdict:
    """Question 4."""
    source, destination = state.owner(packet.source), state.owner(packet.destination)
    near, far = (source, destination) if way.leaves else (destination, source)
    unknown = (
        of_nobody(packet.source, Reason.UNKNOWN_SOURCE),
        of_nobody(packet.destination, Reason.UNKNOWN_DESTINATION),
    )
    near_unknown, far_unknown = unknown if way.leaves else unknown[::-1]
    if far is None:
        return Verdict(far_unknown, path=Path.PRINCIPALS)
    fault = Reason.PASS
    # A group has no peer: WireGuard sends to whoever has it as an allowed IP.
    far_is_group = way.leaves and packet.destination.is_multicast
    if far.peer == HERE and not far_is_group:
        fault = Reason.WRONG_SIDE
    elif near is None:
        fault = near_unknown
    elif near.peer != HERE and (far_is_group or not state.view.transit):
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
    return Case(state, packet, about, *ends, far.peer, now_s, way)


def number_of(decision: Decision) -> int:
    """The number of the rule that decided; 0 is the default."""
    return decision.rule.number if decision.rule else 0
