# SPDX-License-Identifier: Apache-2.0
"""States of a flow: the one table of them, of what moves them, and of how long they last.

The judge walks this table; docs/flow-states.md is printed from it (`python -m krait.policy.flow`).
The kernel program is held against the judge.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from krait.common.abi import FIN_OPENER, FIN_REPLY, FLOW_TIMEOUT_S, OPENER_SILENT, FlowState
from krait.policy.model import ICMP4, ICMP6, TCP, Address
from krait.policy.packet import Packet, TcpFlag

_BOTH = FIN_OPENER | FIN_REPLY

End: TypeAlias = tuple[Address, int]
"""An address and its port; for an ICMP echo the identifier stands in the port's place."""


class Event(Enum):
    """What a packet of a flow can mean to its state, in the order in which they are looked for."""

    SYN = "SYN without ACK and RST, from the opener"
    ACK = "ACK, in reply to an opener who was heard"
    END = "RST, or FIN seen from both sides"
    REPLY = "any packet in reply"


TRANSITIONS: Mapping[FlowState, Mapping[Event, FlowState]] = MappingProxyType(
    {
        FlowState.TCP_HALF_OPEN: {
            Event.SYN: FlowState.TCP_HALF_OPEN,
            Event.ACK: FlowState.TCP_ESTABLISHED,
            Event.END: FlowState.TCP_CLOSING,
        },
        FlowState.TCP_ESTABLISHED: {
            Event.SYN: FlowState.TCP_HALF_OPEN,
            Event.END: FlowState.TCP_CLOSING,
        },
        FlowState.TCP_CLOSING: {
            Event.SYN: FlowState.TCP_HALF_OPEN,
            Event.END: FlowState.TCP_CLOSING,
        },
        FlowState.UDP_NEW: {Event.REPLY: FlowState.UDP_REPLIED},
        FlowState.UDP_REPLIED: {},
        FlowState.ECHO: {},
    }
)
"""State, event: next state. An event that is not listed leaves the state as it is."""

MEANING: Mapping[FlowState, str] = MappingProxyType(
    {
        FlowState.TCP_HALF_OPEN: "TCP: opened, or picked up in the middle; no ACK in reply yet",
        FlowState.TCP_ESTABLISHED: "TCP: both sides have spoken",
        FlowState.TCP_CLOSING: "TCP: reset, or finished by both sides",
        FlowState.UDP_NEW: "UDP and all protocols but TCP and ICMP: no reply yet",
        FlowState.UDP_REPLIED: "the same, answered",
        FlowState.ECHO: "ICMP echo, one flow for each identifier",
    }
)


@dataclass(frozen=True, slots=True)
class FlowTuple:
    """What a flow is found by, in the direction of the packet at hand."""

    protocol: int
    source: End
    destination: End

    def reversed(self) -> "FlowTuple":
        """The tuple of the other direction's packets."""
        return FlowTuple(self.protocol, self.destination, self.source)


@dataclass(slots=True)
class Flow:
    """An entry: its opener's tuple, and what was decided for it under which revision."""

    opener: FlowTuple
    state: FlowState
    marks: int  # FIN_OPENER, FIN_REPLY, OPENER_SILENT
    seen_s: float
    allows: bool
    rule: int
    revision: int

    def lives(self, now_s: float) -> bool:
        """Whether its state's time-out is not over; `now_s` is on the clock of `seen_s`."""
        return now_s - self.seen_s <= FLOW_TIMEOUT_S[self.state]


def first_state(protocol: int) -> FlowState:
    """The state of a flow that was just opened."""
    if protocol == TCP:
        return FlowState.TCP_HALF_OPEN
    return FlowState.ECHO if protocol in (ICMP4, ICMP6) else FlowState.UDP_NEW


def first_marks(packet: Packet, *, reply: bool) -> int:
    """The marks of a TCP flow that this packet began; `reply`: it picked the flow up as one."""
    return fin_mark(packet, reply=reply) | (OPENER_SILENT if reply else 0)


def fin_mark(packet: Packet, *, reply: bool) -> int:
    """The mark that a packet with FIN leaves; 0 for any other."""
    if not packet.has(TcpFlag.FIN):
        return 0
    return FIN_REPLY if reply else FIN_OPENER


def advance(flow: Flow, packet: Packet, *, reply: bool) -> None:
    """Move the state as one packet of an allowed flow moves it.

    A SYN from the opener begins the flow again and clears the FIN marks. The packet's own mark is
    set before both are looked at, so that the second FIN is the one that closes. Nobody makes a
    flow answered alone: replies are none until the opener was heard.
    """
    if not reply:
        flow.marks &= ~OPENER_SILENT
    if packet.opens_tcp and not reply:
        flow.marks = 0
    flow.marks |= fin_mark(packet, reply=reply)
    for event in _events(packet, flow.marks, reply=reply):
        flow.state = TRANSITIONS[flow.state].get(event, flow.state)


def _events(packet: Packet, marks: int, *, reply: bool) -> Iterator[Event]:
    if packet.protocol != TCP:
        if reply:
            yield Event.REPLY
        return
    if packet.opens_tcp and not reply:
        yield Event.SYN
    if packet.has(TcpFlag.ACK) and reply and not marks & OPENER_SILENT:
        yield Event.ACK
    if packet.has(TcpFlag.RST) or marks & _BOTH == _BOTH:
        yield Event.END


def as_markdown() -> str:
    """docs/flow-states.md."""
    lines = [
        "# States of a flow",
        "",
        "Printed from `src/krait/policy/flow.py` by `python -m krait.policy.flow`; a test holds it",
        "current. [How a packet is judged](packet-path.md) says which packets belong to a flow.",
        "",
        "| state | meaning | lives |",
        "|---|---|---|",
        *(
            f"| {label(state)} | {meaning} | {FLOW_TIMEOUT_S[state]} s |"
            for state, meaning in MEANING.items()
        ),
        "",
        "A flow lives as long as that after its last packet that was let pass. An ICMP error about",
        "a flow neither moves nor refreshes it.",
        "",
        "| state | packet | next |",
        "|---|---|---|",
        *(
            f"| {label(state)} | {event.value} | {label(after)} |"
            for state, row in TRANSITIONS.items()
            for event, after in row.items()
        ),
        "",
        "Where several rows fit one packet, they apply from top to bottom, each to the state that",
        "the row before left. A FIN leaves a mark for its side; a SYN from the opener clears both.",
        "The opener was heard if it sent the flow's first packet, or any since; until then more of",
        "the same side answers nothing.",
        "",
    ]
    return "\n".join(lines)


def label(state: FlowState) -> str:
    """A state's name for people, such as `tcp-half-open`."""
    return state.name.lower().replace("_", "-")


if __name__ == "__main__":
    print(as_markdown(), end="")  # noqa: T201 - printing the document is what the module is run for
