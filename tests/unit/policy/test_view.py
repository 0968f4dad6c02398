# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from krait.common.errors import UsageError
from krait.policy.model import Action, Document, Labels, Mark, Mesh, Node, Policy, Route
from krait.policy.view import HERE, Interface, Peer, Principal, resolve
from tests.strategies.documents import key

NOWHERE = Mark(1, 1)


def node(name: str, *tags: str, addresses: str = "", routes: tuple[Route, ...] = ()) -> Node:
    return Node(
        name,
        key(name),
        frozenset(tags),
        tuple(map(ip_address, addresses.split())),
        routes,
        endpoint=None,
        preshared_key_file=None,
        transit=False,
        via=None,
        mark=NOWHERE,
    )


def route(cidr: str, *tags: str) -> Route:
    return Route(ip_network(cidr), frozenset(tags), NOWHERE)


def document(*nodes: Node, mesh: str | None = "10.8.0.0/24") -> Document:
    cidrs = Mesh((ip_network(mesh),), None) if mesh else None
    return Document("t.yaml", None, None, cidrs, nodes, Policy(Action.DENY, False, (), ()))


def interface(**peers: str) -> Interface:
    return Interface(
        key("me"),
        (ip_interface("10.8.0.1/24"),),
        tuple(
            Peer(key(name), tuple(map(ip_network, allowed.split())))
            for name, allowed in peers.items()
        ),
    )


def owners(document: Document, interface: Interface) -> dict[str, tuple[Labels | None, int]]:
    found = resolve(document, interface).owners
    return {str(cidr): (who.labels, who.peer) for cidr, who in found.items() if who}


ME = node("me", "me")
A = frozenset({"a"})
LAN = frozenset({"lan"})


def test_a_full_length_allowed_ip_inside_the_mesh_is_the_nodes_own() -> None:
    assert owners(document(ME, node("a", "a")), interface(a="10.8.0.2/32 10.9.0.2/32")) == {
        "10.8.0.2/32": (A, 1),
        "10.9.0.2/32": (None, 1),
        "10.8.0.1/32": (frozenset({"me"}), HERE),
    }


def test_where_the_document_lists_addresses_only_those_are_the_nodes_own() -> None:
    a = node("a", "a", addresses="10.8.0.2")
    found = owners(document(ME, a), interface(a="10.8.0.2/32 10.8.0.3/32"))
    assert found["10.8.0.2/32"] == (A, 1)
    assert found["10.8.0.3/32"] == (None, 1)


def test_without_a_mesh_the_interfaces_own_prefixes_are_its_range() -> None:
    found = owners(document(ME, node("a", "a"), mesh=None), interface(a="10.8.0.2/32 10.9.0.2/32"))
    assert found["10.8.0.2/32"] == (A, 1)
    assert found["10.9.0.2/32"] == (None, 1)


def test_a_link_local_allowed_ip_is_the_nodes_own_and_a_prefix_of_them_nobodys() -> None:
    given = interface(a="10.8.0.2/32 10.8.0.0/24 fe80::2/128 169.254.0.2/32", b="fe80::/64 ::/0")
    a = node("a", "a", addresses="10.8.0.2 10.8.0.3 10.8.0.4")
    view = resolve(document(ME, a, node("b", "b")), given)
    found = owners(document(ME, a, node("b", "b")), given)
    assert found["fe80::2/128"] == found["169.254.0.2/32"] == found["10.8.0.3/32"] == (A, 1)
    assert ip_network("fe80::/64") not in view.owners
    assert view.owners[ip_network("fe80::/10")] is None
    assert ip_network("169.254.0.0/16") not in view.owners


def test_a_link_local_address_of_the_document_is_carved_out_of_its_peers_allowed_ips() -> None:
    a, b = node("a", "a", addresses="fe80::2"), node("b", "b", addresses="fe80::3")
    found = owners(document(ME, a, b), interface(a="fe80::/64", b="10.8.0.3/32"))
    assert found["fe80::2/128"] == (A, 1)
    assert "fe80::3/128" not in found


def test_this_nodes_own_link_local_address_is_its_own() -> None:
    given = replace(interface(), addresses=(ip_interface("fe80::1/64"),))
    assert owners(document(ME), given) == {"fe80::1/128": (frozenset({"me"}), HERE)}


