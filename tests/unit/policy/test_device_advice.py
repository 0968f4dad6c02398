# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterable

import pytest

from krait.policy.device_advice import IDS, remarks
from krait.policy.document import load
from krait.policy.model import Mark
from tests.documents import key


def told(*nodes: str, mesh: str = "cidr: 10.8.0.0/24") -> list[tuple[int, str]]:
    """Line (the first of these nodes is in line 4) and words of every remark."""
    return [(mark.line, words) for _, mark, words in remarked(nodes, mesh)]


def remarked(nodes: Iterable[str], mesh: str = "cidr: 10.8.0.0/24") -> list[tuple[str, Mark, str]]:
    """What is remarked about these nodes and one more, far, that has an endpoint."""
    lines = "".join(
        f"  {name}: {{public_key: {key(number)}, {fields}}}\n"
        for number, (name, _, fields) in enumerate((n.partition(": ") for n in nodes), 1)
    )
    far = f"  far: {{public_key: {key(99)}, endpoint: 'far.example.org:51820'}}\n"
    text = f"mesh: {{{mesh}}}\npolicy: {{}}\nnodes:\n{lines}{far}"
    return list(remarks(load(text.encode(), "krait.yaml")))


APART = (
    "have no endpoint and cannot reach each other: give one to all but one of them, or let a hub "
    "be their `via`"
)
REACHED = "which is reached through the tunnel: name an address outside"
SILENT = (
    "has no endpoint and sends no keepalives: behind a NAT, nobody reaches it once it falls silent"
)
DIFFER = (
    "name different files for the preshared key they share: name it at one of them, or name the "
    "same at both, with `{pair}` in it"
)

CASES = {
    "two without an endpoint": (
        ["a: transit: true", "b: tags: [t]"],
        [(4, f"a and b {APART}")],
    ),
    "four without an endpoint": (
        ["a: tags: [t]", "b: tags: [t]", "c: tags: [t]", "d: tags: [t]"],
        [(4, f"a and b and 2 more {APART}")],
    ),
    "a spoke of a hub, both without": (
        ["hub: transit: true", "b: via: hub"],
        [(5, "neither b nor its hub hub has an endpoint, so they cannot reach each other")],
    ),
    "two spokes of a hub with an endpoint": (
        ["hub: transit: true, endpoint: 'h:1'", "b: via: hub", "c: via: hub"],
        [],
    ),
    "one without an endpoint": (["a: tags: [t]"], []),
    "an endpoint in the mesh": (
        ["a: endpoint: '10.8.0.7:1'"],
        [(4, f"the endpoint of a is in 10.8.0.0/24, {REACHED}")],
    ),
    "an endpoint in its own subnet": (
        ["a: endpoint: '[fd00::1]:1', routes: ['fd00::/16', '8000::/1']"],
        [
            (4, f"the endpoint of a is in fd00::/16, {REACHED}, or take the route out"),
            (4, "8000::/1 of a: `krait up` makes no exit node"),
        ],
    ),
    "an endpoint elsewhere": (["a: endpoint: '192.0.2.1:1', routes: [10.1.0.0/16]"], []),
    "no keepalive": (["a: keepalive: off"], [(4, f"a {SILENT}")]),
    "no keepalive where it is not needed": (["a: keepalive: 0, endpoint: 'a:1'"], []),
    "two files for one key": (
        [
            "hub: transit: true, endpoint: 'h:1', preshared_key_file: /hub",
            "a: endpoint: 'a:1', preshared_key_file: /a",
            "b: via: hub, preshared_key_file: /b",
            "c: endpoint: 'c:1', preshared_key_file: /hub",
        ],
        [(5, f"hub and a {DIFFER}"), (6, f"hub and b {DIFFER}")],
    ),
    "spokes with a file each": (
        [
            "h: transit: true, endpoint: 'h:1'",
            "c: endpoint: 'c:1', preshared_key_file: /c",
            "a: via: h, preshared_key_file: /a",
            "b: via: h, preshared_key_file: /b",
        ],
        [],
    ),
}


@pytest.mark.parametrize(("nodes", "expected"), CASES.values(), ids=CASES.keys())
def test_what_keeps_a_mesh_from_meeting_is_remarked(
    nodes: list[str], expected: list[tuple[int, str]]
) -> None:
    assert told(*nodes) == expected


def test_each_kind_of_remark_has_an_id_of_its_own() -> None:
    told = {what for nodes, _ in CASES.values() for what, _, _ in remarked(nodes)}
    assert told | {"many-peers"} == IDS


def test_a_group_of_which_a_node_has_several_peers_is_remarked() -> None:
    def groups(nodes: str) -> list[tuple[str, int, str]]:
        text = (
            f"mesh: {{cidr: 10.8.0.0/24}}\nnodes:\n{nodes}"
            "multicast: {g: {address: 224.0.0.5}}\npolicy: {}\n"
        )
        found = remarks(load(text.encode(), "krait.yaml"))
        return [(what, mark.line, words) for what, mark, words in found]

    two = "".join(
        f"  {n}: {{public_key: {key(i)}, endpoint: '{n}.example.org:1'}}\n"
        for i, n in enumerate("ab", 1)
    )
    assert groups(two) == []
    words = (
        "a has 2 peers, and WireGuard sends to one: nothing leaves it for g; make a link for each "
        "two"
    )
    third = f"  c: {{public_key: {key(3)}, endpoint: 'c.example.org:1'}}\n"
    assert groups(two + third) == [("many-peers", 6, words)]


def test_a_keepalive_that_the_mesh_turns_off_is_remarked_unless_the_node_turns_it_on() -> None:
    mesh = "cidr: 10.8.0.0/24, keepalive: off"
    assert told("a: tags: [t]", mesh=mesh) == [(4, f"a {SILENT}")]
    assert told("a: keepalive: 5", mesh=mesh) == []


def test_a_mesh_without_any_endpoint_is_remarked() -> None:
    nodes = "nodes:\n" + "".join(
        f"  {n}: {{public_key: {key(i)}}}\n" for i, n in enumerate("abc", 1)
    )
    for text in (
        f"mesh: {{cidr: 10.8.0.0/24, listen_port: 51820}}\n{nodes}policy: {{}}\n",
        f"mesh: {{cidr: 10.8.0.0/24}}\n{nodes}".replace("}\n  b", ", listen_port: 1}\n  b")
        + "policy: {}\n",
    ):
        ((_, mark, words),) = remarks(load(text.encode(), "krait.yaml"))
        assert (mark.line, words) == (3, f"a and b and 1 more {APART}")


def test_nothing_is_said_of_a_document_for_an_interface_of_another_tool() -> None:
    nodes = f"nodes: {{a: {{public_key: {key(1)}}}, b: {{public_key: {key(2)}, keepalive: 0}}}}\n"
    for mesh in ("", "mesh: {cidr: 10.8.0.0/24}\n"):
        assert list(remarks(load(f"{mesh}{nodes}policy: {{}}\n".encode(), "krait.yaml"))) == []
