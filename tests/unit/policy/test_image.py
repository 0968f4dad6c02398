# SPDX-License-Identifier: Apache-2.0
from base64 import b64encode
from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krait.common.abi import PairClass, PairLayout, PrincipalFlag
from krait.policy.capacity import SMALLEST
from krait.policy.compile import compile_policy
from krait.policy.document import load
from krait.policy.evaluate import decide
from krait.policy.image import EMPTY, draw, need
from krait.policy.model import Address, Document
from krait.policy.numbering import Numbers
from krait.policy.pair import pair_class
from krait.policy.placement import NoRoom
from krait.policy.view import HERE, Interface, Peer, Principal, View, resolve
from tests.documents import key
from tests.strategies.documents import SPANS
from tests.strategies.worlds import ODD_ADDRESSES, World, landmarks, later, worlds
from tests.unit.policy.tables import tables

PROBES = sorted(
    {(span.protocol, port) for span in SPANS for port in (span.low, span.high)} | {(47, 0)}
)


def _longest(view: View, address: Address) -> Principal | None:
    holding = [cidr for cidr in view.owners if cidr.version == address.version and address in cidr]
    return view.owners[max(holding, key=lambda cidr: cidr.prefixlen)] if holding else None


@given(worlds())
def test_every_address_has_the_owner_of_its_longest_prefix(world: World) -> None:
    drawn = tables(world)
    for address in (*landmarks(world.view), *ODD_ADDRESSES):
        who, entry = _longest(world.view, address), drawn.owner(address)
        assert (who is None) == (entry is None), address
        if who is not None and entry is not None:
            labels = drawn.compiled.numbers.identities
            found = labels[entry.identity - 256] if entry.identity else None
            assert (found, entry.peer) == (who.labels, who.peer), address
            assert bool(entry.flags & PrincipalFlag.UNKNOWN_PEER) == who.unknown_peer


def test_the_own_address_that_needs_no_look_up_is_not_the_link_local_one() -> None:
    found = load(f'nodes: {{me: {{public_key: "{key(1)}"}}}}\npolicy: {{}}\n'.encode(), "t")
    own = tuple(map(ip_interface, ("fe80::1/64", "fd00:8::1/64", "169.254.0.1/16")))
    drawn = tables(World(found, Interface(bytes([1]) * 32, own, ())))
    assert (drawn.own.own6_hi, drawn.own.own6_lo) == (0xFD00_0008 << 32, 1)
    assert drawn.own.own4 == 0xA9FE_0001


@given(worlds())
def test_what_the_pairs_say_is_what_the_rules_say(world: World) -> None:
    drawn, policy = tables(world), world.document.policy
    names = (None, *drawn.compiled.numbers.rules)
    owners = {
        who for who in world.view.owners.values() if who is not None and who.labels is not None
    }
    entries = {
        who: drawn.owner(cidr.network_address)
        for cidr, who in world.view.owners.items()
        if who in owners and _longest(world.view, cidr.network_address) is who
    }
    for near, near_entry in entries.items():
        for far, far_entry in entries.items():
            if far.peer == HERE or not near_entry or not far_entry:
                continue
            if near.peer != HERE and not world.view.transit:
                continue
            pair = drawn.pair(near_entry, far_entry)
            assert near.labels is not None
            assert far.labels is not None
            assert pair.verdict_class == pair_class(policy, near.labels, far.labels)
            for source, target, source_entry, target_entry in (
                (near, far, near_entry, far_entry),
                (far, near, far_entry, near_entry),
            ):
                high_opens = source_entry.identity > target_entry.identity
                reference = pair.list_high if high_opens else pair.list_low
                uniform = pair.rule_high if high_opens else pair.rule_low
                for protocol, port in PROBES:
                    right = decide(policy, source.labels, target.labels, protocol, port)
                    name = right.rule.name if right.rule else None
                    if pair.verdict_class == PairClass.STATEFUL or reference:
                        allow, number = drawn.decide(reference, protocol, port)
                    else:
                        allow = pair.verdict_class == PairClass.ALLOW_STATELESS
                        number = uniform
                    assert (allow, names[number]) == (right.allows, name), (protocol, port)


