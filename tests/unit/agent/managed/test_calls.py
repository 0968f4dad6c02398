# SPDX-License-Identifier: Apache-2.0
from krait.agent.managed.calls import Calls
from krait.policy.device import WantedPeer

KEY, OTHER = b"k" * 32, b"o" * 32
OLD, NEW = "old.example:1", "new.example:1"


def peer(endpoint: str | None, key: bytes = KEY) -> WantedPeer:
    return WantedPeer("you", key, endpoint, 0, (), None)


def called(*endpoints: str | None) -> Calls:
    """A peer that had these, one after the other, all of them known."""
    calls = Calls()
    for each in endpoints:
        calls.made([peer(each)], {KEY})
    return calls


def test_a_first_endpoint_is_no_reason_to_call_who_was_heard_from() -> None:
    assert not Calls().due([peer(OLD)])
    assert not called(None).due([peer(OLD)])
    assert not called(OLD, None).due([peer(NEW)])


def test_a_changed_endpoint_is_due_until_its_address_is_known_and_set() -> None:
    calls = called(OLD)
    assert calls.due([peer(NEW)]) == {KEY}
    calls.made([peer(NEW)], known=())
    assert calls.due([peer(NEW)]) == {KEY}
    calls.made([peer(NEW)], known={KEY})
    assert not calls.due([peer(NEW)])


def test_an_endpoint_that_is_changed_back_before_that_is_not_due() -> None:
    calls = called(OLD)
    calls.made([peer(NEW)], known=())
    assert not calls.due([peer(OLD)])


def test_each_peer_has_calls_of_its_own() -> None:
    calls = Calls()
    calls.made([peer(OLD), peer(OLD, OTHER)], {KEY, OTHER})
    calls.made([peer(NEW), peer(NEW, OTHER)], {OTHER})
    assert calls.due([peer(NEW), peer(NEW, OTHER)]) == {KEY}


def test_a_peer_that_went_and_came_back_is_new() -> None:
    calls = called(OLD)
    calls.made([], ())
    assert not calls.due([peer(NEW)])
