# SPDX-License-Identifier: Apache-2.0
"""Which live flows would go on under a document, as one node sees it: question 4 and an open.

A flow lives while its opener could open it; see docs/packet-path.md, part 6. What the kernel finds
out packet by packet is asked here of thousands of flows at once.
"""

from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_network

from krait.common.reason import Reason
from krait.policy.evaluate import Decision, decide
from krait.policy.flow import FlowTuple
from krait.policy.model import ECHO_REQUEST, TCP, Address, Labels, Policy
from krait.policy.prefixes import Prefixes
from krait.policy.reserved import of_nobody
from krait.policy.view import HERE, Principal, View


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a flow: it lives if nothing but `Reason.PASS` is said of its packets."""

    reason: Reason
    decision: Decision | None  # None: no rule was asked
    source: Principal | None  # of the opener; None: nobody owns the address
    destination: Principal | None

    @property
    def lives(self) -> bool:
        return self.reason is Reason.PASS

    @property
    def identities(self) -> tuple[Labels, Labels]:
        """The opener's and the other's; no labels stand for no identity."""
        ends = (self.source, self.destination)
        opener, other = ((end and end.labels) or frozenset() for end in ends)
        return opener, other


class Survival:
    """One policy at one interface, asked again and again."""

    def __init__(self, policy: Policy, view: View) -> None:
        self._policy, self._view = policy, view
        self._owners = Prefixes(view.owners)
        self.owner = cache(self._find)
        """The principal with the longest prefix that holds an address; None: nobody."""
        self._between = cache(self._concerning)
        self._decided = cache(self._decide)

    def of(self, opener: FlowTuple) -> Fate:
        """What becomes of the flow that this tuple opened."""
        source, destination = self.owner(opener.source[0]), self.owner(opener.destination[0])
        reason = self._fault(opener, source, destination)
        if reason is not Reason.PASS or source is None or destination is None:
            return Fate(reason, None, source, destination)
        # What an echo's tuple has in a port's place is its identifier.
        port = ECHO_REQUEST.get(opener.protocol, opener.destination[1])
        decision = self._decided(source.labels, destination.labels, opener.protocol, port)
        verdict = Reason.PASS if decision.allows else Reason.DENIED
        return Fate(verdict, decision, source, destination)

    def reopens(self, opener: FlowTuple) -> bool:
        """Whether a flow that does not live goes on as its other side's, with its next packet.

        Not of TCP, where only a SYN opens, nor of a ping, whose answers open nothing.
        """
        is_bound = opener.protocol == TCP or opener.protocol in ECHO_REQUEST
        return not is_bound and self.of(opener.reversed()).lives

    def _fault(
        self, opener: FlowTuple, source: Principal | None, destination: Principal | None
    ) -> Reason:
        """Why no packet of the two can pass, whatever rules say; PASS where there is no reason.

        The flow's packets enter and leave the tunnel as they did, whoever is near.
        """
        if source is None:
            return of_nobody(opener.source[0], Reason.UNKNOWN_SOURCE)
        if destination is None:
            return of_nobody(opener.destination[0], Reason.UNKNOWN_DESTINATION)
        peers = source.peer, destination.peer
        if peers == (HERE, HERE):
            return Reason.WRONG_SIDE
        if HERE not in peers and not self._view.transit:
            return Reason.NOT_TRANSIT
        if source.unknown_peer or destination.unknown_peer:
            return Reason.UNKNOWN_PEER
        if source.labels is None or destination.labels is None:
            return Reason.NO_IDENTITY
        return Reason.PASS

    def _find(self, address: Address) -> Principal | None:
        return self._owners.of(ip_network(address))

    def _decide(self, source: Labels, destination: Labels, protocol: int, port: int) -> Decision:
        return decide(self._between(source, destination), source, destination, protocol, port)

    def _concerning(self, source: Labels, destination: Labels) -> Policy:
        rules = tuple(rule for rule in self._policy.rules if rule.concerns(source, destination))
        return replace(self._policy, rules=rules)
