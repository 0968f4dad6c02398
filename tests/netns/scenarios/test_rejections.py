# SPDX-License-Identifier: Apache-2.0
"""Rules that reject: who sends is told, by an error that its own kernel believes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.mesh import Lab, MeshPeer, full_mesh
from krait.lab.traffic import Flow, ask
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import Mesh, Warden, target
from tests.patience import wait_until

ENDS = {"alice": "tags: [a]", "bob": "tags: [b]"}
WEB = "name: web, from: a, to: b, ports: [tcp/80, udp/80]"
NOTHING_ELSE = "name: nothing-else, from: a, to: b, ports: [tcp/81, udp/81, icmp], action: reject"
PROHIBITED = {4: "EHOSTUNREACH", 6: "EACCES"}
"""What Linux tells a datagram's sender (net/ipv4/icmp.c, net/ipv6/icmp.c)."""

LAN = ("10.20.0.0/24", "fd20::/64")
SILENCE_S = 0.5

IN_SOFTWARE = """
import ctypes, fcntl, socket, struct, sys
off = ctypes.create_string_buffer(struct.pack("II", 0x17, 0))  # ETHTOOL_STXCSUM
request = struct.pack("16sP16x", sys.argv[1].encode(), ctypes.addressof(off))
fcntl.ioctl(socket.socket(), 0x8946, request)  # SIOCETHTOOL
"""
"""The kernel works out the checksums of what leaves by an interface, as for a card that cannot."""


def answers(mesh: Mesh, source: str, to: str, *probes: str, timeout_s: float = 5.0) -> list[str]:
    """Of each probe from each address, IPv4 first."""
    targets = [target(probe, address) for probe in probes for address in mesh.hosts[to]]
    machine = mesh[source]
    return [each.answer for each in ask({machine: targets}, timeout_s)[machine]]


def counted(warden: Warden) -> Counter[str]:
    """What became of telling senders, and what dropped for which reason, so far."""
    rejections = warden.status()["rejections"].items()
    told = {word: count["packets"] for word, count in rejections}
    return Counter({**told, **warden.drops()})


@BOTH_KINDS
def test_a_connection_is_refused_at_once_and_a_datagram_prohibited(pair: Mesh) -> None:
    pair.enforce(pair.document(ENDS, [WEB, NOTHING_ELSE]), "alice", "bob")
    alice, bob = pair.warden("alice"), pair.warden("bob")
    before, his = counted(alice), counted(bob)
    pair.succeed("alice", "bob", "tcp/80", "udp/80")
    assert answers(pair, "alice", "bob", "tcp/81") == ["refused"] * 2
    assert answers(pair, "alice", "bob", "udp/81") == [PROHIBITED[4], PROHIBITED[6]]
    assert counted(alice) - before == {"sent": 4, "denied": 4}
    assert counted(bob) == his


def test_a_deny_beside_it_says_nothing(pair: Mesh) -> None:
    deny = NOTHING_ELSE.replace("reject", "deny")
    pair.enforce(pair.document(ENDS, [WEB, deny]), "alice")
    found = answers(pair, "alice", "bob", "tcp/81", "udp/81", timeout_s=SILENCE_S)
    assert set(found) == {"timeout"}
    assert (+counted(pair.warden("alice"))).keys() == {"denied"}


@BOTH_KINDS
def test_a_connection_that_is_revoked_ends_with_a_reset(pair: Mesh) -> None:
    pair.enforce(pair.document(ENDS, [WEB.replace("80", "90"), NOTHING_ELSE]), "alice", "bob")
    warden = pair.warden("alice")
    with Flow(pair["alice"], pair["bob"], target("tcp/90", pair.hosts["bob"][0])) as live:
        wait_until(lambda: live.report().backward.received >= 20, live.report)
        before = counted(warden)
        revoked = NOTHING_ELSE.replace("81", "90")
        warden.enforce(pair.document(ENDS, [revoked]))
        wait_until(lambda: counted(warden)["sent"] > before["sent"], warden.status)
        wait_until(lambda: "ConnectionResetError" in live.report().error, live.report)


def test_what_no_rule_allows_is_told_if_the_default_rejects(pair: Mesh) -> None:
    text = pair.document(ENDS, [WEB]).replace("policy:\n", "policy:\n  default: reject\n")
    pair.enforce(text, "alice")
    assert answers(pair, "alice", "bob", "tcp/81") == ["refused"] * 2
    pair.succeed("alice", "bob", "tcp/80")


