# SPDX-License-Identifier: Apache-2.0
"""Fragments, of question 2 and question 7 of docs/packet-path.md.

Sources: RFC 791 (IPv4), RFC 8200, 4.5 (IPv6), RFC 5722 (overlaps), RFC 6946 (a datagram in one
fragment), RFC 7112 (the first holds every header).
"""

from dataclasses import dataclass

from krait.common.abi import FRAGMENT_TIMEOUT_S
from krait.policy.model import Address

_UNIT_BYTES = 8
_MOST_BYTES = 0xFFFF


@dataclass(frozen=True, slots=True)
class Fragment:
    """Which part of a datagram a packet is: `length` bytes from `offset`, headers not counted.

    `protocol` tells datagrams apart in IPv4 only and is 0 in IPv6.
    """

    id: int
    protocol: int
    offset: int
    length: int

    @property
    def is_first(self) -> bool:
        return self.offset == 0

    def is_possible(self, *, more: bool) -> bool:
        """Whether such a part can be one of a datagram, with `more` to come after it."""
        whole_units = not more or self.length % _UNIT_BYTES == 0
        return self.length > 0 and whole_units and self.offset + self.length <= _MOST_BYTES


@dataclass(frozen=True, slots=True)
class Datagram:
    """What all its fragments have in common, at one hook."""

    source: Address
    destination: Address
    id: int
    protocol: int
    side: str


@dataclass(frozen=True, slots=True)
class FirstFragment:
    """One that passed where ports were asked for: what others of its datagram go by."""

    revision: int
    seen_s: float
    end: int
    rule: int

    def vouches(self, revision: int, now_s: float) -> bool:
        """Whether later fragments may still go by it; `now_s` is on the clock of `seen_s`."""
        return self.revision == revision and now_s - self.seen_s <= FRAGMENT_TIMEOUT_S
