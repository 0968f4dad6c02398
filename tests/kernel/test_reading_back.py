# SPDX-License-Identifier: Apache-2.0
"""A slot of the kernel's tables held against what was written to it, entry by entry."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from struct import pack

import pytest

from krait.kernel.datapath import Datapath
from krait.policy.capacity import SMALLEST
from krait.policy.compile import compile_policy
from krait.policy.document import load
from krait.policy.image import ARRAYS, EMPTY, PREFIXES, Image, draw, need
from krait.policy.view import Interface, Peer, resolve
from tests.documents import key

ROUTES = '{cidr: 10.20.0.0/24, tags: lan}, "fd20::/64"'
TEXT = f"""
mesh: {{cidr: [10.8.0.0/24, "fd7a:6b72::/64"]}}
nodes:
  me: {{public_key: {key(1)}, tags: db}}
  there: {{public_key: {key(2)}, tags: web, routes: [{ROUTES}]}}
policy:
  rules:
    - {{from: web, to: db, ports: [tcp/80, tcp/443]}}
    - {{from: lan, to: db, ports: udp, until: '2099-01-01T00:00:00Z'}}
    - {{from: web, to: db, ports: tcp/80, action: deny, audit: true}}
    - {{from: lan, to: db, ports: sctp, action: reject}}
"""
SLOT = 1
ROOM = replace(SMALLEST, shadow_rules=16)


def never() -> bool:
    return False


@pytest.fixture
def image() -> Image:
    document = load(TEXT.encode(), "test.yaml")
    me, web = (node.public_key or b"" for node in document.nodes)
    allowed = ("10.8.0.2", "fd7a:6b72::2", "10.20.0.0/24", "fd20::/64")
    own = tuple(map(ip_interface, ("10.8.0.1/24", "fd7a:6b72::1/64")))
    interface = Interface(me, own, (Peer(web, tuple(map(ip_network, allowed))),))
    compiled = compile_policy(document, resolve(document, interface))
    assert ROOM.holds(need(compiled))
    return draw(compiled, ROOM, {})


@pytest.fixture
def datapath(image: Image) -> Iterator[Datapath]:
    found = Datapath.load(ROOM)
    found.write(SLOT, image, known=None, held={})
    found.write(0, EMPTY, known=None, held={})
    yield found
    found.close()


def test_what_was_written_is_there(datapath: Datapath, image: Image) -> None:
    assert datapath.differing(SLOT, image, never) == ()
    assert datapath.differing(0, EMPTY, never) == ()
    assert set(datapath.differing(0, image, never)) == {*ARRAYS, *PREFIXES} - {"ports"}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("place", ["first", "last"])
def test_one_byte_of_an_array_is_enough(
    datapath: Datapath, image: Image, name: str, place: str
) -> None:
    table = datapath.maps[name]
    stride = table.info.max_entries // 2
    number = SLOT * stride + (0 if place == "first" else stride - 1)
    entry = pack("<I", number)
    value = bytearray(table.lookup(entry) or b"")
    value[-1] ^= 1
    table.update(entry, bytes(value))
    assert datapath.differing(SLOT, image, never) == (name,)
    assert datapath.differing(0, EMPTY, never) == ()
    assert datapath.differing(SLOT, image, lambda: True) == ()


@pytest.mark.parametrize("name", PREFIXES)
def test_a_prefix_more_or_less_or_of_another_is_found(
    datapath: Datapath, image: Image, name: str
) -> None:
    table = datapath.maps[name]
    entries = [
        (keys[i * size : (i + 1) * size], values[i * 4 : i * 4 + 4])
        for size in (table.info.key_bytes,)
        for keys, values in table.items()
        for i in range(len(values) // 4)
    ]
    (entry, value) = next(each for each in entries if each[0][4] == SLOT)
    table.update(entry, pack("<I", 9))
    assert datapath.differing(SLOT, image, never) == (name,)
    table.delete(entry)
    assert datapath.differing(SLOT, image, never) == (name,)
    table.update(entry, value)
    assert datapath.differing(SLOT, image, never) == ()
    table.update(entry[:-1] + bytes((entry[-1] ^ 255,)), value)  # host bits: the same prefix
    longer = (int.from_bytes(entry[:4], "little") + 1).to_bytes(4, "little") + entry[4:]
    table.update(longer, value)
    assert datapath.differing(SLOT, image, never) == (name,)


def test_an_interval_of_a_list_that_is_in_use_is_found(datapath: Datapath, image: Image) -> None:
    offset = max(image.lists.values())
    datapath.maps["ports"].update(pack("<I", offset), bytes(8))
    assert datapath.differing(SLOT, image, never) == ("ports",)
