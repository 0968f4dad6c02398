# SPDX-License-Identifier: Apache-2.0
"""What a node guards, and frames on its other interfaces that are about that, or nearly.

By plain random numbers: what matters is that each question of the guard's comes up often.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random
from struct import pack

from krait.common.guard import GuardMark
from krait.policy.model import Address, Network
from tests.strategies.packets import DESTINATION_OPTIONS, HOP_BY_HOP, Extension, icmp, ip4, ip6, udp

IPV4, ARP, VLAN, QINQ, IPV6 = 0x0800, 0x0806, 0x8100, 0x88A8, 0x86DD
UDP, ICMP6, ANY_HOST = 17, 58, "ff02::1:ff00:1"
LAN4, LAN6 = ("192.0.2.1", "192.0.2.7", "0.0.0.0"), ("2001:db8::7", "fe80::1", "::")  # noqa: S104
_ND_KINDS = (133, 134, 135, 135, 136, 136, 137)
_EXTENSIONS = (HOP_BY_HOP, DESTINATION_OPTIONS, 43, 44, 51)


@dataclass(frozen=True)
class Guarded:
    """What is marked, and addresses in it and beside it."""

    marks: Mapping[Network, GuardMark]
    addresses4: Sequence[Address]
    addresses6: Sequence[Address]


@dataclass(frozen=True)
class Frame:
    """From the network header on, and what the Ethernet header says that it is."""

    data: bytes
    kind: int

    def __str__(self) -> str:
        return f"{self.kind:#06x} {self.data.hex()}"


def guarded(random: Random) -> Guarded:
    """One node's marks, as `guard_of` would make them."""
    found: dict[Network, GuardMark] = {}
    near: dict[int, list[Address]] = {4: [*map(ip_address, LAN4)], 6: [*map(ip_address, LAN6)]}
    for base in ("10.8.0.0", "fd00:8::"):
        for mesh in _ranges(random, base):
            found[mesh] = GuardMark.MESH
            behind = _inside(random, mesh, 5)
            if random.random() < 0.7:
                found[behind] = GuardMark.NOTHING
                found[_inside(random, behind, 99)] = GuardMark.MESH  # another node's
            own = _inside(random, random.choice((mesh, behind)), 99)
            found[own] = GuardMark.MESH | GuardMark.OWN
    for cidr in found:
        first, last = cidr[0], cidr[-1]
        near[cidr.version] += [first, last, cidr[cidr.num_addresses // 2]]
        near[cidr.version] += [_beside(first, -1), _beside(last, 1)]
    return Guarded(found, near[4], near[6])


def frames(random: Random, around: Guarded) -> Iterator[Frame]:
    """Without end."""
    while True:
        data, kind = random.choice((_ipv4, _ipv6, _ipv6, _neighbour, _neighbour, _arp))(
            random, around
        )
        for tag in random.choices((VLAN, QINQ), k=random.choice((0, 0, 0, 1, 1, 2, 3, 4, 5))):
            data, kind = pack(">HH", random.randrange(1 << 16), kind) + data, tag
        change = random.random()
        if change < 0.1:
            data = data[: random.randrange(len(data) + 1)]
        elif change < 0.2:
            at = random.randrange(len(data))
            data = data[:at] + random.randbytes(1) + data[at + 1 :]
        elif change < 0.23:
            kind = random.choice((IPV4, ARP, VLAN, QINQ, IPV6, 0x88CC))
        yield Frame(data, kind)


def _ranges(random: Random, base: str) -> Iterator[Network]:
    bits = {4: (16, 20, 24), 6: (48, 64, 112)}[ip_address(base).version]
    whole = ip_network(f"{base}/{random.choice(bits)}")
    yield whole
    if random.random() < 0.3:
        yield ip_network(f"{_beside(whole[-1], 1)}/{whole.max_prefixlen - 3}")


def _inside(random: Random, cidr: Network, most_bits: int) -> Network:
    """A smaller range of it: by as many bits at most, or one address."""
    length = min(cidr.prefixlen + random.randrange(1, 6), cidr.max_prefixlen)
    if most_bits > 5:
        length = cidr.max_prefixlen
    start = int(cidr[0]) + random.randrange(cidr.num_addresses)
    address = (IPv4Address if cidr.version == 4 else IPv6Address)(start)
    return ip_network(f"{address}/{length}", strict=False)


def _beside(address: Address, step: int) -> Address:
    return type(address)(int(address) + step)


def _ipv4(random: Random, around: Guarded) -> tuple[bytes, int]:
    source, destination = random.choices(around.addresses4, k=2)
    options = bytes(4 * random.choice((0, 0, 1, 10)))
    return ip4(source, destination, random.choice((UDP, 1, 47)), udp(1, 2), options=options), IPV4


def _ipv6(random: Random, around: Guarded) -> tuple[bytes, int]:
    source, destination = random.choices(around.addresses6, k=2)
    return _with_hops(random, ip6(source, destination, UDP, udp(1, 2))), IPV6


def _neighbour(random: Random, around: Guarded) -> tuple[bytes, int]:
    """Neighbour discovery, from the LAN more often than not, behind any number of headers."""
    source = random.choice((*map(ip_address, LAN6 * 5), *around.addresses6))
    rest = bytes(4) + random.choice(around.addresses6).packed
    body = icmp(random.choice(_ND_KINDS), 0, rest)
    count = random.choice((0, 0, 1, 2, 3, 4, 5, 6))
    chain = [_extension(random) for _ in range(count)]
    packet = ip6(source, ANY_HOST, random.choice((ICMP6,) * 9 + (UDP,)), body, extensions=chain)
    return _with_hops(random, packet), IPV6


def _extension(random: Random) -> Extension:
    number = random.choice((*_EXTENSIONS[:3] * 6, *_EXTENSIONS))
    return Extension.options(number, random.choice((0, 0, 0, 1, 2)))


def _with_hops(random: Random, packet: bytes) -> bytes:
    return packet[:7] + bytes((random.choice((1, 64, 254, 255, 255)),)) + packet[8:]


def _arp(random: Random, around: Guarded) -> tuple[bytes, int]:
    sender, target = random.choices(around.addresses4, k=2)
    if random.random() < 0.5:
        sender = ip_address(random.choice(LAN4))
    hardware_bytes, address_bytes = (
        random.choice((6, 6, 6, 0, 8, 20)),
        random.choice((4,) * 9 + (16,)),
    )
    operation = random.choice((1, 1, 1, 2, 2, 3, 8, 256))
    lead = pack(">HHBBH", 1, IPV4, hardware_bytes, address_bytes, operation)
    mac = random.randbytes(hardware_bytes)
    return lead + mac + sender.packed + mac + target.packed, ARP
