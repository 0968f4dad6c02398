# SPDX-License-Identifier: Apache-2.0
"""Whom the document gives an address to, or nobody: no node takes another for its owner."""

from collections.abc import Iterator
from ipaddress import ip_network

from hypothesis import given, settings

from krait.policy.model import Document, Labels, Network
from krait.policy.owners import find
from krait.policy.prefixes import Prefixes
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
