# SPDX-License-Identifier: Apache-2.0
"""A peer that sends what no honest kernel does: every packet drops for its reason, and no other.

A packet that passes is sent after each of them, over the one session of WireGuard, which keeps the
order: when it has come out behind Bob's filter, what was before it has come out or has not.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest

from krait.lab.mesh import Lab, MeshNode, MeshPeer, full_mesh
from tests.netns.scenarios.conftest import PACKETS, Mesh
from tests.netns.scenarios.hostile import CASES, SPORT, UDP, Ends, Packets
from tests.patience import wait_until
from tests.requirements import KINDS
from tests.strategies.packets import Extension, ip, ip4, ip6, udp

NODES = {"alice": "tags: a", "bob": "tags: b", "carol": "tags: c"}
RULES = [
    "name: web, from: a, to: b, ports: [tcp/80, udp/80]",
    'name: no-ssh, from: "*", to: b, ports: tcp/22, action: deny',
]
EVERYTHING = ("0.0.0.0/0", "::/0")
DATAGRAM_S = 10.0  # for which later fragments are let through
_turn = count(1)


class Victim:
    """Bob, who runs Krait. Alice is hostile, and runs none."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.warden = mesh, mesh.warden("bob")
        watch = [*PACKETS, "watch", "wg0", "80"]
        self.watch = mesh["bob"].spawn(watch)
        self.watch.wait_for_output("ready")
        self.ends = {
            4: Ends(*map(ip_address, (*self._hosts(0), "10.8.0.9", "198.51.100.9"))),
            6: Ends(*map(ip_address, (*self._hosts(1), "fd7a:6b72::9", "2001:db8:9::9"))),
        }

    def _hosts(self, family: int) -> list[str]:
        return [self.mesh.hosts[name][family] for name in NODES]

    def begin_datagrams(self) -> None:
        """Send two first fragments, whose others are to be late."""
        first = udp(SPORT, 80, bytes(24))[:16]
        came_out, _ = self.sent([piece(self, each, first, 0, 21) for each in (4, 6)])
        assert len(came_out) == 2
        self.began_s = time.monotonic()

    def sent(self, frames: Sequence[bytes]) -> tuple[list[bytes], Counter[str]]:
        """Which of them came out behind the filter, and by how much each counter moved."""
        before, seen = self.warden.counted(hushed=True), len(self.watch.stdout)
        ends, word = self.ends[4], b"turn %d." % next(_turn)
        last = ip4(ends.alice, ends.bob, UDP, udp(SPORT, 80, word))
        texts = [frame.hex() for frame in (*frames, last)]
        self.mesh["alice"].succeed([*PACKETS, "frames", "wg0", *texts])
        self.watch.wait_for_output(f"heard {word.hex()}")
        lines = self.watch.stdout[seen:].splitlines()
        came_out = [bytes.fromhex(line[3:]) for line in lines if line.startswith("in ")]
        moved = self.warden.counted(hushed=True) - before - Counter({"rule web": 1})
        return [frame for frame in came_out if word not in frame], moved


def piece(victim: Victim, version: int, data: bytes, offset: int, identifier: int) -> bytes:
    """A fragment that is not the last, of UDP from Alice to Bob."""
    ends = victim.ends[version]
    if version == 4:
        word = 0x2000 | offset // 8
        return ip4(ends.alice, ends.bob, UDP, data, fragment=word, identifier=identifier)
    part = Extension.fragment(offset, identifier=identifier)
    return ip6(ends.alice, ends.bob, UDP, data, extensions=[part])


@pytest.fixture(scope="module", params=KINDS, ids=[each.value for each in KINDS])
def victim(request: pytest.FixtureRequest) -> Iterator[Victim]:
    with Lab(peers()) as lab:
        hush(lab)
        yield on_guard(Mesh(lab, request.param))


def peers() -> tuple[MeshNode, ...]:
    """Bob's, who would be sent anything by Alice."""
    alice, bob, carol = full_mesh(*NODES)
    to_alice, to_carol = bob.peers
    _, to_bob = carol.peers
    anywhere = MeshPeer("alice", (*to_alice.allowed_ips, *EVERYTHING))
    return (
        replace(alice, peers=(MeshPeer("bob", EVERYTHING),)),
        replace(bob, peers=(anywhere, to_carol)),
        replace(carol, peers=(to_bob,)),
    )


