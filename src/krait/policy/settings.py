# SPDX-License-Identifier: Apache-2.0
"""What two documents say otherwise beside who may open what to whom: nodes, mesh, switches."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from krait.policy.model import Document, Labels, Node

_FIELDS: Mapping[str, Callable[[Node], object]] = MappingProxyType(
    {
        "public_key": lambda node: node.public_key,
        "tags": lambda node: node.tags,
        "address": lambda node: node.addresses,
        "routes": lambda node: {(route.cidr, route.tags) for route in node.routes},
        "endpoint": lambda node: node.endpoint,
        "transit": lambda node: node.transit,
        "via": lambda node: node.via,
        "preshared_key_file": lambda node: node.preshared_key_file,
        "listen_port": lambda node: node.listen_port,
        "mtu": lambda node: node.mtu,
        "keepalive": lambda node: node.keepalive_s,
        "guard": lambda node: node.guard,
    }
)
"""What a document says of a node, by its key; where it stands in the file says nothing."""

_OTHERS: Mapping[str, Callable[[Document], object]] = MappingProxyType(
    {
        "mesh": lambda document: document.mesh,
        "multicast": lambda document: document.multicast,
        "strict": lambda document: document.policy.strict,
        "limits": lambda document: document.policy.limits,
        "guard": lambda document: document.policy.guard,
        "reject_ingress": lambda document: document.policy.reject_ingress,
        "default": lambda document: document.policy.default.rejects,  # what it allows, pairs tell
    }
)


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node that both documents have, and not alike."""

    name: str
    before: Labels  # its tags
    now: Labels
    fields: tuple[str, ...]  # the keys of the document that differ


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it; nodes in the order of the file that has them."""

    came: tuple[Node, ...]
    went: tuple[Node, ...]
    changed: tuple[NodeChange, ...]
    other: tuple[str, ...]
    """Keys of the document, of those that let pairs be as they are: `mesh`, `strict`, `action` …"""

    @property
    def differ(self) -> bool:
        """Whether anything is said otherwise."""
        return bool(self.came or self.went or self.changed or self.other)


def settings(before: Document, now: Document) -> Settings:
    """Hold a document against the one that it would follow."""
    were = {node.name: node for node in before.nodes}
    are = {node.name: node for node in now.nodes}
    return Settings(
        came=tuple(node for name, node in are.items() if name not in were),
        went=tuple(node for name, node in were.items() if name not in are),
        changed=tuple(_changed(were, are)),
        other=tuple(_other(before, now)),
    )


def _changed(were: Mapping[str, Node], are: Mapping[str, Node]) -> Iterator[NodeChange]:
    for name, node in are.items():
        was = were.get(name)
        if was is not None:
            fields = tuple(key for key, of in _FIELDS.items() if of(was) != of(node))
            if fields:
                yield NodeChange(name, was.tags, node.tags, fields)


def _other(before: Document, now: Document) -> Iterator[str]:
    for key, of in _OTHERS.items():
        if of(before) != of(now):
            yield key
    actions = {rule.name: rule.action for rule in before.policy.rules}
    if any(rule.action != actions.get(rule.name, rule.action) for rule in now.policy.rules):
        yield "action"
    were = {rule.name: rule.until for rule in before.policy.rules}
    if any(rule.until != were.get(rule.name, rule.until) for rule in now.policy.rules):
        yield "until"
