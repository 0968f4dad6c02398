# SPDX-License-Identifier: Apache-2.0
"""A hub with two spokes that nobody can call, and subnets behind one of them."""

import pytest

from tests.netns.up.conftest import Site, hosts

TAGGED, UNTAGGED = "10.20.0.1", "10.30.0.1"
PING = """
    - {name: ping, from: "*", to: "*", ports: icmp}
"""
RULES = f"""{PING.rstrip()}
    - {{name: printer, from: b, to: lan, ports: tcp/80}}
"""
FORWARDING = "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"
LAN = f"""
ip link add lan0 type veth peer name lan1
ip link set lan0 up; ip link set lan1 up
ip address add {TAGGED}/24 dev lan0; ip address add {UNTAGGED}/24 dev lan0
"""


@pytest.fixture
def document(site: Site) -> str:
    alice, bob, carol = hosts(1), hosts(2), hosts(3)
    nodes = {
        "alice": f'tags: a, address: ["{alice[0]}", "{alice[1]}"], transit: true, '
        'endpoint: "192.0.2.1:51820"',
        "bob": f'tags: b, address: ["{bob[0]}", "{bob[1]}"], via: alice',
        "carol": f'tags: c, address: ["{carol[0]}", "{carol[1]}"], via: alice, '
        "routes: [{cidr: 10.20.0.0/24, tags: [lan]}, 10.30.0.0/24]",
    }
    return site.document(RULES, nodes)


def connect(address: str, port: int = 80) -> list[str]:
    return ["timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]


def test_spokes_and_their_subnets_are_reached_through_the_hub_by_their_own_tags(
    site: Site, document: str
) -> None:
    turn = f"for each in {FORWARDING}; do echo %d >$each; done"
    with site.altered("alice", turn % 1, turn % 0):
        site["carol"].succeed(LAN)
        site.start(document)
        assert len(site.status("bob")["peers"]) == 1
        site.ping("bob", "alice", "carol", TAGGED)
        site.ping("carol", "bob")
        site["carol"].succeed(["ping", "-c", "1", "-W", "9", "-I", TAGGED, hosts(2)[0]])
        for address in (TAGGED, UNTAGGED, hosts(3)[0]):
            site.serve("carol", address)
        site["bob"].wait_until_succeeds(connect(TAGGED))
        for name, address in (("bob", hosts(3)[0]), ("alice", TAGGED), ("alice", hosts(3)[0])):
            before = site.denials(name)
            site[name].fail(connect(address))
            assert site.denials(name) > before

        dropped = sum(site.drops("bob").values())
        site["bob"].fail(connect(UNTAGGED))
        site["bob"].fail(["ping", "-c", "1", "-W", "1", UNTAGGED])
        assert sum(site.drops("bob").values()) > dropped
        warned = site["alice"].succeed(["krait", "check", "/run/site/wg0.yaml"])
        assert "10.30.0.0/24 has no tags" in warned


def test_a_spoke_and_a_node_that_is_none_reach_each_other_through_the_hub(site: Site) -> None:
    nodes = site.nodes()
    nodes["alice"] += ", transit: true"
    nodes["carol"] += ", via: alice"
    turn = f"for each in {FORWARDING}; do echo %d >$each; done"
    with site.altered("alice", turn % 1, turn % 0):
        site.start(site.document(PING, nodes))
        assert len(site.status("bob")["peers"]) == len(site.status("carol")["peers"]) == 1
        site.ping("carol", "alice", "bob")
        site.ping("bob", "alice", "carol")


def test_a_hub_that_does_not_forward_is_told_so_when_it_comes_up(site: Site, document: str) -> None:
    site.write("alice", document)
    outcome = site.up("alice")
    assert outcome.code == 0
    assert "alice is a hub, but IPv4 and IPv6 forwarding is off" in outcome.stderr
    assert "sysctl -w net.ipv4.ip_forward=1" in outcome.stderr