def hush(lab: Lab) -> None:
    """No kernel is to send, of its own accord, what would be counted."""
    for name in NODES:  # a tun has a link-local address, from which its kernel asks for routers
        lab[name].succeed("ip -6 address flush dev wg0 scope link")
    # An error about what never became whole would be one more packet of Bob's.
    lab["bob"].succeed(
        "echo 900 >/proc/sys/net/ipv4/ipfrag_time && echo 900 >/proc/sys/net/ipv6/ip6frag_time"
    )


def on_guard(mesh: Mesh) -> Victim:
    mesh.enforce(mesh.document(NODES, RULES), "bob")
    victim = Victim(mesh)
    victim.begin_datagrams()
    return victim


Moves = Mapping[str, int]
ALIKE: dict[str, list[tuple[int, Packets, Moves]]] = {}
"""The cases that move the same counters, by what these are."""
for _each in CASES.values():
    ALIKE.setdefault(" and ".join(_each[2]), []).append(_each)


@pytest.mark.parametrize("cases", ALIKE.values(), ids=ALIKE.keys())
def test_what_is_to_drop_for_one_reason_does_so_back_to_back(
    victim: Victim, cases: Sequence[tuple[int, Packets, Moves]]
) -> None:
    came_out, moved = victim.sent(
        [frame for version, packets, _ in cases for frame in packets(victim.ends[version])]
    )
    assert not came_out
    assert moved == sum((Counter(moves) for *_, moves in cases), Counter())


@pytest.mark.parametrize(("version", "packets", "moves"), CASES.values(), ids=CASES.keys())
def test_a_hostile_packet_drops_for_its_reason(
    victim: Victim, version: int, packets: Packets, moves: Mapping[str, int]
) -> None:
    came_out, moved = victim.sent(packets(victim.ends[version]))
    assert not came_out
    assert moved == moves


@pytest.mark.parametrize("version", [4, 6])
def test_another_peers_address_is_stopped_by_wireguard(victim: Victim, version: int) -> None:
    ends = victim.ends[version]
    came_out, moved = victim.sent([ip(ends.carol, ends.bob, UDP, udp(SPORT, 80))])
    assert not came_out
    assert not moved


def test_a_source_route_of_ipv4_is_refused_by_the_kernel_behind(victim: Victim) -> None:
    ends = victim.ends[4]
    route = bytes((131, 7, 4)) + ends.carol.packed + bytes(1)
    heard = victim.watch.stdout.count("heard")
    routed = ip4(ends.alice, ends.bob, UDP, udp(SPORT, 80, b"routed"), options=route)
    came_out, moved = victim.sent([routed])
    assert len(came_out) == moved["rule web"] == 1  # Krait steps over the option
    assert victim.watch.stdout.count("heard") == heard + 1  # and the last one alone was heard


@pytest.mark.parametrize("version", [4, 6])
def test_nothing_is_written_over_what_was_judged(victim: Victim, version: int) -> None:
    """The ports stay those of the first fragment, however the others overlap it."""
    parts = [(udp(SPORT, 80, bytes(16)), 0), (udp(SPORT, 22, bytes(8)), 0)]
    parts += [(bytes(16), at) for at in (8, 16)]
    came_out, moved = victim.sent([piece(victim, version, *part, 31) for part in parts])
    assert len(came_out) == 1
    # Another first one is judged by what it says itself.
    assert moved == {"rule web": 1, "fragment-overlap": 2, "denied": 1, "rule default": 1}


@pytest.mark.parametrize("version", [4, 6])
def test_an_honest_packet_passes(victim: Victim, version: int) -> None:
    """So that what drops does so for what is wrong with it."""
    ends = victim.ends[version]
    honest = ip(ends.alice, ends.bob, UDP, udp(SPORT, 80))
    came_out, moved = victim.sent([honest])
    assert len(came_out) == moved["rule web"] == 1


def test_a_later_fragment_comes_too_late(victim: Victim) -> None:
    """The first ones were sent before all other tests."""
    wait_until(lambda: time.monotonic() > victim.began_s + DATAGRAM_S + 0.1)
    came_out, moved = victim.sent([piece(victim, each, bytes(16), 16, 21) for each in (4, 6)])
    assert not came_out
    assert moved == {"fragment": 2}
