# SPDX-License-Identifier: Apache-2.0
"""What the guard is to say of a frame, straight from docs/adr/0024-guard.md; and what it says."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from krait.common.guard import GuardMark, GuardReason
from krait.kernel.bpf.testrun import ethernet, run
from krait.kernel.guard import GuardLoad
from krait.policy.model import Address, Network
from tests.strategies.guarded import ARP, IPV4, IPV6, QINQ, VLAN, Frame

GO_ON, DROP = -1, 2
_TAGS, _EXTENSIONS = 3, 4
_HEADERS = (0, 43, 60)  # hop-by-hop, routing, destination options
_ICMP6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_FROM_NEXT_DOOR = 255  # the hop limit


class _TooShort(Exception):
    pass


class Reference:
    """Goes by marks alone."""

    def __init__(self, marks: Mapping[Network, GuardMark]) -> None:
        self._marks = sorted(marks.items(), key=lambda each: -each[0].prefixlen)

    def judge(self, frame: Frame) -> GuardReason:
        try:
            return self._judge(frame.data, frame.kind)
        except _TooShort:
            return GuardReason.TRUNCATED

    def _judge(self, data: bytes, kind: int) -> GuardReason:
        for _ in range(_TAGS):
            if kind in (VLAN, QINQ):
                kind, data = int.from_bytes(_take(data, 2, 2)), data[4:]
        if kind in (VLAN, QINQ):
            return GuardReason.TRUNCATED
        if kind == IPV4:
            _take(data, 0, 20)
            return self._ends(IPv4Address(data[12:16]), IPv4Address(data[16:20]))
        if kind == IPV6:
            _take(data, 0, 40)
            reason = self._ends(IPv6Address(data[8:24]), IPv6Address(data[24:40]))
            return reason or self._discovery(data[40:], data[6], data[7])
        return self._arp(data) if kind == ARP else GuardReason.PASS

    def _ends(self, source: Address, destination: Address) -> GuardReason:
        if GuardMark.MESH in self._mark(source):
            return GuardReason.SOURCE
        return GuardReason.DESTINATION if self._is_own(destination) else GuardReason.PASS

    def _arp(self, data: bytes) -> GuardReason:
        hardware_bytes, address_bytes = _take(data, 4, 2)
        operation = int.from_bytes(_take(data, 6, 2))
        if address_bytes != 4:
            return GuardReason.PASS
        sender = IPv4Address(_take(data, 8 + hardware_bytes, 4))
        target = IPv4Address(_take(data, 12 + 2 * hardware_bytes, 4))
        is_asked = operation == 1 and self._is_own(target)
        is_claimed = GuardMark.MESH in self._mark(sender)
        return GuardReason.NEIGHBOUR if is_asked or is_claimed else GuardReason.PASS

    def _discovery(self, data: bytes, number: int, hop_limit: int) -> GuardReason:
        for _ in range(_EXTENSIONS):
            if number in _HEADERS:
                number, units = _take(data, 0, 2)
                data = data[(units + 1) * 8 :]
        if number in _HEADERS and hop_limit == _FROM_NEXT_DOOR:
            return GuardReason.TRUNCATED
        if number != _ICMP6:
            return GuardReason.PASS
        (kind,) = _take(data, 0, 1)
        if kind not in (_SOLICITATION, _ADVERTISEMENT):
            return GuardReason.PASS
        target = IPv6Address(_take(data, 8, 16))
        is_wrong = (
            self._is_own(target) if kind == _SOLICITATION else GuardMark.MESH in self._mark(target)
        )
        return GuardReason.NEIGHBOUR if is_wrong else GuardReason.PASS

    def _is_own(self, address: Address) -> bool:
        return GuardMark.OWN in self._mark(address)

    def _mark(self, address: Address) -> GuardMark:
        """Of the longest prefix that has it."""
        return next((mark for cidr, mark in self._marks if address in cidr), GuardMark.NOTHING)


def _take(data: bytes, at: int, length: int) -> bytes:
    if len(data) < at + length:
        raise _TooShort
    return data[at : at + length]


class GuardJudge:
    """The guard's program under the same marks."""

    def __init__(self, load: GuardLoad) -> None:
        self._load = load

    def judge(self, frame: Frame) -> GuardReason:
        """By its counters; the verdict and what was counted have to agree with them."""
        before, sent = self._load.drops, ethernet(frame.data, frame.kind)
        verdict = run(self._load.program.fd, sent).verdict
        moved = {
            reason: (
                count.packets - (before[reason].packets if reason in before else 0),
                count.bytes - (before[reason].bytes if reason in before else 0),
            )
            for reason, count in self._load.drops.items()
            if count != before.get(reason)
        }
        if not moved:
            assert verdict == GO_ON, frame
            return GuardReason.PASS
        ((reason, counted),) = moved.items()
        assert (verdict, counted) == (DROP, (1, len(sent))), frame
        return reason


def can_run(frame: Frame) -> bool:
    """Whether BPF_PROG_TEST_RUN takes it: Linux refuses less than the header the frame promises."""
    return len(frame.data) >= {IPV4: 20, IPV6: 40}.get(frame.kind, 0)