@given(worlds())
def test_the_own_address_that_needs_no_look_up_is_this_nodes(world: World) -> None:
    drawn = tables(world)
    own = drawn.own
    for address in landmarks(world.view):
        value = int(address)
        if value == (1 << address.max_prefixlen) - 1:
            continue  # stands for no address; such a packet never gets this far
        hit = (
            value == own.own4 if address.version == 4 else value == own.own6_hi << 64 | own.own6_lo
        )
        if hit:
            entry = drawn.owner(address)
            assert entry is not None
            assert (entry.identity, entry.row, entry.peer) == (own.identity, own.row, HERE)


@given(worlds())
def test_the_capacity_needed_is_enough_and_grown_holds_it(world: World) -> None:
    compiled = compile_policy(world.document, world.view)
    wanted = need(compiled)
    grown = SMALLEST.grown(wanted)
    assert grown.holds(wanted)
    assert grown.layout == (PairLayout.TRIANGLE if world.view.transit else PairLayout.ROWS)
    image = draw(compiled, grown, {})
    for name in ("addr4", "addr6", "principal", "pair"):
        size = {"addr4": 4, "addr6": 4}.get(name, 16)
        assert len(image.arrays[name]) <= getattr(grown, name) * size


@given(st.data(), worlds())
def test_a_later_image_leaves_the_lists_in_force_alone(data: st.DataObject, world: World) -> None:
    before = tables(world)
    after_world = data.draw(later(world))
    compiled = compile_policy(after_world.document, after_world.view, before.compiled.numbers)
    capacity = before.capacity.grown(need(compiled))
    after = draw(compiled, replace(capacity, ports=capacity.ports * 2), before.image.lists)
    taken = {
        at + i: word for ports, at in before.image.lists.items() for i, word in enumerate(ports)
    }
    for ports, at in after.lists.items():
        for i, word in enumerate(ports):
            assert taken.get(at + i, word) == word


@given(st.data(), worlds())
def test_whoever_stays_keeps_its_number(data: st.DataObject, world: World) -> None:
    before = compile_policy(world.document, world.view).numbers
    after_world = data.draw(later(world))
    after = compile_policy(after_world.document, after_world.view, before).numbers
    for old, new in ((before.identities, after.identities), (before.rules, after.rules)):
        for place, owner in enumerate(old):
            assert owner is None or owner not in new or new[place] == owner


def test_a_port_table_that_is_too_small_is_refused_before_anything_is_written() -> None:
    compiled = compile_policy(*_small())
    capacity = replace(SMALLEST.grown(need(compiled)), ports=0)
    with pytest.raises(NoRoom):
        draw(compiled, capacity, {})


def test_an_empty_slot_is_not_armed() -> None:
    assert not any(EMPTY.arrays["self"])
    assert not any(EMPTY.prefixes.values())
    assert not EMPTY.lists


def test_numbers_that_nobody_has_make_missing_pairs() -> None:
    document, view = _small()
    gone = Numbers(identities=(frozenset({"gone"}),), rules=("gone",))
    compiled = compile_policy(document, view, gone)
    assert compiled.numbers.identities[0] == frozenset({"web"}), "the gap is filled first"
    assert "gone" not in compiled.numbers.rules


def _small() -> tuple[Document, View]:
    web, db = bytes(31) + b"\1", bytes(31) + b"\2"
    document = load(
        f"""
mesh: {{cidr: 10.8.0.0/24}}
nodes:
  web1: {{public_key: "{b64encode(web).decode()}", tags: [web]}}
  db1: {{public_key: "{b64encode(db).decode()}", tags: [db]}}
policy:
  rules:
    - {{name: web-to-db, from: web, to: db, ports: [tcp/5432]}}
""".encode(),
        "small.yaml",
    )
    interface = Interface(
        web, (ip_interface("10.8.0.1/24"),), (Peer(db, (ip_network("10.8.0.2/32"),)),)
    )
    return document, resolve(document, interface)
