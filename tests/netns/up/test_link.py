# SPDX-License-Identifier: Apache-2.0
"""A link of two nodes for a routing daemon: link-local addresses, and a group that goes across."""

from tests.netns.up.conftest import Site
from tests.patience import wait_until

GROUP = "ff02::5"
RULES = f"""
    - {{name: ping, from: "*", to: "*", ports: icmp}}
multicast: {{hello: {{address: "{GROUP}"}}}}
"""


def test_a_link_has_its_link_local_addresses_and_takes_groups_to_the_other_end(site: Site) -> None:
    nodes = {
        name: fields.replace('"fd7a', f'"fe80::{number}", "fd7a')
        for number, (name, fields) in enumerate(site.nodes().items(), 1)
        if name != "carol"
    }
    site.start(site.document(RULES, nodes), *nodes)
    told = site["alice"].succeed("wg show wg0 allowed-ips").split()
    assert {"fe80::2/128", f"{GROUP}/128"} <= set(told)
    site.wait("alice", "ping -c 1 -W 1 -I fe80::1%wg0 fe80::2%wg0")
    before = passed(site, "bob")
    site["alice"].execute(f"ping -c 3 -i 0.2 -W 1 -I fe80::1%wg0 {GROUP}%wg0")
    wait_until(lambda: passed(site, "bob") >= before + 3, lambda: str(site.drops("bob")))


def test_the_interface_says_that_it_can_do_multicast_while_it_leads_to_groups(site: Site) -> None:
    nodes = {name: fields for name, fields in site.nodes().items() if name != "carol"}
    with_groups = site.document(RULES, nodes)
    without = site.document(RULES.partition("multicast:")[0], nodes)
    site.start(without, "alice")
    assert not has_multicast(site)
    site.write("alice", with_groups)
    wait_until(lambda: has_multicast(site))
    site.write("alice", without)
    wait_until(lambda: not has_multicast(site))


def has_multicast(site: Site) -> bool:
    return "MULTICAST" in site["alice"].succeed("ip link show wg0")


def passed(site: Site, name: str) -> int:
    return int(site.status(name)["rules"]["ping"]["packets"])
