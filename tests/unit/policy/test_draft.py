# SPDX-License-Identifier: Apache-2.0
"""To adopt a draft changes nothing: whatever passes the interface today has an owner and may."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from krait.common.abi import PairClass
from krait.common.errors import UsageError
from krait.policy import expectations
from krait.policy.advice import advise
from krait.policy.device import wanted
from krait.policy.document import load
from krait.policy.draft import Scene, draft, own_name
from krait.policy.evaluate import decide_all
from krait.policy.formatted import formatted
from krait.policy.model import Address, Document, Network
from krait.policy.nodes import MAX_RANGES
from krait.policy.pair import pair_class
from krait.policy.values import name as valid_name
from krait.policy.view import HERE, Interface, InterfaceAddress, Peer, Principal, View, resolve
from tests.strategies.worlds import ODD_ADDRESSES

EXIT = tuple(map(ip_network, ("0.0.0.0/0", "::/0")))
ROUTED = tuple(
    map(
        ip_network,
        (
            *("10.8.0.2/32", "10.8.0.3/32", "10.8.0.0/24", "10.8.0.0/29", "10.20.0.0/16"),
            *("10.20.0.7/32", "10.20.0.0/24", "192.168.1.0/24", "192.168.1.128/25"),
            *("0.0.0.0/1", "128.0.0.0/1", "224.0.0.0/4", "2000::/3", "fe80::/64", "ff00::/8"),
            *("fd00:8::2/128", "fd00:8::/64", "fd00:20::/48", "fd00:20::7/128"),
        ),
    )
)
OWN = tuple(
    map(
        ip_interface,
        (
            "10.8.0.1/24",
            "10.8.0.1/32",
            "10.8.0.9/29",
            "fd00:8::1/64",
            "fd00:8::1/128",
            "fe80::1/64",
        ),
    )
)
ELSEWHERE = tuple(
    map(
        ip_interface,
        (
            *("192.168.1.200/24", "192.168.1.5/25", "10.20.0.7/16", "10.20.0.9/24", "10.8.0.77/24"),
            *("172.17.0.1/16", "198.51.100.7/32", "10.8.0.1/24", "203.0.113.9/0"),
            *("fd00:20::9/64", "2001:db8::7/64"),
        ),
    )
)


def a_peer(number: int, *allowed_ips: Network) -> Peer:
    return Peer(bytes((number,)) * 32, allowed_ips)


def a_scene(
    *allowed_ips: str, elsewhere: tuple[str, ...] = (), forwards: tuple[int, ...] = ()
) -> Scene:
    """One peer; this machine has 10.8.0.1/24."""
    peers = (a_peer(1, *map(ip_network, allowed_ips)),) if allowed_ips else ()
    return Scene(
        "wg0",
        Interface(b"k" * 32, (ip_interface("10.8.0.1/24"),), peers),
        "alpha",
        {b"\1" * 32: "192.0.2.2:51820"},
        tuple(map(ip_interface, elsewhere)),
        frozenset(forwards),
    )


@st.composite
def scenes(draw_: st.DrawFn) -> Scene:
    allowed = draw_(st.lists(st.sampled_from(ROUTED + EXIT), max_size=8, unique=True))
    count = draw_(st.integers(0, 3))
    peers = tuple(a_peer(n, *allowed[n - 1 :: count]) for n in range(1, count + 1))
    own = draw_(st.lists(st.sampled_from(OWN), max_size=3, unique=True))
    others = draw_(st.lists(st.sampled_from(ELSEWHERE), max_size=4, unique=True))
    return Scene(
        draw_(st.sampled_from(("wg0", "wg0.100", "1e3", "null", "=", ".a"))),
        Interface(b"k" * 32, tuple(own), peers),
        draw_(st.text(max_size=80)),
        {peers[0].public_key: "[2001:db8::1]:51820"} if peers else {},
        tuple(others),
        draw_(st.frozensets(st.sampled_from((4, 6)))),
    )


def load_draft(scene: Scene) -> Document:
    return load(draft(scene).encode(), "draft.yaml")


def owner(view: View, address: Address) -> Principal | None:
    holding = [prefix for prefix in view.owners if address in prefix]
    return view.owners[max(holding, key=lambda each: each.prefixlen)] if holding else None


def landmarks(cidr: Network) -> list[Address]:
    return [cidr[0], cidr[-1], cidr[cidr.num_addresses // 2]]


def on_networks(address: Address, addresses: tuple[InterfaceAddress, ...]) -> int:
    """Bits of the longest of these machines' own networks that holds the address, -1 for none."""
    return max(
        (each.network.prefixlen for each in addresses if address in each.network), default=-1
    )


