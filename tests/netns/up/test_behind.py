# SPDX-License-Identifier: Apache-2.0
"""What is behind a node and inside of the mesh's range: by its own interface, not by the tunnel."""

from collections.abc import Iterator

import pytest

from tests.netns.up.conftest import CONFIG, Site, hosts

LAN = ("10.8.0.64/27", "fd7a:6b72::40/123")
HOSTS = ("10.8.0.70", "fd7a:6b72::46")
PRINTER = "10.8.0.130"
INNER = ("10.8.0.80", "fd7a:6b72::50")
"""Carol's addresses, inside of the LAN that is behind Bob."""

_FORWARD = """
for each in ipv4/ip_forward ipv6/conf/all/forwarding; do echo %d >/proc/sys/net/$each; done
"""
_MAKE = f"""
ip netns add lan
ip link add lan0 type veth peer name lan1 netns lan
ip link set lan0 up; ip -n lan link set lan1 up
ip address add 10.8.0.65/27 dev lan0; ip address add fd7a:6b72::41/123 dev lan0 nodad
ip route add {PRINTER}/32 dev lan0
ip -n lan address add {HOSTS[0]}/27 dev lan1
ip -n lan address add {HOSTS[1]}/123 dev lan1 nodad
ip -n lan address add {PRINTER}/32 dev lan1
ip -n lan route add default via 10.8.0.65; ip -n lan route add default via fd7a:6b72::41
{_FORWARD % 1}
"""
_UNDO = f"ip netns delete lan; {_FORWARD % 0}"
RULES = """
    - {name: ping, from: "*", to: "*", ports: icmp}
"""


@pytest.fixture
def behind(site: Site) -> Iterator[Site]:
    """Bob has a LAN in the range, a printer on it, and a guard; Carol is a node in between."""
    nodes = site.nodes()
    for was, now in zip(hosts(3), INNER, strict=True):
        nodes["carol"] = nodes["carol"].replace(f'"{was}"', f'"{now}"')
    routes = ", ".join(f'{{cidr: "{each}", tags: [lan]}}' for each in LAN)
    nodes["bob"] += f", transit: true, guard: true, routes: [{routes}]"
    text = site.document(RULES, nodes).replace(
        "policy:\n", f"  printer: {{tags: [p], address: {PRINTER}, via: bob}}\npolicy:\n"
    )
    with site.altered("bob", _MAKE, _UNDO):
        site.start(text)
        yield site


def test_a_lan_and_a_printer_in_the_range_are_reached_and_reach_the_mesh(behind: Site) -> None:
    site, bob = behind, behind["bob"]
    for host in (*HOSTS, PRINTER):
        assert "dev lan0" in bob.succeed(["ip", "route", "get", host])
    for host in (*INNER, *hosts(1)):
        assert "dev wg0" in bob.succeed(["ip", "route", "get", host])
    site.ping("alice", *HOSTS, PRINTER)
    site.ping("bob", "alice", *INNER, *HOSTS)
    for host in hosts(1):
        bob.wait_until_succeeds(["ip", "netns", "exec", "lan", "ping", "-c", "1", "-W", "1", host])
    lost = {why for why, packets in site.drops("bob").items() if packets}
    assert lost <= {"multicast", "link-local", "redirect"}
    assert "cut off" not in bob.succeed("krait status wg0")


def test_it_is_reached_while_there_is_no_device_and_a_peer_inside_of_it_is_refused(
    behind: Site,
) -> None:
    site, bob = behind, behind["bob"]
    bob.succeed("kill -STOP $(cat /run/krait/wg0.lock)")
    bob.succeed("ip link delete wg0")
    for host in HOSTS:
        assert "dev lan0" in bob.succeed(["ip", "route", "get", host])
    for host in (*INNER, *hosts(1)):
        assert "No route to host" in bob.run(["ip", "route", "get", host]).stderr
    bob.succeed("kill -CONT $(cat /run/krait/wg0.lock)")
    site.ping("bob", "alice")


def test_a_lan_that_is_behind_the_node_no_more_is_the_meshs_again(behind: Site) -> None:
    site, bob = behind, behind["bob"]
    bob.succeed(f"sed -i 's/, routes: .*/}}/' {CONFIG}; kill -HUP $(cat /run/krait/wg0.lock)")
    for host in HOSTS:
        site.wait("bob", f"ip route get {host} | grep 'dev wg0'")
    told = bob.succeed("for each in -4 -6; do ip $each route show table 27506; done")
    assert [line.split()[1] for line in told.splitlines() if "throw" in line] == [PRINTER]
