# SPDX-License-Identifier: Apache-2.0
"""Rules in a namespace of the test's own, as `ip` shows and makes them."""

import json
import subprocess
from ipaddress import ip_network

import pytest

from krait.kernel.link import observe_link
from krait.kernel.route import PROTOCOL, Table, add_routes, through, unreachable
from krait.kernel.rule import PRIORITY, add_rules, observe_rules, remove_rules
from krait.policy.model import Network
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")

MESH: list[Network] = [ip_network("10.8.0.0/24"), ip_network("fd7a:6b72::/64")]


def ip(arguments: str) -> str:
    return subprocess.run(
        ["ip", *arguments.split()], check=True, capture_output=True, text=True
    ).stdout


def shown(family: int) -> list[tuple[int, str, int, str, str]]:
    rows = json.loads(ip(f"-{family} -d -j -N rule show"))
    return [
        (row["priority"], row["dst"], row["dstlen"], row["table"], row["protocol"])
        for row in rows
        if "dst" in row
    ]


def test_rules_are_made_as_ip_shows_them_seen_again_and_removed() -> None:
    assert observe_rules() == frozenset()
    add_rules(MESH)
    add_rules(MESH)
    table, protocol = str(int(Table.OWN)), str(PROTOCOL)
    assert shown(4) == [(PRIORITY, "10.8.0.0", 24, table, protocol)]
    assert shown(6) == [(PRIORITY, "fd7a:6b72::", 64, table, protocol)]
    assert observe_rules() == frozenset(MESH)
    remove_rules(MESH[:1])
    assert observe_rules() == {MESH[1]}
    remove_rules(MESH)
    assert observe_rules() == frozenset()


def test_a_rule_of_anybody_else_is_neither_seen_nor_removed() -> None:
    ip("rule add to 10.8.0.0/24 lookup 4711")
    ip(f"rule add to 10.8.0.0/24 lookup {int(Table.OWN)}")
    before = ip("rule show")
    assert observe_rules() == frozenset()
    remove_rules(MESH)
    assert ip("rule show") == before


def test_no_narrower_route_of_the_main_table_leads_past_the_tunnel() -> None:
    ip("link add br7 type bridge")
    ip("link set br7 addrgenmode none up")
    ip("link add br8 type bridge")
    ip("address add 10.8.0.50/25 dev br8")
    ip("link set br8 up")
    assert "dev br8" in ip("route get 10.8.0.2")
    link = observe_link("br7")
    assert link is not None
    routes = [
        unreachable(MESH[0], "wg0", Table.OWN),
        through(MESH[0], link.ifindex, Table.OWN),
    ]
    add_routes(routes)
    add_rules(MESH)
    assert "dev br7" in ip("route get 10.8.0.2")
    ip("link delete br7")
    refusal = subprocess.run(
        ["ip", "route", "get", "10.8.0.2"], check=False, capture_output=True, text=True
    )
    assert "No route to host" in refusal.stderr


def test_a_rule_of_our_mark_that_has_more_behind_its_prefix_is_not_ours() -> None:
    ip(f"rule add to 10.8.0.1/24 lookup {int(Table.OWN)} protocol {PROTOCOL}")
    (row,) = [each for each in json.loads(ip("-j rule show")) if "dst" in each]
    assert (row["dst"], row["dstlen"]) == ("10.8.0.1", 24)  # the kernel keeps it so
    assert observe_rules() == frozenset()


@pytest.mark.parametrize(
    "more",
    [
        "from 10.9.0.0/16",
        "tos 0x10",
        "fwmark 7",
        "iif lo",
        "oif lo",
        "uidrange 1000-2000",
        "ipproto tcp",
        "sport 80",
        "dport 80",
        "suppress_prefixlength 0",
        "suppress_ifgroup 5",
    ],
)
def test_a_rule_of_our_mark_that_is_for_fewer_packets_is_not_ours(more: str) -> None:
    ours = f"lookup {int(Table.OWN)} protocol {PROTOCOL} pref {PRIORITY}"
    ip(f"rule add to 10.8.0.0/24 {more} {ours}")
    ip(f"rule add to 10.9.0.0/24 {ours}")
    assert observe_rules() == {ip_network("10.9.0.0/24")}
    add_rules(MESH)
    assert observe_rules() == {ip_network("10.9.0.0/24"), *MESH}
    remove_rules(MESH)
    assert observe_rules() == {ip_network("10.9.0.0/24")}


def test_a_rule_of_our_mark_with_a_realm_is_as_good_as_ours() -> None:
    """It is for the same packets."""
    ip(
        f"rule add to 10.8.0.0/24 lookup {int(Table.OWN)} protocol {PROTOCOL}"
        f" pref {PRIORITY} realms 5"
    )
    assert observe_rules() == {MESH[0]}
