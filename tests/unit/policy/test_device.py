# SPDX-License-Identifier: Apache-2.0
"""What `krait up` makes of a document: peers and their prefixes, addresses, routes, settings."""

from ipaddress import ip_interface, ip_network

import pytest
from hypothesis import given

from krait.common.errors import UsageError
from krait.policy.device import KEEPALIVE_S, WantedDevice, WantedPeer, wanted, without_ipv6
from krait.policy.document import load
from krait.policy.model import Document
from krait.policy.problems import DocumentError
from tests.documents import key
from tests.strategies.meshes import meshes

MESH = 'cidr: [10.8.0.0/24, "fd7a::/64"]'


def read(*nodes: str, mesh: str = MESH, top: str = "interface: wg0\n") -> Document:
    """A document of these nodes, one a line from line 4 on (or 3, without `top`).

    Each is `NAME: FIELDS`; NAME gets a key by its place, unless it is a printer.
    """
    lines = ""
    for number, each in enumerate(nodes, 1):
        name, _, fields = each.partition(": ")
        given = "" if name == "printer" else f"public_key: {key(number)}, "
        lines += f"  {name}: {{{given}{fields}}}\n"
    text = f"mesh: {{{mesh}}}\n{top}nodes:\n{lines}policy: {{}}\n"
    return load(text.encode(), "krait.yaml")


def device(node: str, *nodes: str, mesh: str = MESH) -> WantedDevice:
    return wanted(read(*nodes, mesh=mesh), node)


def allowed(found: WantedDevice) -> dict[str, str]:
    return {peer.name: " ".join(map(str, peer.allowed_ips)) for peer in found.peers}


PAIR = (
    'a: address: [10.8.0.1, "fd7a::1"], endpoint: "a.example.org:51820"',
    "b: address: 10.8.0.2, routes: [10.20.0.0/24, 10.8.0.128/25]",
)


def test_a_device_has_all_that_the_document_says_of_it() -> None:
    assert device("a", *PAIR) == WantedDevice(
        node="a",
        interface="wg0",
        public_key=bytes([1]) * 32,
        addresses=(ip_interface("10.8.0.1/24"), ip_interface("fd7a::1/64")),
        listen_port=51820,
        mtu=None,
        peers=(
            WantedPeer(
                name="b",
                public_key=bytes([2]) * 32,
                endpoint=None,
                keepalive_s=0,
                allowed_ips=tuple(map(ip_network, ("10.8.0.2", "10.20.0.0/24", "10.8.0.128/25"))),
                preshared_key_file=None,
            ),
        ),
        routes=(ip_network("10.20.0.0/24"),),
        unreachable=tuple(map(ip_network, ("10.8.0.0/24", "fd7a::/64", "10.20.0.0/24"))),
        mesh=tuple(map(ip_network, ("10.8.0.0/24", "fd7a::/64"))),
    )


def test_link_local_addresses_are_on_the_device_and_in_allowed_ips() -> None:
    nodes = (
        'a: address: [10.8.0.1, "fe80::1", 169.254.0.1], endpoint: "a.example.org:51820"',
        'b: address: [10.8.0.2, "fe80::2"]',
    )
    found = device("a", *nodes, mesh="cidr: 10.8.0.0/24")
    on_it = ("10.8.0.1/24", "fe80::1/64", "169.254.0.1/16")
    assert found.addresses == tuple(map(ip_interface, on_it))
    assert allowed(found) == {"b": "10.8.0.2/32 fe80::2/128"}
    assert found.unreachable == (ip_network("10.8.0.0/24"),)


def test_what_goes_to_a_group_goes_to_the_only_peer() -> None:
    groups = 'interface: wg0\nmulticast: {g: {address: [224.0.0.5, "ff02::/16"]}}\n'
    two = (*PAIR[1:], "a: address: 10.8.0.1")
    found = wanted(read(*two, top=groups), "b")
    assert allowed(found) == {"a": "10.8.0.1/32 224.0.0.5/32 ff02::/16"}
    assert found.multicast
    assert not wanted(read(*two, top="interface: wg0\n"), "b").multicast
    found = wanted(read(*two, "c: address: 10.8.0.3", top=groups), "b")
    assert not found.multicast
    assert allowed(found) == {
        "a": "10.8.0.1/32",
        "c": "10.8.0.3/32",
    }


