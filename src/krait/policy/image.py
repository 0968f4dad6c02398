# SPDX-License-Identifier: Apache-2.0
"""One slot's contents, byte for byte: a compiled policy laid out for tables of a given capacity.

Arrays are packed from index 0 of the slot; prefixes are sets of keys. Writing a slot is then a
comparison of two images, whatever it was that changed.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from operator import itemgetter
from types import MappingProxyType

from krait.common import abi, structs
from krait.common.abi import FIRST_IDENTITY, PairLayout
from krait.policy.capacity import Capacity, triangle
from krait.policy.compile import Compiled, Span
from krait.policy.pairing import Pair, PolicyTooLarge, PortList
from krait.policy.placement import place

ARRAYS = ("self", "addr4", "addr6", "principal", "pair", "shadow_pair", "ends", "rejecting")
PREFIXES = ("prefix4", "prefix6")

MAX_INTERVALS = 1 << 20
"""Port intervals of one node: the tables hold the old and the new, and a reference 22 bits."""

_NO_ADDRESS4 = 0xFFFF_FFFF  # no packet to judge has it: it is in the multicast range
_NO_ADDRESS6 = (1 << 128) - 1
_LOW64 = (1 << 64) - 1
_NS_PER_S = 10**9


@dataclass(frozen=True, slots=True)
class Image:
    """What a slot holds."""

    arrays: Mapping[str, bytes]  # what is missing, or behind the end, is zero
    prefixes: Mapping[str, Mapping[bytes, int]]  # key without its slot byte -> principal
    lists: Mapping[PortList, int]  # offsets in `ports`


EMPTY = Image(
    arrays=MappingProxyType({"self": bytes(structs.SELF.size_bytes)}),
    prefixes=MappingProxyType({name: MappingProxyType({}) for name in PREFIXES}),
    lists=MappingProxyType({}),
)
"""An unarmed slot: every packet drops as `not-ready`."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The prefixes of one IP version, and the part of the mesh's range that its array holds."""

    spans: Sequence[Span]
    base: int
    size: int  # a power of two, or 0

    @property
    def outside(self) -> Iterator[Span]:
        """What the trie must hold: inside the window the array is the whole truth."""
        base, end = self.base, self.base + self.size
        return (each for each in self.spans if each.low < base or each.low + each.size > end)

    def spread(self) -> bytes:
        """Prefixes over the window, the shorter first, so that the longest stays visible."""
        base, end = self.base, self.base + self.size
        numbers = array("I", bytes(4 * self.size))
        for _, low, size, principal, _ in sorted(self.spans, key=itemgetter(0)):
            if size == 1 and base <= low < end:
                numbers[low - base] = principal
            elif (start := max(low, base)) < (stop := min(low + size, end)):
                numbers[start - base : stop - base] = array("I", [principal]) * (stop - start)
        return numbers.tobytes()


def need(compiled: Compiled) -> Capacity:
    """The least capacity that takes a compiled policy. Raises PolicyTooLarge."""
    families = _families(compiled)
    columns = max(len(compiled.numbers.identities), 1)
    ports = sum(len(each) for each in _lists(compiled))
    if ports > MAX_INTERVALS:
        raise PolicyTooLarge(
            f"the policy makes {ports:,} port intervals; a node's table holds {MAX_INTERVALS:,}",
            hint="join ports to ranges, or give nodes that are treated alike the same tags",
        )
    is_triangle = compiled.layout == PairLayout.TRIANGLE
    return Capacity(
        addr4=max(families[4].size, 1),
        addr6=max(families[6].size, 1),
        prefix4=max(sum(1 for _ in families[4].outside), 1),
        prefix6=max(sum(1 for _ in families[6].outside), 1),
        principal=len(compiled.principals) + 1,
        columns=columns,
        pair=triangle(columns) if is_triangle else columns * max(len(compiled.rows), 1),
        layout=compiled.layout,
        ports=max(ports, 1),
        rules=len(compiled.numbers.rules) + 1,
        peers=len(compiled.numbers.peers) + 1,
        shadow_rules=len(compiled.numbers.shadow_rules) + 1 if compiled.shadow else 0,
    )


def draw(compiled: Compiled, capacity: Capacity, held: Mapping[PortList, int]) -> Image:
    """Lay a policy out.

    `held` are the port lists that the slot in force uses: they keep their places and nothing is
    put over them. Raises placement.NoRoom where `ports` is too small for both.
    """
    row_of = _row_starts(compiled, capacity)
    lists = place(_lists(compiled), held, capacity.ports)
    families = _families(compiled)
    return Image(
        arrays=MappingProxyType(
            {
                "self": _self(compiled, families, row_of),
                "addr4": families[4].spread(),
                "addr6": families[6].spread(),
                "principal": _principals(compiled, row_of),
                "pair": _pairs(compiled, compiled.rows, capacity, lists),
                "shadow_pair": _pairs(compiled, compiled.shadow, capacity, lists),
                "ends": _ends(compiled),
                "rejecting": array("I", compiled.rejecting).tobytes(),
            }
        ),
        prefixes=MappingProxyType(
            {
                f"prefix{version}": {
                    _prefix_key(each.cidr): each.principal for each in family.outside
                }
                for version, family in families.items()
            }
        ),
        lists=MappingProxyType(lists),
    )


