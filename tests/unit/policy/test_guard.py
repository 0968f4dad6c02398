# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from krait.common.guard import GuardMark
from krait.policy.guard import Guard, guard_of
from krait.policy.view import Interface, resolve
from tests.unit.policy.bench import INTERFACE, document

ON = ("policy:\n", "policy:\n  guard: true\n")
MINE = GuardMark.MESH | GuardMark.OWN


def guard(*changes: tuple[str, str], interface: Interface = INTERFACE) -> Guard | None:
    found = document(*changes)
    return guard_of(found, interface, resolve(found, interface))


def marks(*changes: tuple[str, str], interface: Interface = INTERFACE) -> dict[str, GuardMark]:
    found = guard(ON, *changes, interface=interface)
    assert found
    return {str(cidr): mark for cidr, mark in found.marks.items()}


def test_without_a_word_of_it_nothing_is_guarded() -> None:
    assert guard() is None


@pytest.mark.parametrize(("policy", "node", "is_on"), [("true", "false", 0), ("false", "true", 1)])
def test_a_node_says_otherwise_for_itself(policy: str, node: str, is_on: int) -> None:
    own = ("    tags: [db]\n", f"    tags: [db]\n    guard: {node}\n")
    other = ("    tags: [web]\n", f"    tags: [web]\n    guard: {policy}\n")
    assert bool(guard(("policy:\n", f"policy:\n  guard: {policy}\n"), own, other)) == bool(is_on)


def test_the_range_is_the_meshs_and_what_the_kernel_answers_for_is_this_nodes() -> None:
    assert marks() == {
        "10.8.0.0/24": GuardMark.MESH,
        "fd00:8::/64": GuardMark.MESH,
        "10.8.0.1/32": MINE,
        "fd00:8::1/128": MINE,
        "10.8.0.0/32": MINE,  # broadcast, to older kernels
        "10.8.0.255/32": MINE,
        "fd00:8::/128": MINE,  # anycast, to a router
    }


def test_an_address_of_the_document_that_the_interface_lacks_is_this_nodes_too() -> None:
    own = ("    tags: [db]\n", "    tags: [db]\n    address: [10.8.0.1, 10.8.0.9]\n")
    assert marks(own)["10.8.0.9/32"] == MINE


def test_a_link_local_address_of_the_document_is_every_interfaces() -> None:
    own = ("    tags: [db]\n", '    tags: [db]\n    address: [10.8.0.1, "fe80::1"]\n')
    assert "fe80::1/128" not in marks(own)


def test_the_end_of_a_network_that_is_a_nodes_address_is_that_nodes() -> None:
    peers = (replace(INTERFACE.peers[0], allowed_ips=(ip_network("10.8.0.255/32"),)),)
    assert "10.8.0.255/32" not in marks(interface=replace(INTERFACE, peers=peers))


def test_an_address_alone_has_no_network_and_one_of_a_link_is_not_the_meshs() -> None:
    addresses = tuple(map(ip_interface, ("10.8.0.1/32", "10.9.0.0/31", "fe80::1/64")))
    assert marks(interface=replace(INTERFACE, addresses=addresses)) == {
        "10.8.0.0/24": GuardMark.MESH,
        "fd00:8::/64": GuardMark.MESH,
        "10.8.0.1/32": MINE,
        "10.9.0.0/32": MINE,
    }


def test_a_subnet_behind_this_node_is_taken_out_of_the_range_around_it() -> None:
    behind = ("10.31.0.0/24]", "10.31.0.0/24, 10.8.0.64/27]")
    found = guard(ON, behind)
    assert found
    assert found.behind == (ip_network("10.8.0.64/27"),)
    told = marks(behind)
    assert told["10.8.0.64/27"] == GuardMark.NOTHING
    assert "10.31.0.0/24" not in told
    assert told["10.8.0.66/32"] == GuardMark.MESH, "a peer's, though the subnet is around it"
    assert "10.8.0.2/32" not in told


def test_who_has_no_key_behind_this_hub_sends_from_its_own_addresses() -> None:
    hub = ("    tags: [db]\n", "    tags: [db]\n    transit: true\n")
    nodes = (
        "nodes:\n  printer: {via: db1, address: 10.8.0.50, routes: [10.8.0.64/27, 10.60.0.0/24]}\n"
    )
    found = guard(ON, hub, ("nodes:\n", nodes))
    assert found
    assert found.behind == tuple(map(ip_network, ("10.8.0.50/32", "10.8.0.64/27")))
    told = marks(hub, ("nodes:\n", nodes))
    assert told["10.8.0.50/32"] == told["10.8.0.64/27"] == GuardMark.NOTHING
    assert "10.60.0.0/24" not in told


def test_the_end_of_a_network_that_nobody_has_here_is_still_answered_for() -> None:
    behind = ("10.31.0.0/24]", "10.31.0.0/24, {cidr: 10.8.0.128/25, tags: [lan]}]")
    lost = ("    tags: [app]\n", "    tags: [app]\n    address: 10.8.0.255\n")
    assert marks(behind, lost)["10.8.0.255/32"] == MINE
