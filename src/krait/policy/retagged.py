# SPDX-License-Identifier: Apache-2.0
"""What follows a document's tags, or not, in less time than it takes to work it out anew."""

from dataclasses import replace

from krait.policy.identities import named_nodes, node_labels
from krait.policy.model import Document, Network, Node
from krait.policy.view import Principal, View


def retagged(view: View, known: Document, document: Document) -> View | None:
    """What `resolve` makes of a document for the same interface, given what it made of `known`.

    None where the two differ in more than the tags of nodes: then addresses may have others.
    """
    named = named_nodes(known)
    if (known.node, known.mesh) != (document.node, document.mesh):
        return None
    if known.multicast != document.multicast:
        return None
    if len(known.nodes) != len(document.nodes) or named != named_nodes(document):
        return None
    labels = {}
    for before, now in zip(known.nodes, document.nodes, strict=True):
        if before is not now:
            if _without_tags(before) != _without_tags(now):
                return None
            labels[now.name] = node_labels(now, named)

    def anew(who: Principal) -> Principal:
        return who._replace(labels=labels[who.name]) if who.name in labels else who

    changed: dict[Network, Principal | None] = {
        cidr: anew(who) for cidr, who in view.owners.items() if who and who.name in labels
    }
    return replace(view, node=anew(view.node), owners=view.owners | changed)


def _without_tags(node: Node) -> tuple[object, ...]:
    """What else of a node its view depends on."""
    routes = tuple((route.cidr, route.tags) for route in node.routes)
    return node.name, node.public_key, node.addresses, routes, node.transit, node.via


def wants_alike(known: Document, document: Document) -> bool:
    """Whether a node's device is the same by both: they differ in policy and tags alone."""
    others = replace(known, source=document.source, nodes=document.nodes, policy=document.policy)
    if others != document:
        return False
    return len(known.nodes) == len(document.nodes) and all(
        now is before or now == replace(before, tags=now.tags, mark=now.mark)
        for before, now in zip(known.nodes, document.nodes, strict=True)
    )
