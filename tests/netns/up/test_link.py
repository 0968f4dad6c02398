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


def passed(site: Site, name: str) -> int:
    return int(site.status(name)["rules"]["ping"]["packets"])
