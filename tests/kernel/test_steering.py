# SPDX-License-Identifier: Apache-2.0
"""No peer becomes a host's router, or moves its neighbours, by a rule that lets it ping."""

from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

import pytest

from krait.common.reason import Reason
from krait.kernel.bpf.testrun import ethernet
from krait.kernel.hook import Hook
from krait.policy.compile import compile_policy
from krait.policy.document import load
from krait.policy.model import ICMP4, ICMP6
from krait.policy.view import Interface, Peer, resolve
from tests.kernel.loaded import Loaded, key
from tests.strategies.packets import echo, icmp, ip

HERE, PEER = "10.8.0.1", "10.8.0.2"
HERE6, PEER6, LINK_LOCAL, ALL_NODES = "fd00:8::1", "fd00:8::2", "fe80::2", "ff02::1"
DOCUMENT = f"""
mesh: {{cidr: [10.8.0.0/24, "fd00:8::/64"]}}
nodes:
  here: {{public_key: {b64encode(key(1)).decode()}, tags: [host]}}
  there: {{public_key: {b64encode(key(2)).decode()}, tags: [host]}}
multicast:
  all-nodes: {{address: "{ALL_NODES}", tags: [host]}}
policy:
  rules: [{{name: ping, from: host, to: host%s}}]
"""


@pytest.fixture(params=[", ports: icmp", ""], ids=["a rule for ICMP", "a rule for everything"])
def it(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    document = load((DOCUMENT % request.param).encode(), "test.yaml")
    allowed = tuple(map(ip_network, (PEER, PEER6, LINK_LOCAL)))
    addresses = (ip_interface(f"{HERE}/24"), ip_interface(f"{HERE6}/64"))
    interface = Interface(key(1), addresses, (Peer(key(2), allowed),))
    policy = compile_policy(document, resolve(document, interface))
    found = Loaded(policy)
    found.put(policy)
    yield found
    found.datapath.close()


@pytest.mark.parametrize("destination", [HERE6, ALL_NODES])
@pytest.mark.parametrize("source", [PEER6, LINK_LOCAL])
def test_nothing_that_steers_a_host_comes_in_where_pings_do(
    it: Loaded, source: str, destination: str
) -> None:
    def comes_in(body: bytes) -> Reason:
        return it.judge(ethernet(ip(source, destination, ICMP6, body)))

    assert comes_in(echo(128, 7)) is Reason.PASS
    found = {kind: comes_in(icmp(kind, 0, bytes(12))) for kind in range(130, 256)}
    assert {kind for kind, why in found.items() if why is not Reason.PASS} == set(range(133, 138))
    assert {found[kind] for kind in range(133, 138)} == {Reason.REDIRECT}


def test_nothing_that_steers_a_host_of_ipv4_comes_in_where_pings_do(it: Loaded) -> None:
    def comes_in(body: bytes) -> Reason:
        return it.judge(ethernet(ip(PEER, HERE, ICMP4, body)))

    assert comes_in(echo(8, 7)) is Reason.PASS
    assert {kind: comes_in(icmp(kind)) for kind in (5, 9, 10, 13, 15, 17)} == {
        5: Reason.REDIRECT,
        9: Reason.REDIRECT,
        10: Reason.REDIRECT,
        13: Reason.PASS,
        15: Reason.PASS,
        17: Reason.PASS,
    }


def test_this_node_asks_for_no_router_in_the_tunnel(it: Loaded) -> None:
    question = ethernet(ip(HERE6, PEER6, ICMP6, icmp(133)))
    assert it.judge(question, Hook.EGRESS) is Reason.REDIRECT
