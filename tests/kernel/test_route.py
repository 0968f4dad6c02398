# SPDX-License-Identifier: Apache-2.0
"""Routes in a namespace of the test's own, as `ip` shows and makes them."""

import json
import subprocess
from ipaddress import ip_network

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.link import observe_link
from krait.kernel.route import (
    METRIC,
    PROTOCOL,
    Route,
    Table,
    add_routes,
    observe_routes,
    remove_routes,
    through,
    thrown,
    unreachable,
)
from krait.kernel.rule import add_rules
from krait.policy.model import Network
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")


def ip(arguments: str) -> str:
    return subprocess.run(
        ["ip", *arguments.split()], check=True, capture_output=True, text=True
    ).stdout


def shown(family: int) -> dict[str, tuple[str, str, str, int]]:
    """What `ip` shows of the main table: RTN_*, protocol, device, metric."""
    rows = json.loads(ip(f"-{family} -d -j -N route show table main"))
    return {
        row["dst"]: (row["type"], row["protocol"], row.get("dev", ""), row.get("metric", 0))
        for row in rows
        if row["protocol"] != "2"  # RTPROT_KERNEL
    }


@pytest.fixture
def ifindex(netns: None) -> int:  # noqa: ARG001 - to be inside it
    """A device that is up."""
    ip("link add br7 type bridge")
    ip("link set br7 addrgenmode none up")
    link = observe_link("br7")
    assert link is not None
    return link.ifindex


def networks(*texts: str) -> list[Network]:
    return [ip_network(text) for text in texts]


def many(count: int) -> list[Network]:
    return networks(
        *(
            f"fd7a:6b72::{n:x}/128" if n % 2 else f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32"
            for n in range(count)
        )
    )


def test_a_namespace_without_routes_has_none_of_ours() -> None:
    assert observe_routes() == frozenset()


def test_routes_are_made_as_ip_shows_them_and_seen_again(ifindex: int) -> None:
    routes = [
        *(through(each, ifindex) for each in networks("10.20.0.0/24", "fd7a:6b72:1::/48")),
        *(unreachable(each, "wg0") for each in networks("10.8.0.0/24", "fd7a:6b72::/64")),
    ]
    add_routes(routes)
    protocol, metric = str(PROTOCOL), routes[-1].metric
    assert metric >= 1 << 31
    assert shown(4) == {
        "10.20.0.0/24": ("1", protocol, "br7", METRIC),
        "10.8.0.0/24": ("7", protocol, "", metric),
    }
    assert shown(6) == {
        "fd7a:6b72:1::/48": ("1", protocol, "br7", METRIC),
        "fd7a:6b72::/64": ("7", protocol, "lo", metric),
    }
    assert observe_routes() == frozenset(routes)
    remove_routes(routes[1:3])
    assert observe_routes() == {routes[0], routes[3]}


def test_an_unreachable_route_tells_which_interface_it_belongs_to() -> None:
    mesh = ip_network("10.8.0.0/24")
    routes = {unreachable(mesh, "wg0"), unreachable(mesh, "wg1")}
    assert len(routes) == 2
    add_routes([*routes])
    remove_routes([unreachable(mesh, "wg1")])
    assert observe_routes() == {unreachable(mesh, "wg0")}


def test_ours_may_be_added_and_removed_twice(ifindex: int) -> None:
    routes = [through(each, ifindex) for each in many(4)] + [
        unreachable(ip_network("10.8.0.0/24"), "wg0")
    ]
    for _ in range(2):
        add_routes(routes)
        assert observe_routes() == frozenset(routes)
    for _ in range(2):
        remove_routes(routes)
        assert observe_routes() == frozenset()


def test_a_route_of_anybody_else_is_neither_seen_nor_removed(ifindex: int) -> None:
    ip(f"route add 10.20.0.0/24 dev br7 metric {METRIC}")
    ip(f"-6 route add fd7a::/64 dev br7 metric {METRIC}")
    before = (shown(4), shown(6))
    assert observe_routes() == frozenset()
    remove_routes([through(each, ifindex) for each in networks("10.20.0.0/24", "fd7a::/64")])
    assert (shown(4), shown(6)) == before