def given_away(scene: Scene) -> set[Address]:
    """Addresses of this machine that WireGuard ties to a peer all the same."""
    on_interface = {each.ip for each in scene.interface.addresses}
    allowed = (cidr for peer in scene.interface.peers for cidr in peer.allowed_ips)
    return {cidr[0] for cidr in allowed if cidr.num_addresses == 1} - on_interface


@given(scenes())
def test_whoever_passes_the_interface_today_may_do_so_under_a_draft(scene: Scene) -> None:
    document = load_draft(scene)
    view = resolve(document, scene.interface)
    own = {each.ip for each in (*scene.interface.addresses, *scene.elsewhere)}

    of_peers, here = set[Principal](), {view.node}
    for number, peer in enumerate(scene.interface.peers, start=1):
        for cidr, address in ((c, each) for c in peer.allowed_ips for each in landmarks(c)):
            found = owner(view, address)
            whole = cidr.prefixlen == cidr.max_prefixlen
            if found is None and (address.is_multicast or (address.is_link_local and not whole)):
                continue
            assert found is not None
            if found.peer == number:
                of_peers.add(found)
            elif found.peer == HERE:  # the kernel itself sends it elsewhere, not into the tunnel
                assert address in own or on_networks(address, scene.elsewhere) > -1
    for address in own - given_away(scene):
        found = owner(view, address)
        assert found is not None
        assert found.peer == HERE
        here.add(found)
    if forwarded := {
        each
        for each in ODD_ADDRESSES
        if each.version in scene.forwards and not (each.is_link_local or each.is_multicast)
    }:
        owners = [owner(view, address) for address in forwarded]
        assert None not in owners
        here |= {each for each in owners if each is not None and each.peer == HERE}

    assert view.transit == bool(scene.forwards)
    assert not view.warnings
    everyone = of_peers | here
    for source in everyone:
        for destination in everyone:
            assert source.labels is not None
            assert destination.labels is not None
            ends = source.labels, destination.labels
            assert all(each.decision.allows for each in decide_all(document.policy, *ends))
            # Without a state to keep, no connection that is open at adoption is cut.
            assert pair_class(document.policy, *ends) is PairClass.ALLOW_STATELESS


@given(scenes())
def test_a_draft_passes_its_own_tests_and_needs_no_advice_but_of_prefixes_that_are_nested_today(
    scene: Scene,
) -> None:
    document = load_draft(scene)
    assert document.interface == scene.name
    assert expectations.run(document) == ()
    lonely = not document.policy.tests  # nobody is there whom a rule could mean
    advice = (each.message for each in advise(document))
    assert lonely or all(each.endswith("the longest prefix decides") for each in advice)


def test_a_leaf_gets_no_more_than_its_peers_and_its_networks() -> None:
    document = load_draft(a_scene("10.8.0.2/32", "10.20.0.0/24", elsewhere=("192.0.2.7/24",)))
    me, peer = document.nodes
    assert (me.name, me.transit, me.addresses) == ("alpha", False, (ip_address("10.8.0.1"),))
    assert [(str(r.cidr), set(r.tags)) for r in me.routes] == [("192.0.2.0/24", {"lan"})]
    assert [(str(r.cidr), set(r.tags)) for r in peer.routes] == [("10.20.0.0/24", {"routed"})]


def test_krait_up_makes_the_interface_that_a_draft_was_made_of() -> None:
    device = wanted(load_draft(a_scene("10.8.0.2/32", "10.20.0.0/24")), "alpha")
    assert device.addresses == (ip_interface("10.8.0.1/24"),)
    (peer,) = device.peers
    assert {str(each) for each in peer.allowed_ips} == {"10.8.0.2/32", "10.20.0.0/24"}


def test_an_address_that_wireguard_ties_to_a_peer_is_the_peers_alone() -> None:
    me, peer = load_draft(a_scene("10.8.0.1/32", "fe80::2/128")).nodes
    assert (me.addresses, peer.addresses) == ((), (ip_address("10.8.0.1"),))


