# SPDX-License-Identifier: Apache-2.0
from copy import deepcopy
from dataclasses import replace
from ipaddress import ip_interface, ip_network

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from krait.agent.managed.diff import Addresses, Configure, Listen, Routes, Seen, Stage, Wish, plan
from krait.agent.managed.ports import Lead
from krait.kernel.link import Link
from krait.kernel.wireguard import NO_KEY, Device, Peer
from krait.kernel.wireguard.device import seal
from krait.policy.device import WantedDevice, WantedPeer
from tests.unit.agent.managed.bench import IFINDEX, Bench

KEYS = [bytes([n]) * 32 for n in range(1, 6)]
OWN, PRIVATE, SHARED = b"o" * 32, b"p" * 32, b"s" * 32
PREFIXES = [ip_network(f"10.8.0.{n}/32") for n in range(1, 7)]
SUBNETS = [ip_network(f"10.{n}.0.0/24") for n in (20, 30, 40)]
NARROW = [ip_network(f"10.{n}.0.0/28") for n in (20, 30, 50)]
NARROWER = [ip_network(f"10.{n}.0.8/32") for n in (20, 30)]
ADDRESSES = [ip_interface(f"10.8.0.{n}/24") for n in (101, 102)] + [ip_interface("fd00::1/64")]
ENDPOINTS = ["192.0.2.1:51820", "[2001:db8::1]:51820"]
NOW_S = 1000.0


@st.composite
def shares(draw: st.DrawFn) -> dict[bytes, tuple[object, ...]]:
    """Some keys, and which prefixes each has; no prefix has two."""
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    found: dict[bytes, tuple[object, ...]] = dict.fromkeys(keys, ())
    for prefix in PREFIXES if keys else ():
        owner = draw(st.sampled_from([None, *keys]))
        if owner is not None:
            found[owner] += (prefix,)
    return found


@st.composite
def wishes(draw: st.DrawFn) -> Wish:
    peers = tuple(
        WantedPeer(f"n{key[0]}", key, None, draw(st.sampled_from([0, 25])), allowed, None)  # type: ignore[arg-type]
        for key, allowed in draw(shares()).items()
    )
    keys = [each.public_key for each in peers]
    return Wish(
        device=WantedDevice(
            node="me",
            interface="wg0",
            public_key=OWN,
            addresses=tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True))),
            listen_port=draw(st.sampled_from([None, 51820])),
            mtu=draw(st.sampled_from([None, 1380])),
            peers=peers,
            routes=tuple(draw(st.lists(st.sampled_from(SUBNETS), unique=True))),
            unreachable=tuple(draw(st.lists(st.sampled_from(SUBNETS), unique=True))),
            mesh=tuple(draw(st.lists(st.sampled_from(SUBNETS), unique=True))),
            behind=tuple(draw(st.lists(st.sampled_from(NARROW), unique=True))),
            inner=tuple(draw(st.lists(st.sampled_from(NARROWER), unique=True))),
            multicast=draw(st.booleans()),
        ),
        private_key=PRIVATE,
        preshared_keys={key: SHARED for key in keys if draw(st.booleans())},
        endpoints={key: draw(st.sampled_from(ENDPOINTS)) for key in keys if draw(st.booleans())},
        mtu=1380,
    )


@st.composite
def benches(draw: st.DrawFn) -> Bench:
    """Any wish, and anything that may be there."""
    bench = Bench(
        draw(wishes()),
        routes={
            lead: draw(st.sets(st.sampled_from([*SUBNETS, *NARROW, *NARROWER]))) for lead in Lead
        },
    )
    if not draw(st.booleans()):
        for lead in Lead:
            if lead.needs_device:
                bench.routes[lead].clear()
        return bench
    addresses = tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True)))
    bench.link = Link(
        *(IFINDEX, "wg0", "wireguard", 1420, draw(st.booleans()), addresses),
        multicast=draw(st.booleans()),
    )
    peers = tuple(
        Peer(
            key,
            draw(st.sampled_from([None, *ENDPOINTS])),
            allowed,  # type: ignore[arg-type]
            draw(st.sampled_from([0, int(NOW_S) - 10])),
            0,
            0,
            draw(st.sampled_from([0, 25])),
            seal(draw(st.sampled_from([NO_KEY, SHARED]))),
        )
        for key, allowed in draw(shares()).items()
    )
    key = draw(st.sampled_from([NO_KEY, OWN, b"x" * 32]))
    bench.device = Device("wg0", IFINDEX, key, draw(st.sampled_from([0, 51820, 7])), False, peers)
    return bench


