# SPDX-License-Identifier: Apache-2.0
"""Question 7 of docs/packet-path.md: fragments that bear no ports."""

from ipaddress import ip_address

import pytest

from krait.common.abi import FRAGMENT_TIMEOUT_S
from krait.policy.case import Path
from tests.strategies.fragments import Piece, cut
from tests.strategies.packets import SYN, tcp, udp
from tests.unit.policy.bench import APP, BRANCH, LAN, ME, ME6, WEB, WEB6, Bench

DENIED = ("name: web-db,", "name: web-db, action: deny,")
TRANSIT = ("tags: [db]", "tags: [db]\n    transit: true")
QUESTION = udp(40000, 53, bytes(40))
FIRST, SECOND, LAST = cut(QUESTION, (16, 24))


def sent(piece: Piece, source: str = WEB, destination: str = ME, protocol: int = 17) -> bytes:
    return piece.frame(ip_address(source), ip_address(destination), protocol)


@pytest.mark.parametrize("ends", [(WEB, ME), (WEB6, ME6)], ids=["IPv4", "IPv6"])
def test_later_fragments_pass_after_the_first_in_any_order(ends: tuple[str, str]) -> None:
    bench = Bench()
    for piece in (FIRST, LAST, SECOND, LAST):
        assert bench.outcome(sent(piece, *ends), "ingress") == "pass web-db"
    assert bench.verdict(sent(LAST, *ends), "ingress").path is Path.FRAGMENT


def test_a_later_fragment_without_its_first_drops() -> None:
    assert Bench().outcome(sent(SECOND), "ingress") == "fragment"


def test_the_others_of_a_first_that_was_denied_drop() -> None:
    bench = Bench()
    first, last = cut(udp(40000, 54, bytes(8)), (8,))
    assert bench.outcome(sent(first), "ingress") == "denied default"
    assert bench.outcome(sent(last), "ingress") == "fragment"


def test_where_no_ports_are_asked_for_a_fragment_is_judged_like_any_packet() -> None:
    bench = Bench()
    assert bench.outcome(sent(LAST, APP, ME), "ingress") == "pass app-in"
    assert bench.outcome(sent(LAST, APP, LAN), "ingress") == "denied default"
    assert bench.outcome(sent(LAST, BRANCH, ME), "ingress") == "fragment"  # denied, with ports


def test_other_datagrams_have_firsts_of_their_own() -> None:
    bench = Bench()
    assert bench.outcome(sent(FIRST), "ingress") == "pass web-db"
    (last,) = cut(QUESTION, (16, 24), identifier=8)[2:]
    assert bench.outcome(sent(last), "ingress") == "fragment"
    assert bench.outcome(sent(LAST, protocol=47), "ingress") == "fragment"
    assert bench.outcome(sent(LAST, ME, WEB), "egress") == "fragment"
    assert bench.outcome(sent(LAST, WEB6, ME6), "ingress") == "fragment"


def test_a_datagram_of_ipv6_has_one_id_whatever_its_fragments_say_of_its_protocol() -> None:
    bench = Bench()
    assert bench.outcome(sent(FIRST, WEB6, ME6), "ingress") == "pass web-db"
    assert bench.outcome(sent(LAST, WEB6, ME6, protocol=6), "ingress") == "pass web-db"


def test_a_fragment_may_not_overlap_the_first_whose_ports_were_judged() -> None:
    bench = Bench()
    first, last = cut(tcp(40000, 80, SYN, bytes(12)), (24,))
    assert bench.outcome(sent(first, protocol=6), "ingress") == "pass web-db"
    for offset in (8, 16):
        forged = Piece(bytes(8), offset, more=True, id=first.id)
        assert bench.outcome(sent(forged, protocol=6), "ingress") == "fragment-overlap"
    assert bench.outcome(sent(last, protocol=6), "ingress") == "pass web-db"


@pytest.mark.parametrize("length", [8, 13])
def test_a_first_fragment_must_hold_what_is_asked_for(length: int) -> None:
    tiny = Piece(tcp(40000, 80, SYN)[:length], 0, more=length % 8 == 0, id=7)
    assert Bench().outcome(sent(tiny, protocol=6), "ingress") == "malformed"


def test_no_fragment_follows_into_another_revision() -> None:
    bench = Bench()
    assert bench.outcome(sent(FIRST), "ingress") == "pass web-db"
    bench.commit()
    assert bench.outcome(sent(SECOND), "ingress") == "fragment"
    bench.commit(DENIED)
    assert bench.outcome(sent(LAST), "ingress") == "fragment"


def test_no_fragment_follows_after_its_time() -> None:
    bench = Bench()
    assert bench.outcome(sent(FIRST), "ingress", 0) == "pass web-db"
    assert bench.outcome(sent(SECOND), "ingress", FRAGMENT_TIMEOUT_S) == "pass web-db"
    assert bench.outcome(sent(LAST), "ingress", FRAGMENT_TIMEOUT_S + 1) == "fragment"


def test_a_hub_relays_fragments_by_what_passed_at_each_hook() -> None:
    bench = Bench(TRANSIT, ("to: app}", "to: app, ports: [udp/53]}"))
    first, last = sent(FIRST, WEB, APP), sent(LAST, WEB, APP)
    assert bench.outcome(first, "ingress") == "pass peers"
    assert bench.outcome(last, "egress", came_in=True) == "fragment"
    assert bench.outcome(first, "egress", came_in=True) == "pass peers"
    assert bench.outcome(last, "egress", came_in=True) == "pass peers"
    assert bench.outcome(last, "egress") == "wrong-side"