def test_what_is_behind_a_node_itself_is_its_subnets_and_who_has_no_key_there() -> None:
    hub = PAIR[1].replace("b: ", "b: transit: true, ")
    nodes = (PAIR[0], hub, "printer: via: b, address: 10.8.0.50")
    assert device("a", *nodes).behind == ()
    behind = ("10.20.0.0/24", "10.8.0.128/25", "10.8.0.50/32")
    assert device("b", *nodes).behind == tuple(map(ip_network, behind))


def test_inside_of_what_is_behind_a_node_its_peers_are_still_reached_by_the_tunnel() -> None:
    me = "me: address: 10.8.0.1, transit: true, routes: [10.8.0.64/27, 10.20.0.0/24]"
    you = "you: address: 10.8.0.66, routes: [10.8.0.80/30, 10.8.0.100/31]"
    found = device("me", me, you, "printer: via: me, address: 10.8.0.70")
    inner = tuple(map(ip_network, ("10.8.0.66/32", "10.8.0.80/30")))
    assert found.thrown == tuple(map(ip_network, ("10.8.0.64/27", "10.8.0.70/32")))
    assert found.inner == inner
    assert found.routes[-2:] == found.unreachable[-2:] == found.preferred[-2:] == inner
    assert not device("you", me, you, "printer: via: me, address: 10.8.0.70").inner


def test_without_ipv6_addresses_and_routes_of_it_go_and_it_stays_unreachable() -> None:
    found = device("b", *PAIR, 'c: address: [10.8.0.3, "fd7a::3"], routes: ["fd20::/64"]')
    left = without_ipv6(found)
    assert found.routes == (ip_network("fd7a::/64"), ip_network("fd20::/64"))
    assert (left.addresses, left.routes) == (found.addresses, ())
    assert left.unreachable == found.unreachable
    both = device("a", *PAIR)
    assert without_ipv6(both).addresses == both.addresses[:1]


def test_a_range_without_an_address_of_the_node_needs_a_route_and_its_own_subnets_none() -> None:
    found = device("b", *PAIR)
    assert found.routes == (ip_network("fd7a::/64"),)
    assert found.unreachable == tuple(map(ip_network, ("10.8.0.0/24", "fd7a::/64")))


HUB = (
    'hub: address: 10.8.0.1, transit: true, endpoint: "192.0.2.1:1"',
    "near: address: 10.8.0.2",
    "far: address: 10.8.0.3, via: hub, routes: [10.30.0.0/16]",
    "out: address: 10.8.0.4, via: hub",
    "printer: address: 10.8.0.5, via: hub",
)


@pytest.mark.parametrize(
    ("node", "peers"),
    [
        ("hub", {"near": "10.8.0.2/32", "far": "10.8.0.3/32 10.30.0.0/16", "out": "10.8.0.4/32"}),
        ("near", {"hub": "10.8.0.1/32 10.8.0.3/32 10.30.0.0/16 10.8.0.4/32 10.8.0.5/32"}),
        ("far", {"hub": "10.8.0.1/32 10.8.0.2/32 10.8.0.4/32 10.8.0.5/32"}),
        ("out", {"hub": "10.8.0.1/32 10.8.0.2/32 10.8.0.3/32 10.30.0.0/16 10.8.0.5/32"}),
    ],
)
def test_a_spoke_is_a_peer_of_its_hub_alone_and_behind_it_for_all_others(
    node: str, peers: dict[str, str]
) -> None:
    assert allowed(device(node, *HUB)) == peers


def test_spokes_of_two_hubs_meet_through_both() -> None:
    nodes = (
        "h1: address: 10.8.0.1, transit: true",
        "h2: address: 10.8.0.2, transit: true",
        "s1: address: 10.8.0.3, via: h1",
        "s2: address: 10.8.0.4, via: h2",
    )
    assert allowed(device("s1", *nodes)) == {"h1": "10.8.0.1/32 10.8.0.2/32 10.8.0.4/32"}
    assert allowed(device("h1", *nodes)) == {
        "h2": "10.8.0.2/32 10.8.0.4/32",
        "s1": "10.8.0.3/32",
    }