def reach(bench: Bench, *stages: Stage) -> int:
    """Go through stages; how many steps it took."""
    count = 0
    for stage in stages:
        for step in plan(stage, bench.wish, bench.seen()):
            assert str(step)
            bench.do(step)
            count += 1
    return count


@given(benches())
def test_the_stages_lead_to_what_is_wanted_and_then_nothing_is_left_to_do(bench: Bench) -> None:
    reach(bench, *Stage)
    wish, link, device = bench.wish, bench.link, bench.device
    assert link is not None
    assert device is not None
    assert link.up
    assert set(link.addresses) == set(wish.device.addresses)
    assert device.public_key == OWN
    assert wish.device.listen_port in (None, device.listen_port)
    assert wish.device.mtu in (None, link.mtu)
    assert link.multicast == wish.device.multicast
    assert bench.leads() == {lead: wish.routes(lead) for lead in Lead}
    peers = {peer.public_key: peer for peer in device.peers}
    assert peers.keys() == {peer.public_key for peer in wish.device.peers}
    for wanted in wish.device.peers:
        peer = peers[wanted.public_key]
        assert set(peer.allowed_ips) == set(wanted.allowed_ips)
        assert peer.keepalive_s == wanted.keepalive_s
        assert peer.has_preshared(wish.preshared_keys.get(wanted.public_key, NO_KEY))
        assert peer.endpoint is not None or wanted.public_key not in wish.endpoints
    assert reach(bench, *Stage) == 0


@given(benches())
def test_no_prefix_goes_from_one_peer_to_another_in_one_step(bench: Bench) -> None:
    reach(bench, *Stage)
    assert not bench.moved


@given(benches())
def test_after_the_first_stage_nothing_is_there_that_is_not_wanted(bench: Bench) -> None:
    before = deepcopy(bench)
    reach(bench, Stage.SHRINK)
    assert bench.link is not None
    assert bench.device is not None
    wanted = {peer.public_key: set(peer.allowed_ips) for peer in bench.wish.device.peers}
    for peer in bench.device.peers:
        assert set(peer.allowed_ips) <= wanted[peer.public_key]
    assert set(bench.link.addresses) <= set(bench.wish.device.addresses)
    for lead in Lead:
        assert bench.routes[lead] <= bench.wish.routes(lead)
    had = {peer.public_key for peer in before.device.peers} if before.device else set()
    assert {peer.public_key for peer in bench.device.peers} <= had


@given(benches())
def test_only_the_last_stage_lets_a_device_carry_traffic(bench: Bench) -> None:
    was_up = bench.link is not None and bench.link.up
    routes = bench.leads()
    reach(bench, Stage.SHRINK, Stage.GROW)
    assert bench.link is not None
    assert bench.link.up == was_up
    for lead in (Lead.THROUGH, Lead.OWN_THROUGH):
        assert bench.routes[lead] <= routes[lead]


@given(benches())
def test_the_mesh_is_fenced_before_anything_else_is_done(bench: Bench) -> None:
    leads = [Lead.REFUSAL, Lead.OWN_REFUSAL]
    if bench.link is None or not bench.link.up:
        leads.append(Lead.RULE)
    throws = bench.leads()[Lead.OWN_THROW]
    for step in plan(Stage.SHRINK, bench.wish, bench.seen()):
        if not isinstance(step, Routes) or step.lead.needs_device:
            break
        bench.do(step)
        # Nothing old goes before all that is new is there.
        is_fenced = all(bench.wish.routes(each) <= bench.routes[each] for each in leads)
        assert is_fenced or not step.gone
        # Nothing is thrown before what is for the tunnel inside of it is refused.
        is_refused = bench.wish.routes(Lead.OWN_REFUSAL) <= bench.routes[Lead.OWN_REFUSAL]
        assert is_refused or bench.routes[Lead.OWN_THROW] <= throws
    assert all(bench.wish.routes(each) <= bench.routes[each] for each in leads)


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(benches())
def test_our_table_is_asked_of_a_device_that_is_up_only_once_it_leads_through_it(
    bench: Bench,
) -> None:
    assume(bench.link is not None and bench.link.up)
    before = bench.leads()[Lead.RULE]
    for stage in Stage:
        for step in plan(stage, bench.wish, bench.seen()):
            bench.do(step)
            new = bench.routes[Lead.RULE] - before
            led = bench.wish.routes(Lead.OWN_THROUGH)
            assert new & led <= bench.routes[Lead.OWN_THROUGH]


