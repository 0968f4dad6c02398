# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from dataclasses import replace

import pytest

from krait.lab.cable import End
from krait.lab.machine import TIMEOUT_S, CommandFailed
from krait.lab.mesh import Lab, MeshPeer, full_mesh, hub_and_spokes
from krait.lab.traffic import SILENCE_S, Protocol, Target, ask


def pings(lab: Lab, source: str, *addresses: str) -> list[bool]:
    return _pings(lab, source, addresses, TIMEOUT_S)


def unheard(lab: Lab, source: str, *addresses: str) -> bool:
    """Whether none of them answers for a while."""
    return not any(_pings(lab, source, addresses, SILENCE_S))


def _pings(lab: Lab, source: str, addresses: Sequence[str], timeout_s: float) -> list[bool]:
    targets = [Target(Protocol.ICMP, address) for address in addresses]
    ((_, answers),) = ask({lab[source]: targets}, timeout_s).items()
    return [answer.ok for answer in answers]


def test_in_a_full_mesh_of_four_every_node_reaches_every_other_both_ways() -> None:
    lines: list[str] = []
    nodes = full_mesh("a", "b", "c", "d")
    with Lab(nodes, report=lines.append) as lab:
        for source in nodes:
            others = [host for node in nodes if node is not source for host in node.hosts]
            assert pings(lab, source.name, *others) == [True] * 6
        for node in nodes:
            assert lab.public_key(node.name) in lab[node.name].succeed("wg show wg0 public-key")
            handshakes = lab[node.name].succeed("wg show wg0 latest-handshakes").split()[1::2]
            assert len(handshakes) == 3
            assert "0" not in handshakes
        kind = lab["a"].succeed("ip -d link show wg0")
        assert lab.userspace == ("wireguard" not in kind)
    assert "every peer answers over IPv4 and IPv6" in lines


def test_two_labs_at_once_do_not_meet() -> None:
    with Lab(full_mesh("a", "b")) as one, Lab(full_mesh("a", "b")) as two:
        assert one.public_key("a") != two.public_key("a")
        one["b"].block()
        assert unheard(one, "a", "10.8.0.2", "fd7a:6b72::2")
        assert pings(two, "a", "10.8.0.2", "fd7a:6b72::2") == [True, True]


def test_spokes_reach_each_other_through_the_hub_only() -> None:
    with Lab(hub_and_spokes("hub", "x", "y")) as lab:
        assert pings(lab, "x", *lab.nodes["y"].hosts) == [True, True]
        assert len(lab["x"].succeed("wg show wg0 peers").split()) == 1
        lab["hub"].succeed("echo 0 >/proc/sys/net/ipv4/ip_forward")
        assert unheard(lab, "x", "10.8.0.3")


def test_a_lan_behind_a_node_is_reached_by_its_route() -> None:
    x, y = full_mesh("x", "y")
    lan = MeshPeer("y", (*x.peers[0].allowed_ips, "10.20.0.0/24", "fd20::/64"))
    with Lab((replace(x, peers=(lan,)), replace(y, forwards=True))) as lab:
        host = lab.add("host")
        lab.wire(
            End(lab["y"], "lan0", ("10.20.0.1/24", "fd20::1/64")),
            End(host, "lan0", ("10.20.0.2/24", "fd20::2/64")),
        )
        host.succeed("ip route add default via 10.20.0.1; ip -6 route add default via fd20::1")
        assert pings(lab, "x", "10.20.0.2", "fd20::2") == [True, True]


def test_a_machine_added_to_the_underlay_reaches_the_nodes_outside_the_mesh() -> None:
    with Lab(full_mesh("a", "b")) as lab:
        lab.add("stranger", on_underlay=True)
        assert pings(lab, "stranger", "192.0.2.1", "2001:db8::2") == [True, True]
        assert unheard(lab, "stranger", "10.8.0.1")


def test_a_machine_that_crashed_comes_back_into_the_mesh() -> None:
    with Lab(full_mesh("a", "b")) as lab:
        key = lab.public_key("b")
        lab["b"].crash()
        assert unheard(lab, "a", "10.8.0.2")
        lab.restart("b")
        assert lab.public_key("b") == key
        lab.wait_until_connected()


def test_a_lab_that_cannot_be_built_ends_what_it_began() -> None:
    good, bad = full_mesh("good", "bad")
    lab = Lab((good, replace(bad, peers=(MeshPeer("good", ("no prefix",)),))))
    with pytest.raises(CommandFailed, match="setconf"), lab:
        pass
    assert len(lab.machines) == 2
    assert not any(machine.is_up() for machine in lab.machines.values())
