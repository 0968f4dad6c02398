# SPDX-License-Identifier: Apache-2.0
from collections.abc import Set

from krait.agent.managed.mtu import GUESS, Mtu
from krait.kernel.link import Link

WIDE, NARROW, FAR = "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"


class Underlay:
    """The ways that there are, and how often each was asked for."""

    def __init__(self) -> None:
        self.ways = {WIDE: 1500, NARROW: 1400}
        self.asked: list[str] = []

    def __call__(self, endpoints: Set[str]) -> dict[str, int]:
        self.asked += sorted(endpoints)
        return {each: self.ways[each] for each in endpoints if each in self.ways}


def device(mtu: int, *, up: bool = True) -> Link:
    return Link(7, "wg0", "wireguard", mtu, up)


def test_it_is_guessed_until_a_way_is_known() -> None:
    mtu, underlay = Mtu(), Underlay()
    assert mtu.choose(None, None, [], underlay) == GUESS
    assert mtu.choose(None, device(GUESS), [FAR], underlay) == GUESS
    underlay.ways[FAR] = 9000
    assert mtu.choose(None, device(GUESS), [FAR], underlay) == 8920


def test_whichever_endpoint_is_known_first_the_smallest_way_counts_in_the_end() -> None:
    for first, both in ((WIDE, 1320), (NARROW, 1320)):
        mtu, underlay = Mtu(), Underlay()
        began = mtu.choose(None, None, [first], underlay)
        mtu.given(began)
        assert began == underlay.ways[first] - 80
        assert mtu.choose(None, device(began), [WIDE, NARROW], underlay) == both


def test_a_route_that_moves_changes_nothing_and_nobody_asks_for_it() -> None:
    mtu, underlay = Mtu(), Underlay()
    mtu.given(mtu.choose(None, None, [WIDE, NARROW], underlay))
    underlay.ways = {WIDE: 1300, NARROW: 9000}
    assert mtu.choose(None, device(1320), [WIDE, NARROW], underlay) == 1320
    assert underlay.asked == [WIDE, NARROW]


def test_a_device_that_is_made_anew_is_measured_for_anew() -> None:
    mtu, underlay = Mtu(), Underlay()
    mtu.given(mtu.choose(None, None, [WIDE, NARROW], underlay))
    assert mtu.choose(None, None, [WIDE], underlay) == 1420


def test_what_somebody_set_by_hand_stays() -> None:
    mtu, underlay = Mtu(), Underlay()
    mtu.given(mtu.choose(None, None, [WIDE], underlay))
    for hand in (1300, 1500):
        assert mtu.choose(None, device(hand), [WIDE, NARROW], underlay) == hand


def test_after_a_restart_a_guess_is_derived_again_and_a_measure_stays() -> None:
    assert Mtu().choose(None, device(GUESS), [NARROW], Underlay()) == 1320
    assert Mtu().choose(None, device(1360), [NARROW], Underlay()) == 1360


def test_the_documents_word_goes_before_all_and_is_given_up_with_it() -> None:
    mtu, underlay = Mtu(), Underlay()
    assert mtu.choose(1380, device(1300), [NARROW], underlay) == 1380
    assert mtu.choose(1380, device(1380), [NARROW], underlay) == 1380
    assert mtu.choose(None, device(1380), [NARROW], underlay) == 1320


def test_a_change_that_was_refused_is_tried_again() -> None:
    mtu, underlay = Mtu(), Underlay()
    for _ in range(2):
        assert mtu.choose(None, device(GUESS), [NARROW], underlay) == 1320


def test_it_never_falls_below_what_ipv6_needs() -> None:
    underlay = Underlay()
    underlay.ways[FAR] = 1200
    assert Mtu().choose(None, None, [FAR], underlay) == 1280