def test_what_is_behind_this_node_is_thrown_where_it_is_in_a_range_and_is_no_peers() -> None:
    device = replace(
        roaming()[0].device,
        mesh=(SUBNETS[0],),
        behind=(*NARROW,),
        inner=(NARROWER[0],),
        routes=(NARROWER[0],),
    )
    wish = replace(roaming()[0], device=device)
    assert wish.routes(Lead.OWN_THROW) == {NARROW[0]}
    assert wish.routes(Lead.OWN_REFUSAL) == {SUBNETS[0], NARROWER[0]}
    assert wish.routes(Lead.OWN_THROUGH) == {NARROWER[0]}
    assert wish.routes(Lead.RULE) == {SUBNETS[0]}
    added = [
        step.lead
        for step in plan(Stage.SHRINK, wish, Bench(wish).seen())
        if isinstance(step, Routes)
    ]
    assert added.index(Lead.OWN_THROW) < added.index(Lead.RULE), "its LAN is never cut off"


def roaming(*, lost: bool = False, called: bool = False) -> tuple[Wish, Seen]:
    """A peer that was heard from somewhere else than the document says."""
    key = KEYS[0]
    peer = WantedPeer("n1", key, ENDPOINTS[0], 0, (PREFIXES[0],), None)
    device = WantedDevice("me", "wg0", OWN, (), None, None, (peer,), (), ())
    wish = Wish(device, PRIVATE, {}, {key: ENDPOINTS[0]}, frozenset({key} if called else ()))
    there = Peer(key, "198.51.100.7:999", (PREFIXES[0],), int(NOW_S), 0, 0, 0)
    link = Link(IFINDEX, "wg0", "wireguard", 1420, True)
    seen = Seen(
        link,
        Device("wg0", IFINDEX, OWN, 7, False, (there,)),
        dict.fromkeys(Lead, frozenset()),
        frozenset({key} if lost else ()),
    )
    return wish, seen


def test_a_peer_that_roamed_is_left_where_its_session_lives() -> None:
    assert not plan(Stage.GROW, *roaming())


def test_a_peer_whose_session_died_is_sought_where_the_document_says() -> None:
    (step,) = plan(Stage.GROW, *roaming(lost=True))
    assert isinstance(step, Configure)
    assert [each.endpoint for each in step.change.peers] == [ENDPOINTS[0]]


def test_an_endpoint_that_the_document_changed_counts_at_once() -> None:
    (step,) = plan(Stage.GROW, *roaming(called=True))
    assert isinstance(step, Configure)
    assert [each.endpoint for each in step.change.peers] == [ENDPOINTS[0]]


def test_another_port_is_a_step_of_its_own_after_all_that_must_not_wait_for_it() -> None:
    wish, seen = roaming()
    wish = replace(wish, device=replace(wish.device, listen_port=51820))
    assert not plan(Stage.SHRINK, wish, seen)
    assert not plan(Stage.GROW, wish, seen)
    assert Listen(51820) in plan(Stage.RAISE, wish, seen)


def test_link_local_addresses_are_the_kernels() -> None:
    wish, seen = roaming()
    assert seen.link is not None
    link = replace(seen.link, addresses=(ip_interface("fe80::1/64"),))
    assert not plan(Stage.SHRINK, wish, replace(seen, link=link))


def test_a_link_local_address_that_is_wanted_is_given_to_the_device() -> None:
    wish, seen = roaming()
    wanted = (*wish.device.addresses, ip_interface("fe80::5/64"))
    wish = replace(wish, device=replace(wish.device, addresses=wanted))
    new = [step.new for step in plan(Stage.GROW, wish, seen) if isinstance(step, Addresses)]
    assert [wanted[-1] in each for each in new] == [True]


def test_no_step_shows_a_secret() -> None:
    bench = Bench(replace(roaming()[0], preshared_keys={KEYS[0]: SHARED}))
    shown = ""
    for stage in Stage:
        for step in plan(stage, bench.wish, bench.seen()):
            shown += f"{step} {step!r}"
            bench.do(step)
    for secret in (PRIVATE, SHARED):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
    assert repr(PRIVATE)[2:-1] not in repr(bench.wish)