def test_a_routed_subnet_never_inherits_its_routers_tags() -> None:
    a = node("a", "a", routes=(route("10.20.0.0/24"), route("10.30.0.0/24", "lan")))
    found = owners(document(ME, a), interface(a="10.20.0.0/24 10.30.0.0/16"))
    assert found["10.20.0.0/24"] == (None, 1)
    assert found["10.30.0.0/16"] == (None, 1)
    assert found["10.30.0.0/24"] == (LAN, 1)


def test_a_claim_on_what_wireguard_gives_another_peer_counts_for_nothing() -> None:
    a = node("a", "a", routes=(route("10.30.5.0/24", "lan"), route("10.30.6.0/25", "lan")))
    given = interface(a="10.30.0.0/16", b="10.30.5.0/24 10.30.6.0/24")
    view = resolve(document(ME, a, node("b", "b")), given)
    assert view.owners[ip_network("10.30.5.0/24")] == Principal("10.30.5.0/24 behind b", None, 2)
    assert ip_network("10.30.6.0/25") not in view.owners, "nobody in it has an identity"
    assert len(view.warnings) == 2


def test_a_claim_outside_the_peers_allowed_ips_counts_for_nothing() -> None:
    a = node("a", "a", routes=(route("10.40.0.0/24", "lan"),))
    view = resolve(document(ME, a), interface(a="10.8.0.2/32"))
    assert ip_network("10.40.0.0/24") not in view.owners
    assert "10.40.0.0/24 behind a" in view.warnings[0]


OFFICE = node("hub", "hub", routes=(route("10.30.0.0/16", "office"),))
"""Whose tagged route may be around what is another's."""


@pytest.mark.parametrize("allowed", [{}, {"a": "10.8.0.2/32"}])
def test_what_nobody_vouches_for_is_nobodys_in_the_wider_route_around_it(
    allowed: dict[str, str],
) -> None:
    a = node("a", "a", routes=(route("10.30.5.0/24", "lan"), route("10.40.0.0/24", "lan")))
    view = resolve(document(ME, OFFICE, a), interface(hub="10.30.0.0/16", **allowed))
    assert view.owners[ip_network("10.30.0.0/16")] is not None
    assert view.owners[ip_network("10.30.5.0/24")] is None
    assert ip_network("10.40.0.0/24") not in view.owners
    assert "10.30.5.0/24 behind a" in view.warnings[0]


def test_in_an_exit_s_route_to_everything_no_node_of_the_mesh_is_the_internet() -> None:
    hub = node("hub", "hub", routes=(route("0.0.0.0/0", "internet"),))
    a, b = node("a", "a", addresses="10.8.0.2 10.8.0.3"), node("b", addresses="10.8.0.4")
    me = replace(ME, addresses=tuple(map(ip_address, ("10.8.0.1", "10.8.0.9"))))
    view = resolve(document(me, hub, a, b), interface(hub="0.0.0.0/0"))
    nobodys = [str(cidr) for cidr, who in view.owners.items() if who is None and cidr.is_private]
    assert {*nobodys} >= {"10.8.0.2/32", "10.8.0.3/32", "10.8.0.9/32"}
    assert view.warnings == (
        "me: not all of its addresses are on the interface: nothing reaches those",
        "no peer here leads to a and 1 more: nothing passes to or from there",
    )
    assert len(resolve(document(ME, hub, a, b), interface(hub="0.0.0.0/0")).warnings) == 1
    listed = replace(ME, addresses=(ip_address("10.8.0.1"),))
    assert len(resolve(document(listed, hub, a), interface(hub="0.0.0.0/0")).warnings) == 1
    assert owners(document(me, hub, a), interface(hub="0.0.0.0/0"))["10.8.0.1/32"][1] == HERE


def test_what_nobody_vouches_for_is_nobodys_in_a_wider_route_of_this_node_s_own() -> None:
    me = replace(ME, routes=(route("10.30.0.0/16", "lan"),))
    a = node("a", "a", routes=(route("10.30.5.0/24", "guest"),))
    view = resolve(document(me, a), interface(a="10.8.0.2/32"))
    assert view.owners[ip_network("10.30.5.0/24")] is None


def test_what_has_no_identity_anyway_stays_its_peers_for_errors_and_counters() -> None:
    a = node("a", "a", addresses="10.8.0.9")
    view = resolve(document(ME, node("hub"), a), interface(hub="10.8.0.0/24"))
    assert ip_network("10.8.0.9/32") not in view.owners
    assert not view.warnings


