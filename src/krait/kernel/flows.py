# SPDX-License-Identifier: Apache-2.0
"""The live flows of a datapath: who opened what to whom, and when it was last seen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from krait.common.abi import FLOW_MARKS, FLOW_TIMEOUT_S, STATE_MASK, FlowState
from krait.common.layout import Layout
from krait.common.structs import FLOW, FLOW_KEY
from krait.kernel.bpf.clock import TickClock, ticks_per_second
from krait.kernel.bpf.map import Map
from krait.policy.flow import FlowTuple
from krait.policy.model import Address

_TABLES = ("flows", "unanswered")
_OPENER_IS_B, _ALLOW = 1 << 30, 1 << 31
_SLACK_TICKS = 16  # one CPU's clock may have ticked before another's, as in ebpf/krait/clock.h
_TICKS = 1 << 32


@dataclass(frozen=True, slots=True)
class LiveFlow:
    """An entry of the flow table whose time is not over."""

    opener: FlowTuple
    state: FlowState
    marks: int  # of abi.FLOW_MARKS
    age_s: float  # since its last packet that passed
    allowed: bool  # under `revision`; under another it is judged anew with its next packet
    rule: int  # that decided so, by its number in the tables then
    revision: int

    @property
    def left_s(self) -> float:
        """How long it lives on without a packet."""
        return FLOW_TIMEOUT_S[self.state] - self.age_s


def read_flows(maps: Mapping[str, Map]) -> Iterator[LiveFlow]:
    """Every live flow, as its table is walked: some thousands are held at a time.

    One that comes or goes meanwhile may be there or not, or twice if it is answered then. Those
    whose state has timed out are left out, though the table still has them: to a packet they are as
    if they were not there. Raises BpfRefused.
    """
    hz = ticks_per_second()
    with TickClock() as clock:
        for keys, values in chain(*(maps[name].items() for name in _TABLES)):
            now = clock.now()
            entries = zip(
                FLOW_KEY.codec.iter_unpack(keys), FLOW.codec.iter_unpack(values), strict=True
            )
            for key, value in entries:
                flow = decode(key, value, now, hz)
                if flow is not None:
                    yield flow


def decode(key: tuple[int, ...], value: tuple[int, ...], now: int, hz: int) -> LiveFlow | None:
    """An entry as its layouts' codecs unpack it, `now` in ticks of which a second has `hz`.

    None if its time is over, or it is none that packets make.
    """
    word, state = value[_IN_FLOW["word"]], value[_IN_FLOW["state"]]
    base = state & STATE_MASK
    if base >= len(FlowState):
        return None
    age_ticks = max((now - value[_IN_FLOW["seen"]] + _SLACK_TICKS) % _TICKS - _SLACK_TICKS, 0)
    if age_ticks > FLOW_TIMEOUT_S[FlowState(base)] * hz:
        return None
    try:
        a, b = ((_address(key, end), key[_IN_KEY[f"port_{end}"]]) for end in ("a", "b"))
    except ValueError:
        return None
    ends = (b, a) if word & _OPENER_IS_B else (a, b)
    return LiveFlow(
        opener=FlowTuple(key[_IN_KEY["protocol"]], *ends),
        state=FlowState(base),
        marks=state & FLOW_MARKS,
        age_s=age_ticks / hz,
        allowed=bool(word & _ALLOW),
        rule=value[_IN_FLOW["rule"]],
        revision=word >> 32,
    )


def _address(key: tuple[int, ...], end: str) -> Address:
    high, low = key[_IN_KEY[end] : _IN_KEY[end] + 2]
    match key[_IN_KEY["family"]]:
        case 4:
            return IPv4Address(high << 64 | low)
        case 6:
            return IPv6Address(high << 64 | low)
        case family:
            raise ValueError(f"a flow of family {family}")


def _places(layout: Layout) -> Mapping[str, int]:
    """Where each member begins among the numbers that the layout's codec unpacks."""
    found, at = {}, 0
    for name, fmt in layout.members:
        found[name] = at
        at += int(fmt[:-1] or 1)
    return found


_IN_KEY, _IN_FLOW = _places(FLOW_KEY), _places(FLOW)