@given(meshes())
def test_every_prefix_of_another_node_is_reached_through_exactly_one_peer(
    document: Document,
) -> None:
    for own in (node for node in document.nodes if node.public_key):
        found = wanted(document, own.name)
        given = [cidr for peer in found.peers for cidr in peer.allowed_ips]
        others = [node for node in document.nodes if node is not own]
        # A node without a key is behind its hub: there, it is no matter of WireGuard's.
        tunnelled = [n for n in others if n.public_key or n.via != own.name]
        assert len(given) == len(set(given))
        assert set(given) == {
            cidr
            for node in tunnelled
            for cidr in (*map(ip_network, node.addresses), *(r.cidr for r in node.routes))
        }


@given(meshes())
def test_a_route_to_a_subnet_leads_to_a_peer_that_has_it(document: Document) -> None:
    for own in (node for node in document.nodes if node.public_key):
        found = wanted(document, own.name)
        given = {cidr for peer in found.peers for cidr in peer.allowed_ips}
        ranges = set(document.mesh.cidrs if document.mesh else ())
        assert set(found.routes) - ranges <= given
        assert set(found.unreachable) == ranges | set(found.routes)


@given(meshes())
def test_two_nodes_have_each_other_as_peers_or_not_at_all_and_share_their_preshared_key(
    document: Document,
) -> None:
    devices = {node.name: wanted(document, node.name) for node in document.nodes if node.public_key}
    tunnels = {
        (name, peer.name): peer.preshared_key_file
        for name, found in devices.items()
        for peer in found.peers
    }
    assert tunnels == {(b, a): file for (a, b), file in tunnels.items()}


SETTINGS = [
    ("", "", (None, None)),
    ("listen_port: 5, mtu: 1400", "", (5, 1400)),
    ("listen_port: 5, mtu: 1400", "listen_port: 6", (6, 1400)),
    ("listen_port: 5, mtu: 1400", "mtu: 1300", (5, 1300)),
    ("", 'endpoint: "192.0.2.1:7"', (7, None)),
    ("", 'endpoint: "[2001:db8::1]:7"', (7, None)),
    ("listen_port: 5", 'endpoint: "192.0.2.1:7"', (5, None)),
]


@pytest.mark.parametrize(("mesh", "node", "expected"), SETTINGS)
def test_a_node_goes_before_the_mesh_and_the_mesh_before_the_endpoints_port(
    mesh: str, node: str, expected: tuple[int | None, int | None]
) -> None:
    found = device("a", f"a: address: 10.8.0.1, {node}", mesh=f"cidr: 10.8.0.0/24, {mesh}")
    assert (found.listen_port, found.mtu) == expected


KEEPALIVES = [
    ("", "", {"b": KEEPALIVE_S, "c": 0}),
    ("keepalive: 10", "", {"b": 10, "c": 10}),
    ("keepalive: 10", "keepalive: off", {"b": 0, "c": 0}),
    ("keepalive: 10", "keepalive: 0", {"b": 0, "c": 0}),
    ("", 'endpoint: "192.0.2.1:1"', {"b": 0, "c": 0}),
]


@pytest.mark.parametrize(("mesh", "node", "expected"), KEEPALIVES)
def test_a_node_without_an_endpoint_keeps_its_nat_open_towards_those_that_have_one(
    mesh: str, node: str, expected: dict[str, int]
) -> None:
    found = device(
        "a",
        f"a: address: 10.8.0.1, {node}",
        'b: address: 10.8.0.2, endpoint: "192.0.2.2:1"',
        "c: address: 10.8.0.3",
        mesh=f"cidr: 10.8.0.0/24, {mesh}",
    )
    assert {peer.name: peer.keepalive_s for peer in found.peers} == expected