def test_what_krait_up_should_not_have_of_a_draft_is_said_in_front_of_it() -> None:
    elsewhere = ("192.0.2.7/24", "198.51.100.7/24")
    text = draft(a_scene("10.8.0.2/32", "10.20.0.0/24", elsewhere=elsewhere, forwards=(4,)))
    assert (
        "      # Before `krait up`, take each `lan` out, and the test that names it,\n"
        "      # unless peers shall reach this network through the tunnel.\n"
        "      - {cidr: 192.0.2.0/24, tags: [lan]}\n"
        "      - {cidr: 198.51.100.0/24, tags: [lan]}\n"
        "      # `krait up` makes no exit node: before it, take each `internet` out,\n"
        "      # and the test that names it.\n"
        "      - {cidr: 0.0.0.0/0, tags: [internet]}\n"
    ) in text
    assert text.count("Before `krait up`") == text.count("no exit node") == 1


def test_a_machine_that_forwards_is_a_hub_and_has_the_internet_behind_it() -> None:
    (me, _) = load_draft(a_scene("10.8.0.2/32", forwards=(4,))).nodes
    assert me.transit
    assert [(str(r.cidr), set(r.tags)) for r in me.routes] == [("0.0.0.0/0", {"internet"})]


def test_the_internet_stays_behind_the_peer_that_is_the_exit() -> None:
    me, exit_peer = load_draft(a_scene("0.0.0.0/0", forwards=(4,))).nodes
    assert me.routes == ()
    assert [set(r.tags) for r in exit_peer.routes] == [{"internet"}]


def test_an_own_address_inside_a_longer_prefix_of_a_peer_is_listed_by_itself() -> None:
    scene = a_scene("192.168.1.128/25", elsewhere=("192.168.1.200/24",))
    view = resolve(load_draft(scene), scene.interface)
    found = [owner(view, ip_address(f"192.168.1.{host}")) for host in (200, 201, 5)]
    assert [each and each.peer for each in found] == [HERE, 1, HERE]


def test_a_draft_shows_where_each_peer_is_and_what_to_do_next() -> None:
    text = draft(a_scene("10.8.0.2/32"))
    assert "\n  peer1:\n    # 10.8.0.2, at 192.0.2.2:51820\n    public_key:" in text
    assert "krait check wg0.yaml" in text
    assert "sudo krait --iface wg0 --config wg0.yaml" in text


def test_a_link_local_allowed_ip_is_the_peers_own_address() -> None:
    text = draft(a_scene("fe80::2/128"))
    assert "\n  peer1:\n    # fe80::2, at 192.0.2.2:51820\n    public_key:" in text
    assert "routes:" not in text


def test_a_prefix_that_drops_under_every_policy_is_no_route() -> None:
    text = draft(a_scene("fe80::/64", "224.0.0.0/4", elsewhere=("169.254.7.7/16",)))
    for cidr in ("fe80::/64", "224.0.0.0/4", "169.254.0.0/16"):
        assert f"\n    # Not {cidr}: link-local or multicast, it never passes.\n" in text
    assert "routes:" not in text
    assert load(text.encode(), "wg0.yaml").nodes[1].routes == ()


@pytest.mark.parametrize(
    ("host", "node"),
    [
        ("alpha", "alpha"),
        ("Alpha.example.org", "alpha"),
        ("my_host", "my-host"),
        ("peer7", "peer7-host"),
        ("internet", "internet-host"),
        ("self", "self-host"),
        ("", "host"),
        ("-", "host"),
    ],
)
def test_this_machine_is_called_as_its_host_name_allows(host: str, node: str) -> None:
    assert own_name(host) == node


@given(st.text())
@example("a" * 80)
def test_every_host_name_makes_a_valid_name(host: str) -> None:
    assert valid_name(own_name(host)) == own_name(host)


def test_an_interface_without_a_key_is_refused() -> None:
    scene = a_scene("10.8.0.2/32")
    bare = replace(scene, interface=replace(scene.interface, public_key=bytes(32)))
    with pytest.raises(UsageError, match="wg0 has no private key yet"):
        draft(bare)


def test_an_interface_whose_name_no_document_can_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="not an interface name"):
        draft(replace(a_scene(), name="wg:0"))


@given(scenes())
def test_it_has_the_form_of_fmt(scene: Scene) -> None:
    text = draft(scene)
    assert formatted(text.encode(), "draft.yaml").decode() == text


def test_an_interface_that_no_document_is_right_about_is_drafted_all_the_same() -> None:
    scene = a_scene()
    own = tuple(ip_interface(f"10.8.{n}.1/24") for n in range(MAX_RANGES + 1))
    text = draft(replace(scene, interface=replace(scene.interface, addresses=own)))
    with pytest.raises(UsageError, match="more than 64 ranges"):
        load(text.encode(), "draft.yaml")