def test_a_spoke_is_vouched_for_by_its_hub() -> None:
    hub = replace(node("hub", "hub"), transit=True)
    spoke = replace(node("spoke", "a", addresses="10.8.0.9"), via="hub")
    found = owners(document(ME, hub, spoke), interface(hub="10.8.0.2/32 10.8.0.0/24"))
    assert found["10.8.0.9/32"] == (A, 1)
    found = owners(document(ME, hub, spoke), interface(hub="10.8.0.2/32"))
    assert "10.8.0.9/32" not in found


def test_a_spoke_with_a_peer_of_its_own_is_not_reached_by_the_hub() -> None:
    hub = replace(node("hub", "hub"), transit=True)
    spoke = replace(node("spoke", "a", addresses="10.8.0.9"), via="hub")
    found = owners(document(ME, hub, spoke), interface(hub="10.8.0.0/24", spoke="10.8.0.9/32"))
    assert found["10.8.0.9/32"] == (A, 2)


def test_a_spoke_s_own_hub_vouches_for_those_who_are_no_peers_of_the_spoke() -> None:
    hubs = [replace(node(name, name), transit=True) for name in ("hub", "other")]
    me = replace(ME, via="hub")
    a = node("a", "a", addresses="10.8.0.9", routes=(route("10.30.5.0/24", "lan"),))
    far = replace(node("far", "far", addresses="10.8.0.10"), via="other")
    known = document(me, *hubs, a, far)
    found = owners(known, interface(hub="10.8.0.0/24 10.30.0.0/16"))
    assert found["10.8.0.9/32"] == (A, 1)
    assert found["10.30.5.0/24"] == (LAN, 1)
    assert found["10.8.0.10/32"] == (frozenset({"far"}), 1)
    found = owners(known, interface(hub="10.8.0.0/24", other="10.8.0.10/32"))
    assert found["10.8.0.10/32"] == (frozenset({"far"}), 2)
    found = owners(known, interface(hub="10.8.0.0/24", a="10.30.5.0/24"))
    assert "10.8.0.9/32" not in found, "a peer's own word alone is good for it"


def test_a_peer_that_the_document_does_not_name_is_unknown() -> None:
    view = resolve(document(ME), interface(x="10.8.0.2/32"))
    stranger = view.owners[ip_network("10.8.0.2/32")]
    assert stranger is not None
    assert stranger.unknown_peer


def test_this_nodes_own_addresses_and_subnets_beat_a_peers_allowed_ips() -> None:
    me = replace(ME, routes=(route("10.50.0.0/24", "lan"),))
    found = owners(document(me, node("a", "a")), interface(a="10.8.0.1/32 10.50.0.0/24"))
    assert found["10.8.0.1/32"] == (frozenset({"me"}), HERE)
    assert found["10.50.0.0/24"] == (LAN, HERE)


def test_who_has_no_key_is_behind_its_own_hub_as_a_subnet_is() -> None:
    me = replace(ME, transit=True, routes=(route("10.30.0.0/16", "lan"),))
    vault = replace(
        node("vault", "a", addresses="10.8.0.50", routes=(route("10.30.9.0/24", "secret"),)),
        public_key=None,
        via="me",
    )
    view = resolve(document(me, vault, node("b", "b")), interface(b="10.8.0.50/32 10.8.0.2/32"))
    assert view.owners[ip_network("10.8.0.50/32")] == Principal("vault", A, HERE)
    secret = Principal("10.30.9.0/24 behind vault", frozenset({"secret"}), HERE)
    assert view.owners[ip_network("10.30.9.0/24")] == secret
    assert not view.warnings


def test_peers_keep_their_numbers_when_others_leave_and_come() -> None:
    first = resolve(document(ME), interface(a="10.8.0.2/32", b="10.8.0.3/32"))
    second = resolve(document(ME), interface(b="10.8.0.3/32"), first.peers)
    assert second.peers == (None, key("b"))
    third = resolve(document(ME), interface(b="10.8.0.3/32", c="10.8.0.4/32"), second.peers)
    assert third.peers == (key("c"), key("b"))


def test_a_document_that_does_not_name_this_node_is_refused() -> None:
    with pytest.raises(UsageError, match="no node has this interface's public key"):
        resolve(document(node("a", "a")), interface(a="10.8.0.2/32"))


def test_a_document_that_means_another_node_is_refused() -> None:
    other = replace(document(ME, node("a")), node="a")
    with pytest.raises(UsageError, match="public key is that of me"):
        resolve(other, interface())
