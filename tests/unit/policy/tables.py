# SPDX-License-Identifier: Apache-2.0
"""Reads a drawn image as the kernel program does, but one question at a time."""

from dataclasses import dataclass
from typing import NamedTuple

from krait.common import abi, structs
from krait.common.abi import FIRST_IDENTITY, PairLayout
from krait.policy.capacity import SMALLEST, Capacity
from krait.policy.compile import Compiled, compile_policy
from krait.policy.image import Image, draw, need
from krait.policy.model import Address
from tests.strategies.worlds import World

_LOW64 = (1 << 64) - 1


class Own(NamedTuple):
    """`struct krait_self`."""

    net6_hi: int
    net6_lo: int
    own6_hi: int
    own6_lo: int
    clock_ns: int
    net4: int
    size4: int
    size6: int
    own4: int
    identity: int
    row: int
    flags: int
    opens: int
    burst: int
    zero: int


class PrincipalEntry(NamedTuple):
    identity: int
    row: int
    peer: int
    flags: int


class PairEntry(NamedTuple):
    verdict_class: int
    rule_low: int
    rule_high: int
    list_low: int
    list_high: int


@dataclass(frozen=True)
class FilledTables:
    """An image in tables of its capacity."""

    compiled: Compiled
    capacity: Capacity
    image: Image

    @property
    def own(self) -> Own:
        return Own(*structs.SELF.codec.unpack(self.image.arrays["self"]))

    def owner(self, address: Address) -> PrincipalEntry | None:
        number = self._number(address)
        if not number:
            return None
        size = structs.PRINCIPAL.size_bytes
        packed = self.image.arrays["principal"][number * size : (number + 1) * size]
        return PrincipalEntry(*structs.PRINCIPAL.codec.unpack(packed))

    def _number(self, address: Address) -> int:
        own, value = self.own, int(address)
        if address.version == 4:
            index, size = value ^ own.net4, own.size4
        elif value >> 64 == own.net6_hi:
            index, size = (value & _LOW64) ^ own.net6_lo, own.size6
        else:
            index, size = 0, 0
        if index < size:
            packed = self.image.arrays[f"addr{address.version}"]
            return int.from_bytes(packed[4 * index : 4 * index + 4], "little")
        prefixes = self.image.prefixes[f"prefix{address.version}"]
        for length in range(address.max_prefixlen, -1, -1):
            kept = value >> (address.max_prefixlen - length) << (address.max_prefixlen - length)
            key = (8 + length).to_bytes(4, "little") + b"\0" + type(address)(kept).packed
            if key in prefixes:
                return prefixes[key]
        return 0

    def pair(self, near: PrincipalEntry, far: PrincipalEntry) -> PairEntry:
        row, column = near, far
        if self.capacity.layout == PairLayout.TRIANGLE and near.identity < far.identity:
            row, column = far, near
        index = row.row + column.identity - FIRST_IDENTITY
        assert index < self.capacity.pair
        size = structs.PAIR.size_bytes
        packed = self.image.arrays["pair"][index * size : (index + 1) * size]
        return PairEntry(*structs.PAIR.codec.unpack(packed))

    def decide(self, reference: int, protocol: int, port: int) -> tuple[bool, int]:
        """(may open, rule number in the tables) by a list of intervals."""
        offset, length = divmod(reference, 1 << abi.LIST_LENGTH_BITS)
        places = {at: ports for ports, at in self.image.lists.items()}
        for interval in places[offset][:length] if length else ():
            if interval >> 40 <= protocol << 16 | port <= interval >> 16 & 0xFFFFFF:
                return bool(interval >> 15 & 1), interval & 0x7FFF
        return False, 0


def tables(world: World) -> FilledTables:
    compiled = compile_policy(world.document, world.view)
    capacity = SMALLEST.grown(need(compiled))
    return FilledTables(compiled, capacity, draw(compiled, capacity, {}))
