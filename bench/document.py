# SPDX-License-Identifier: Apache-2.0
"""A document of any size as text, and the interface that it fits."""

from base64 import b64encode
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from krait.policy.view import Interface, Peer

MESH = IPv4Network("10.64.0.0/14")
TAGS, SITES, ROLES = 100, 7, 5


def node(number: int, *, tag: int | None = None) -> str:
    """One line; every node has one of 100 tags, and the tag of one of 7 sites."""
    tags = f"t{(number if tag is None else tag) % TAGS}, site{number % SITES}"
    key = b64encode(public_key(number)).decode()
    return f'  n{number}: {{public_key: "{key}", tags: [{tags}], address: {address(number)}}}\n'


def rule(number: int, nodes: int) -> str:
    """One line: from one tag to another, one port."""
    source, destination = _sides(number, nodes)
    return (
        f"    - {{name: r{number}, from: [t{source}], to: [t{destination}], "
        f"ports: [tcp/{1 + number % 60000}]}}\n"
    )


def text(nodes: int, rules: int) -> str:
    """The whole file. Nodes count from 0; the first is this one."""
    source, destination = _sides(1, nodes)
    return "".join(
        (
            f"mesh: {{cidr: {MESH}}}\nnodes:\n",
            *map(node, range(nodes)),
            "policy:\n  rules:\n",
            *(rule(number, nodes) for number in range(rules)),
            "  tests:\n",
            f"    - {{from: t{source}, to: t{destination}, port: tcp/2, expect: allow}}\n",
        )
    )


def _sides(rule: int, nodes: int) -> tuple[int, int]:
    tags = min(TAGS, nodes // 2)  # so that a node can lose its tag
    return rule % tags, (rule * 7 + rule // tags) % tags


def public_key(number: int) -> bytes:
    """Any 32 bytes do."""
    return sha256(b"%d" % number).digest()


def address(number: int) -> IPv4Address:
    return MESH[number + 1]


def interface(nodes: int) -> Interface:
    """As node 0 sees it: every other is a peer with its address."""
    return Interface(
        public_key(0),
        (IPv4Interface((address(0), MESH.prefixlen)),),
        tuple(
            Peer(public_key(number), (IPv4Network(address(number)),)) for number in range(1, nodes)
        ),
    )
