# SPDX-License-Identifier: Apache-2.0
from base64 import b64encode
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krait.policy.document import load
from krait.policy.model import ICMP4, ICMP6, TCP, UDP, Document, Mark, PortSpan
from krait.policy.problems import DocumentError
from krait.policy.values import public_key
from tests.documents import key, nodes, policy, ports, rule, several

EXAMPLE = Path(__file__).parents[3] / "examples" / "small.yaml"


def read(text: str) -> Document:
    return load(text.encode(), "krait.yaml")


def test_the_example_is_read_in_full() -> None:
    document = load(EXAMPLE.read_bytes(), "small.yaml")
    assert document.interface == "wg0"
    assert document.mesh is not None
    assert document.mesh.cidrs == (ip_network("10.8.0.0/24"), ip_network("fd7a:6b72::/64"))
    assert document.mesh.listen_port == 51820
    web1 = document.nodes[1]
    assert web1.name == "web1"
    assert web1.tags == {"web", "prod"}
    assert web1.addresses == (ip_address("10.8.0.2"), ip_address("fd7a:6b72::2"))
    assert web1.endpoint == "192.0.2.2:51820"
    assert web1.routes[0].cidr == ip_network("10.20.0.0/24")
    assert web1.routes[0].tags == {"office"}
    trial = document.policy.rules[5]
    assert (trial.number, trial.name, trial.allows, trial.audit) == (
        6,
        "trial-no-web-to-web",
        False,
        True,
    )


def test_what_is_left_out_is_denied_and_lenient() -> None:
    document = read(policy("{}"))
    assert not document.policy.default.allows
    assert not document.policy.strict
    assert document.policy.rules == ()
    assert document.mesh is None
    assert document.node is None


def test_rules_are_numbered_from_one_and_named_by_number_where_the_file_does_not() -> None:
    rules = read(
        policy("{rules: [{from: web, to: db}, {name: a, from: db, to: web}]}")
    ).policy.rules
    assert [(each.number, each.name) for each in rules] == [(1, "rule-1"), (2, "a")]
    assert rules[1].mark == Mark(4, 39)


SELECTORS = {
    "web": ("web", [{"web"}]),
    "[web]": ("web", [{"web"}]),
    "[web, db1]": ("[web, db1]", [{"web"}, {"db1"}]),
    "'*'": ("*", [set()]),
    "{all: [web, prod]}": ("{all: [web, prod]}", [{"web", "prod"}]),
    "{all: web}": ("{all: web}", [{"web"}]),
    "[db, {all: [web, prod]}]": ("[db, {all: [web, prod]}]", [{"db"}, {"web", "prod"}]),
}


@pytest.mark.parametrize("text", SELECTORS)
def test_a_selector_is_a_name_everyone_all_of_several_or_any_of_a_list(text: str) -> None:
    shown, terms = SELECTORS[text]
    sources = read(rule(f"from: {text}, to: db")).policy.rules[1].sources
    assert (sources.text, list(sources.terms)) == (shown, terms)


def test_selectors_and_ports_that_repeat_are_shared() -> None:
    one = "{from: [web, db], to: db, ports: [tcp/1, tcp/2]}"
    first, second = read(policy(f"{{rules: [{one}, {one}]}}")).policy.rules
    assert first.sources is second.sources
    assert first.ports is second.ports


PORTS = {
    "tcp/5432": [PortSpan(TCP, 5432, 5432)],
    "[udp/8000-8100]": [PortSpan(UDP, 8000, 8100)],
    "tcp": [PortSpan(TCP, 0, 65535)],
    "icmp": [PortSpan(ICMP4, 0, 0xFF), PortSpan(ICMP6, 0, 0xFF)],
    "[icmp6, icmp]": [PortSpan(ICMP6, 0, 0xFF), PortSpan(ICMP4, 0, 0xFF)],
}


@pytest.mark.parametrize("text", PORTS)
def test_ports_are_one_value_or_a_list(text: str) -> None:
    assert list(read(ports(text)).policy.rules[1].ports) == PORTS[text]


