# SPDX-License-Identifier: Apache-2.0
"""A document without its places, to tell whether two texts say the same."""

from dataclasses import replace

from krait.policy.model import Document, Mark, Node, Policy

_SOMEWHERE = Mark(1, 1)


def unplaced(document: Document) -> Document:
    """All of it, as if every word stood in one place."""
    return replace(
        document,
        nodes=tuple(map(unplaced_node, document.nodes)),
        policy=unplaced_policy(document.policy),
    )


def unplaced_node(node: Node) -> Node:
    """The same of one node."""
    routes = tuple(replace(route, mark=_SOMEWHERE) for route in node.routes)
    return replace(node, routes=routes, mark=_SOMEWHERE)


def unplaced_policy(policy: Policy) -> Policy:
    """The same of a policy."""
    return replace(
        policy,
        rules=tuple(replace(rule, mark=_SOMEWHERE) for rule in policy.rules),
        tests=tuple(replace(test, mark=_SOMEWHERE) for test in policy.tests),
        groups=tuple(replace(group, mark=_SOMEWHERE) for group in policy.groups),
    )
