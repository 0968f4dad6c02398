# SPDX-License-Identifier: Apache-2.0
"""Path MTU discovery through a router that the document does not name, and errors that lie.

alice == tunnel, 1420 bytes == gate -- 1500 -- router -- 1300 -- server

The server's subnet has tags. The router's has none, and is a route of the gate in the document or
is not there at all; WireGuard has it among the gate's allowed IPs in either case.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.mesh import Lab, MeshPeer, full_mesh
from tests.netns.scenarios.conftest import PACKETS, Mesh
from tests.patience import wait_until

NARROW_BYTES = 1300
NEAR = ("10.20.0.0/24", "fd20::/64")
FAR = ("10.30.0.0/24", "fd30::/64")
RULES = ["name: serve, from: a, to: server, ports: [tcp/80, udp/80, icmp]"]
_TAGGED = '{cidr: 10.30.0.0/24, tags: server}, {cidr: "fd30::/64", tags: server}'
LISTED, UNLISTED = f'{_TAGGED}, 10.20.0.0/24, "fd20::/64"', _TAGGED
ECHOES = 5  # of a flow that an error, had it been believed, would have cut before


@pytest.fixture
def mesh(kind: AttachKind) -> Iterator[Mesh]:
    """Alice, Mallory and the gate are peers; Mallory runs no Krait."""
    alice, gate, mallory = full_mesh("alice", "gate", "mallory")
    to_gate, to_mallory = alice.peers
    routed = MeshPeer("gate", (*to_gate.allowed_ips, *NEAR, *FAR))
    alice = replace(alice, peers=(routed, to_mallory))
    with Lab((alice, replace(gate, forwards=True), mallory)) as lab:
        mesh = Mesh(lab, kind)
        mesh.wire("gate", "router", *NEAR)
        mesh.wire("router", "server", *FAR, mtu_bytes=NARROW_BYTES)
        for network, via in zip(FAR, mesh.hosts["router"], strict=True):
            lab["gate"].succeed(f"ip route add {network} via {via}")
        lab["router"].succeed(
            "echo 1 >/proc/sys/net/ipv4/ip_forward"
            " && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"
        )
        # Else the server asks for segments that fit its own link, and nobody has to say anything.
        for family, near in (("-4", "10.30.0.1"), ("-6", "fd30::1")):
            lab["server"].succeed(f"ip {family} route replace default via {near} advmss 1360")
        mesh.serve("server", 80)
        yield mesh


def document(mesh: Mesh, routes: str) -> str:
    nodes = {"alice": "tags: a", "gate": f"tags: g, routes: [{routes}]", "mallory": "tags: m"}
    return mesh.document(nodes, RULES)


def forget(mesh: Mesh, address: str) -> None:
    """Until Alice's kernel knows no path MTU; an error on its way may teach it once more."""

    def is_forgotten() -> bool:
        mesh["alice"].succeed("ip route flush cache && ip -6 route flush cache")
        return not path_mtu_is_known(mesh, address)

    wait_until(is_forgotten)


def path_mtu_is_known(mesh: Mesh, address: str) -> bool:
    """Whether Alice's kernel took the router's word."""
    return f"mtu {NARROW_BYTES}" in mesh["alice"].succeed(["ip", "route", "get", address])


@pytest.mark.parametrize(
    ("routes", "enforcing"),
    [(LISTED, ("alice", "gate")), (UNLISTED, ("alice",))],
    ids=["listed", "unlisted"],
)
def test_a_nameless_router_is_heard(mesh: Mesh, routes: str, enforcing: tuple[str, ...]) -> None:
    mesh.enforce(document(mesh, routes), *enforcing)
    alice = mesh["alice"]
    for address in mesh.hosts["server"]:
        for mode in (["transfer"], ["insist", "udp"], ["insist", "icmp"]):
            forget(mesh, address)
            alice.succeed([*PACKETS, *mode, address])
            assert path_mtu_is_known(mesh, address)
    for name in enforcing:
        assert not mesh.warden(name).drops()
    mesh.fail("alice", "router", "icmp", "udp/80", drops={"alice": "no-identity"})


def test_an_error_from_another_peer_is_not_believed(mesh: Mesh) -> None:
    mesh.enforce(document(mesh, LISTED), "alice")
    alice = mesh.warden("alice")
    for mine, theirs in zip(mesh.hosts["alice"], mesh.hosts["server"], strict=True):
        for liar, is_heard in (("mallory", False), ("router", True)):
            before = alice.drops().get("bad-error", 0)
            live = mesh["alice"].spawn([*PACKETS, "listen", theirs])
            live.wait_for_output("echo")
            mesh[liar].succeed([*PACKETS, "forge", mine, theirs])
            if is_heard:
                live.wait_for_output("too large")
            else:
                wait_until(lambda: alice.drops().get("bad-error", 0) > before)  # noqa: B023 - at once
                live.wait_for_output("echo\n" * (live.stdout.count("echo") + ECHOES))
                assert "too large" not in live.stdout
            live.kill_all()
            assert alice.drops().get("bad-error", 0) == before + (not is_heard)
    assert alice.drops().keys() == {"bad-error"}
