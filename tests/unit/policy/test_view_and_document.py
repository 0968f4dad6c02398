# SPDX-License-Identifier: Apache-2.0
"""Whom the document gives an address to, or nobody: no node takes another for its owner."""

from collections.abc import Iterator
from ipaddress import ip_network

from hypothesis import given, settings

from krait.policy.device import wanted
from krait.policy.model import Document, Labels, Network
from krait.policy.owners import find
from krait.policy.prefixes import Prefixes
from krait.policy.view import Interface, Peer, View, resolve
from tests.strategies.meshes import meshes
from tests.strategies.worlds import World, landmarks, worlds


def said(document: Document, cidr: Network) -> Labels | None:
    return find(document, str(cidr.network_address)).identity


def named(document: Document) -> Iterator[Network]:
    """Addresses of nodes, and the first and the last of each route."""
    for node in document.nodes:
        yield from map(ip_network, node.addresses)
        for route in node.routes:
            yield ip_network(route.cidr.network_address)
            yield ip_network(route.cidr.broadcast_address)


def seen(view: View, cidr: Network) -> Labels | None:
    owner = Prefixes(view.owners).of(cidr)
    return owner.labels if owner else None


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_who_has_an_identity_has_the_one_that_the_document_says(world: World) -> None:
    own = {each.ip for each in world.interface.addresses}
    # Whose addresses the interface alone knows may have any, link-local ones among them.
    unlisted = {node.name for node in world.document.nodes if not node.addresses}
    longest = Prefixes(world.view.owners)
    for cidr in (*map(ip_network, landmarks(world.view)), *named(world.document)):
        owner = longest.of(cidr)
        if owner is None or owner.labels is None or owner.name in unlisted:
            continue
        if cidr.network_address in own or cidr.is_link_local:
            continue
        assert owner.labels == said(world.document, cidr), cidr


@settings(max_examples=60, deadline=None)
@given(meshes())
def test_every_device_of_ours_leads_to_all_that_the_document_names(document: Document) -> None:
    for node in document.nodes:
        if node.public_key is None:
            continue
        device = wanted(document, node.name)
        peers = tuple(Peer(each.public_key, each.allowed_ips) for each in device.peers)
        view = resolve(document, Interface(device.public_key, device.addresses, peers))
        assert not view.warnings
        for cidr in named(document):
            assert seen(view, cidr) == said(document, cidr), (node.name, cidr)