@pytest.mark.parametrize("taken", ["10.20.0.0/24", "fd7a::/64"])
def test_a_route_that_somebody_else_has_is_refused_and_the_others_are_made(
    ifindex: int, taken: str
) -> None:
    ip("link add br8 type bridge")
    ip("link set br8 up")
    ip(f"route add {taken} dev br8 metric {METRIC}")
    some = networks("10.21.0.0/24", taken, "10.22.0.0/24")
    with pytest.raises(SystemRefused, match=f"there is a route to {taken} of the same") as told:
        add_routes([through(each, ifindex) for each in some])
    assert f"ip route show {taken}" in told.value.hint
    assert {each.destination for each in observe_routes()} == {some[0], some[2]}


def test_of_many_the_one_that_is_refused_is_named(ifindex: int) -> None:
    routes = [through(each, ifindex) for each in many(500)]
    wrong = Route(ip_network("10.99.0.0/24"), 4711)
    with pytest.raises(SystemRefused, match=r"cannot add route 10\.99\.0\.0/24: "):
        add_routes([*routes[:300], wrong, *routes[300:]])
    assert observe_routes() == frozenset(routes)


def test_refusals_without_number_are_all_told(ifindex: int) -> None:
    """More than a receive buffer holds at once, if nobody read in between."""
    ip("link set br7 down")
    with pytest.raises(SystemRefused, match="cannot add route"):
        add_routes([through(each, ifindex) for each in many(5_000)])
    assert observe_routes() == frozenset()


def test_thousands_of_routes_are_added_and_removed(ifindex: int) -> None:
    routes = [through(each, ifindex) for each in many(5_000)]
    add_routes(routes)
    assert observe_routes() == frozenset(routes)
    remove_routes(routes)
    assert observe_routes() == frozenset()


def test_routes_of_another_table_are_not_ours_to_see(ifindex: int) -> None:
    ip(f"route add 10.20.0.0/24 dev br7 table 4711 proto {PROTOCOL}")
    assert ifindex
    assert observe_routes() == frozenset()


def test_a_route_is_ours_in_either_table(ifindex: int) -> None:
    mesh = ip_network("10.8.0.0/24")
    routes = [
        each
        for table in Table
        for each in (through(mesh, ifindex, table), unreachable(mesh, "wg0", table))
    ]
    add_routes(routes)
    assert observe_routes() == frozenset(routes)
    assert ip(f"route show table {int(Table.OWN)}").count("10.8.0.0/24") == 2
    remove_routes(routes[:2])
    assert observe_routes() == frozenset(routes[2:])


@pytest.mark.parametrize(
    ("mesh", "lan", "host"),
    [("10.8.0.0/24", "10.8.0.64/27", "10.8.0.70"), ("fd7a::/64", "fd7a::40/124", "fd7a::47")],
)
def test_what_is_thrown_is_led_by_the_tables_after_ours(
    ifindex: int, mesh: str, lan: str, host: str
) -> None:
    ranges = networks(mesh)
    routes = [unreachable(ranges[0], "wg0", Table.OWN), thrown(ip_network(lan), "wg0")]
    ip("link add lan0 type bridge")
    ip("link set lan0 addrgenmode none up")
    ip(f"route add {lan} dev lan0")
    add_rules(ranges)
    add_routes(routes[:1])
    with pytest.raises(subprocess.CalledProcessError):
        ip(f"route get {host}")
    for _ in range(2):
        add_routes(routes)
    assert "dev lan0" in ip(f"route get {host}")
    assert observe_routes() == frozenset(routes)
    inside = [
        through(routes[1].destination, ifindex, Table.OWN),
        unreachable(routes[1].destination, "wg0", Table.OWN),
    ]
    add_routes(inside)
    assert "dev br7" in ip(f"route get {host}")
    remove_routes(routes[1:])
    assert observe_routes() == {routes[0], *inside}


def test_an_unreachable_route_outlives_the_device_and_refuses(ifindex: int) -> None:
    mesh = ip_network("10.8.0.0/24")
    add_routes([through(mesh, ifindex), unreachable(mesh, "wg0")])
    assert "dev br7" in ip("route get 10.8.0.5")
    ip("link delete br7")
    assert observe_routes() == {unreachable(mesh, "wg0")}
    refusal = subprocess.run(
        ["ip", "route", "get", "10.8.0.5"], check=False, capture_output=True, text=True
    )
    assert "No route to host" in refusal.stderr