PAIRED = "preshared_key_file: '/psk/{pair}.key'"
PRESHARED = [
    ("", "", "", None),
    ("", "preshared_key_file: /a.psk", "", "/a.psk"),
    ("", "", "preshared_key_file: /b.psk", "/b.psk"),
    ("", "preshared_key_file: /x.psk", "preshared_key_file: /x.psk", "/x.psk"),
    ("", PAIRED, "", "/psk/a_b.key"),
    ("", PAIRED, PAIRED, "/psk/a_b.key"),
    (PAIRED, "", "", "/psk/a_b.key"),
    (PAIRED, "", "preshared_key_file: /b.psk", "/b.psk"),
    ("preshared_key_file: /all.psk", PAIRED, "", "/psk/a_b.key"),
]


@pytest.mark.parametrize(("mesh", "first", "second", "expected"), PRESHARED)
def test_both_nodes_of_a_pair_read_the_same_preshared_key(
    mesh: str, first: str, second: str, expected: str | None
) -> None:
    document = read(
        f"b: address: 10.8.0.1, {second}",
        f"a: address: 10.8.0.2, {first}",
        mesh=f"cidr: 10.8.0.0/24, {mesh}",
    )
    for name in ("a", "b"):
        (peer,) = wanted(document, name).peers
        assert peer.preshared_key_file == expected


def lacks(document: Document, node: str) -> list[tuple[int, str]]:
    """The line and message of every problem."""
    with pytest.raises(DocumentError) as caught:
        wanted(document, node)
    return [(each.line, each.message) for each in caught.value.problems]


def test_two_files_for_one_preshared_key_are_refused_for_the_two_alone() -> None:
    document = read(
        "a: address: 10.8.0.1, preshared_key_file: /a.psk",
        "b: address: 10.8.0.2, preshared_key_file: /b.psk",
        "hub: address: 10.8.0.3, transit: true",
        "c: address: 10.8.0.4, via: hub, preshared_key_file: /c.psk",
    )
    message = "{} and {} name different files for the preshared key they share"
    assert lacks(document, "a") == [(5, message.format("a", "b"))]
    assert lacks(document, "b") == [(4, message.format("b", "a"))]
    assert wanted(document, "hub").peers[2].preshared_key_file == "/c.psk"


def test_everything_that_is_missing_is_told_at_once_with_its_line() -> None:
    text = (
        "nodes:\n"
        f"  hub: {{public_key: {key(1)}, transit: true}}\n"
        "  a: {via: hub}\n"
        "  b: {via: hub}\n"
        f"  c: {{public_key: {key(2)}, address: 10.8.0.1}}\n"
        "policy: {}\n"
    )
    assert lacks(load(text.encode(), "krait.yaml"), "a") == [
        (1, "the document lacks `mesh` and `interface`, which `krait up` needs"),
        (2, 'node "hub" lacks `address`, which `krait up` needs'),
        (3, 'node "a" lacks `address` and `public_key`, which `krait up` needs'),
    ]
    with pytest.raises(DocumentError) as caught:
        wanted(load(text.encode(), "krait.yaml"), "a")
    assert [each.hint for each in caught.value.problems[1:]] == [
        "give it the one that it has on the interface, or a free one of the mesh",
        "`krait genkey wg0` there prints its public key",
    ]


def test_an_interface_that_is_asked_for_will_do_unless_the_document_has_another() -> None:
    assert wanted(read(*PAIR, top=""), "a", interface="wg7").interface == "wg7"
    assert wanted(read(*PAIR), "a", interface="wg0").interface == "wg0"
    with pytest.raises(UsageError, match="`interface: wg0`, but wg7 is asked for"):
        wanted(read(*PAIR), "a", interface="wg7")


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "128.0.0.0/1", "::/0"])
@pytest.mark.parametrize("node", ["a", "b"])
def test_an_exit_node_is_refused_on_every_node_alike(cidr: str, node: str) -> None:
    document = read("a: address: 10.8.0.1", f"b: address: 10.8.0.2, routes: ['{cidr}']")
    assert lacks(document, node) == [(5, f"{cidr} of b: `krait up` makes no exit node")]


def test_a_node_that_the_document_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match='has no node "z"'):
        wanted(read(*PAIR), "z")