def test_a_peer_is_told_only_if_the_policy_says_so(pair: Mesh) -> None:
    """Alice has no Krait."""
    text = pair.document(ENDS, [WEB, NOTHING_ELSE])
    pair.enforce(text, "bob")
    bob = pair.warden("bob")
    before = counted(bob)
    assert set(answers(pair, "alice", "bob", "tcp/81", timeout_s=SILENCE_S)) == {"timeout"}
    assert (counted(bob) - before).keys() == {"denied"}
    before = counted(bob)
    pair.enforce(text.replace("policy:\n", "policy:\n  reject_ingress: true\n"), "bob")
    assert answers(pair, "alice", "bob", "tcp/81") == ["refused"] * 2
    assert answers(pair, "alice", "bob", "udp/81") == [PROHIBITED[4], PROHIBITED[6]]
    pair.succeed("alice", "bob", "tcp/80", "udp/80")
    assert counted(bob) - before == {"sent": 4, "denied": 4}


@BOTH_KINDS
def test_two_that_reject_all_do_not_answer_each_others_answers(pair: Mesh) -> None:
    text = pair.document(ENDS, []).replace(
        "policy:\n  rules:\n", "policy: {default: reject, reject_ingress: true}\n"
    )
    pair.enforce(text, "bob")
    assert answers(pair, "alice", "bob", "tcp/81") == ["refused"] * 2
    pair.enforce(text, "alice")
    assert answers(pair, "alice", "bob", "tcp/81") == ["refused"] * 2
    assert answers(pair, "bob", "alice", "udp/81") == [PROHIBITED[4], PROHIBITED[6]]
    assert +counted(pair.warden("alice")) == {"sent": 2, "denied": 2}
    assert +counted(pair.warden("bob")) == {"sent": 4, "denied": 4}


FLOOD = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    sock.sendto(b"x", (sys.argv[1], 81))
"""


def test_a_sender_is_told_of_so_many_a_second_and_no_more(pair: Mesh) -> None:
    pair.enforce(pair.document(ENDS, [WEB, NOTHING_ELSE]), "alice")
    pair["alice"].succeed(["python3", "-c", FLOOD, pair.hosts["bob"][0], "1000"])
    found = counted(pair.warden("alice"))
    assert found["sent"] >= 100
    assert found["limited"] > 0
    assert found["sent"] + found["limited"] == found["denied"] == 1000


@pytest.fixture
def routed(kind: AttachKind) -> Iterator[Mesh]:
    """Alice, and a gate with a printer behind it."""
    alice, gate = full_mesh("alice", "gate")
    (to_gate,) = alice.peers
    peer = MeshPeer("gate", (*to_gate.allowed_ips, *LAN))
    with Lab((replace(alice, peers=(peer,)), replace(gate, forwards=True))) as lab:
        mesh = Mesh(lab, kind)
        mesh.wire("gate", "printer", *LAN)
        for name in mesh.hosts:
            mesh.serve(name, 80, 81)
        yield mesh


@BOTH_KINDS
@pytest.mark.parametrize("checksums", ["of the interface", "in software"])
def test_a_host_behind_a_node_is_told_too(routed: Mesh, checksums: str) -> None:
    """Its packets come without checksums, left to its interface; the answers have theirs."""
    if checksums == "in software":
        routed["gate"].succeed(["python3", "-c", IN_SOFTWARE, "printer"])
    nodes = {
        "alice": "tags: [a]",
        "gate": "tags: [g], routes: [{cidr: 10.20.0.0/24, tags: lan},"
        ' {cidr: "fd20::/64", tags: lan}]',
    }
    rules = [
        "name: scan, from: lan, to: a, ports: udp/80",
        "name: no, from: lan, to: a, ports: [tcp, udp/81], action: reject",
    ]
    routed.enforce(routed.document(nodes, rules), "gate")
    routed.succeed("printer", "alice", "udp/80")
    assert answers(routed, "printer", "alice", "tcp/80") == ["refused"] * 2
    assert answers(routed, "printer", "alice", "udp/81") == [PROHIBITED[4], PROHIBITED[6]]
    assert +counted(routed.warden("gate")) == {"sent": 4, "denied": 4}