@given(st.binary(min_size=32, max_size=32).filter(any))
def test_any_32_bytes_are_a_public_key(octets: bytes) -> None:
    assert public_key(b64encode(octets).decode()) == octets


def test_a_node_that_is_reached_through_a_hub_needs_no_key() -> None:
    text = several(f"hub: {{public_key: {key(1)}, transit: true}}", "far: {via: hub}")
    far = read(text).nodes[1]
    assert (far.public_key, far.via) == (None, "hub")


ENDPOINTS = ["192.0.2.1:51820", "[2001:db8::1]:1", "vpn.example.org:65535", "localhost:80"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_is_an_address_or_a_host_name_with_a_port(endpoint: str) -> None:
    assert read(nodes(f"endpoint: '{endpoint}'")).nodes[0].endpoint == endpoint


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("off", 0), ("65535", 65535)])
def test_a_keepalive_is_seconds_or_off(text: str, seconds: int) -> None:
    assert read(nodes(f"keepalive: {text}")).nodes[0].keepalive_s == seconds


@pytest.mark.parametrize(
    ("cidr", "mtu"), [("10.8.0.0/24", 576), ("10.8.0.0/24", 65475), ("'fd00::/64'", 1280)]
)
def test_an_mtu_has_the_bounds_of_what_the_mesh_carries(cidr: str, mtu: int) -> None:
    found = read(policy(f"{{}}\nmesh: {{cidr: {cidr}, mtu: {mtu}}}")).mesh
    assert found is not None
    assert found.mtu == mtu


@pytest.mark.parametrize("fields", ["", ", address: 10.8.0.7", ", address: 'fe80::7', mtu: 1280"])
def test_a_mesh_with_a_small_mtu_has_ipv6_where_a_node_has_a_larger_one(fields: str) -> None:
    mesh = "mesh: {cidr: 10.8.0.0/16, mtu: 1000}"
    text = f"{mesh}\nnodes: {{a: {{public_key: {key(1)}{fields}}}}}\npolicy: {{}}\n"
    assert read(text).nodes[0].mtu in (None, 1280)


def test_an_address_of_ipv6_that_nobody_gives_out_is_one_all_the_same() -> None:
    """Overlays have theirs from 200::/7, which Python calls reserved."""
    assert str(read(nodes("address: '200::7'")).nodes[0].addresses[0]) == "200::7"


def test_a_route_may_be_around_what_never_passes_and_be_one_link_local_address() -> None:
    for cidr in ("0.0.0.0/0", "::/0", "168.0.0.0/5", "fe80::7/128", "169.254.0.7/32", "4000::/2"):
        assert read(nodes(f"routes: [{{cidr: '{cidr}'}}]")).nodes[0].routes[0].cidr == ip_network(
            cidr
        )


def test_a_longer_route_inside_another_nodes_route_is_allowed() -> None:
    assert read(nodes("routes: [10.9.8.0/24]")).nodes[0].routes[0].cidr == ip_network("10.9.8.0/24")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    refused_or_read(data)


@given(st.text(alphabet="&*!{}[]:,-?|>'\"%@`#~ \n\tabcnodespolicy01.\x85\u2028", max_size=80))
def test_arbitrary_yaml_is_read_or_refused(text: str) -> None:
    refused_or_read(text.encode())


@given(st.data())
def test_a_damaged_document_is_read_or_refused(data: st.DataObject) -> None:
    good = EXAMPLE.read_bytes()
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 40))
    put = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from(FRAGMENTS)))
    refused_or_read(good[:at] + put + good[at + cut :])


FRAGMENTS = [
    b"*",
    b"&a ",
    b"!!str ",
    b"[",
    b"{all: ",
    b"\n",
    b"- ",
    b": ",
    b"~",
    b'"',
    b"null",
    b"|\n",
]


def refused_or_read(data: bytes) -> None:
    try:
        document = load(data, "krait.yaml")
    except DocumentError as error:
        places = [(problem.line, problem.column) for problem in error.problems]
    else:
        places = [(node.mark.line, node.mark.column) for node in document.nodes]
    assert places
    assert min(min(place) for place in places) >= 1