def _lists(compiled: Compiled) -> dict[PortList, None]:
    return dict.fromkeys(
        each
        for rows in (compiled.rows, compiled.shadow)
        for pair in {pair for row in rows.values() for pair in row}
        for each in pair.lists
        if each
    )


def _families(compiled: Compiled) -> dict[int, _Family]:
    """By IP version."""
    return {version: _family(compiled, version, each) for version, each in compiled.spans.items()}


def _family(compiled: Compiled, version: int, spans: Sequence[Span]) -> _Family:
    """The window is the range's first addresses, as far as its highest single one, in a power of
    two.
    """
    mesh = next((cidr for cidr in compiled.mesh if cidr.version == version), None)
    if mesh is None:
        return _Family(spans, 0, 0)
    base, limit = int(mesh.network_address), min(mesh.num_addresses, abi.MAX_WINDOW)
    single = (each.low - base for each in spans if each.size == 1)
    highest = max((number for number in single if 0 <= number < limit), default=0)
    return _Family(spans, base, min(max(1 << highest.bit_length(), 256), limit))


def _prefix_key(cidr: IPv4Network | IPv6Network) -> bytes:
    """`common.structs.PREFIX4`/`PREFIX6` with 0 as slot."""
    length = structs.PREFIX_SLOT_BITS + cidr.prefixlen
    return length.to_bytes(structs.PREFIX_SLOT_AT, "little") + b"\0" + cidr.network_address.packed


def _row_starts(compiled: Compiled, capacity: Capacity) -> dict[int, int]:
    """The first pair entry of each identity's row; an identity without a row has none to use."""
    if compiled.layout == PairLayout.TRIANGLE:
        return {each: triangle(each - FIRST_IDENTITY) for each in compiled.rows}
    return {each: i * capacity.columns for i, each in enumerate(compiled.rows)}


def _principals(compiled: Compiled, row_of: Mapping[int, int]) -> bytes:
    pack = structs.PRINCIPAL.codec.pack
    nobody = bytes(structs.PRINCIPAL.size_bytes)
    return nobody + b"".join(
        pack(who.identity, row_of.get(who.identity, 0), who.peer, who.flags)
        for who in compiled.principals
    )


def _self(compiled: Compiled, families: Mapping[int, _Family], row_of: Mapping[int, int]) -> bytes:
    mine = {
        version: [each for each in family.spans if each.principal == 1 and each.size == 1]
        for version, family in families.items()
    }
    own4, own6 = (
        next((s.low for s in sorted(mine[version], key=lambda span: span.cidr.is_link_local)), none)
        for version, none in ((4, _NO_ADDRESS4), (6, _NO_ADDRESS6))
    )
    me, net6 = compiled.principals[0], families[6].base
    return structs.SELF.codec.pack(
        net6 >> 64,
        net6 & _LOW64,
        own6 >> 64,
        own6 & _LOW64,
        compiled.clock_ns & _LOW64 if compiled.ends else 0,
        families[4].base,
        families[4].size,
        families[6].size,
        own4,
        me.identity,
        row_of.get(me.identity, 0),
        compiled.flags,
        compiled.limits.opens_per_s or 0,
        compiled.limits.burst,
        0,
    )


def _ends(compiled: Compiled) -> bytes:
    """Nanoseconds since 1970 by rule number; 0 is the default, which has no end."""
    return array("Q", (_NS_PER_S * end for end in (0, *compiled.ends))).tobytes()


def _pairs(
    compiled: Compiled,
    rows_of: Mapping[int, Sequence[Pair]],
    capacity: Capacity,
    lists: Mapping[PortList, int],
) -> bytes:
    pack = structs.PAIR.codec.pack

    def reference(ports: PortList) -> int:
        return abi.list_reference(lists[ports], len(ports)) if ports else 0

    def packed(pair: Pair) -> bytes:
        first, second = pair.lists
        return pack(pair.verdict_class, *pair.rules, reference(first), reference(second))

    distinct = {pair: packed(pair) for row in rows_of.values() for pair in set(row)}
    is_triangle = compiled.layout == PairLayout.TRIANGLE
    rows = (b"".join([distinct[pair] for pair in row]) for row in rows_of.values())
    stride = 0 if is_triangle else capacity.columns * structs.PAIR.size_bytes
    return b"".join(row.ljust(stride, b"\0") for row in rows)
