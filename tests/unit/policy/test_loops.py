# SPDX-License-Identifier: Apache-2.0
"""Endpoints inside of what leads to them."""

import pytest

from krait.policy.device import wanted
from krait.policy.document import load
from krait.policy.loops import loops
from tests.documents import key


def looped(own: str, *nodes: str) -> list[str]:
    """What is told on a node. Each node is `NAME: FIELDS`."""
    lines = "".join(
        f"  {name}: {{public_key: {key(number)}, {fields}}}\n"
        for number, (name, _, fields) in enumerate((each.partition(": ") for each in nodes), 1)
    )
    mesh = 'mesh: {cidr: [10.8.0.0/24, "fd7a::/64"]}\ninterface: wg0\n'
    document = load(f"{mesh}nodes:\n{lines}policy: {{}}\n".encode(), "krait.yaml")
    return [str(each) for each in loops(wanted(document, own))]


A = "a: address: 10.8.0.1, endpoint: '192.0.2.1:1'"
B = "b: address: 10.8.0.2, endpoint: '192.0.2.2:1', routes: [192.0.2.0/24]"
TOLD = "the endpoint of b, 192.0.2.2, is in 192.0.2.0/24, which the tunnel to b leads to"


def test_an_endpoint_in_a_subnet_behind_its_own_node_loops_on_every_other_one() -> None:
    assert looped("a", A, B) == [TOLD]
    assert looped("b", A, B) == []


def test_an_endpoint_that_is_the_nodes_own_address_loops() -> None:
    (told,) = looped("a", A, "b: address: ['fd7a::2'], endpoint: '[fd7a::2]:1'")
    assert told.startswith("the endpoint of b, fd7a::2, is in fd7a::2/128")


def test_an_endpoint_of_a_hub_in_what_is_behind_its_spoke_loops_through_the_hub() -> None:
    hub = f"{B.replace('b:', 'hub:')}, transit: true"
    spoke = "c: address: 10.8.0.3, via: hub, routes: [192.0.2.0/28]"
    (told,) = looped("a", A, hub, spoke)
    assert told.startswith("the endpoint of hub, 192.0.2.2, is in 192.0.2.0/28")


@pytest.mark.parametrize(
    "nodes",
    [
        (A, B.replace("192.0.2.2:1", "b.example.org:1")),
        (A, B.replace("192.0.2.2:1", "198.51.100.2:1")),
        (f"{A}, routes: [192.0.2.0/28]", B),
        (A, B, "c: address: 10.8.0.3, endpoint: 'c:1', routes: [192.0.2.2/32]"),
    ],
    ids=["a name", "elsewhere", "in a narrower one of one's own", "behind another peer"],
)
def test_an_endpoint_that_another_way_leads_to_does_not_loop(nodes: tuple[str, ...]) -> None:
    assert looped("a", *nodes) == []
