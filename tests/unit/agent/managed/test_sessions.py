# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.agent.managed.sessions import STALE_S, Sessions
from krait.kernel.wireguard import Peer

KEY, OTHER = b"a" * 32, b"b" * 32
HOUR_S = 3600.0
BOOT_S, WALL_S = 50.0, 1_700_000_000.0


def peer(handshake_s: float, key: bytes = KEY) -> Peer:
    return Peer(key, "192.0.2.1:1", (), int(handshake_s), 0, 0, 0)


class Clocks:
    """Both go on together, but for jumps of the wall clock."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.now_s, self.wall_s = BOOT_S, WALL_S

    def lost(self, *peers: Peer, after_s: float = 0, jump_s: float = 0) -> frozenset[bytes]:
        self.now_s += after_s
        self.wall_s += after_s + jump_s
        return self.sessions.lost(peers, now_s=self.now_s, wall_s=self.wall_s)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_session_is_dead_after_its_time_without_a_handshake(clocks: Clocks) -> None:
    assert not clocks.lost(peer(WALL_S))
    assert not clocks.lost(peer(WALL_S), after_s=STALE_S)
    assert clocks.lost(peer(WALL_S), peer(clocks.wall_s, OTHER), after_s=1) == {KEY}


def test_a_peer_that_never_shook_hands_is_lost(clocks: Clocks) -> None:
    assert clocks.lost(peer(0)) == {KEY}
    assert not clocks.lost(peer(clocks.wall_s))


def test_a_handshake_that_an_agent_finds_at_its_start_is_as_old_as_the_clock_says(
    clocks: Clocks,
) -> None:
    assert not clocks.lost(peer(WALL_S - STALE_S))
    assert clocks.lost(peer(WALL_S - STALE_S), after_s=1) == {KEY}


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_jumps_kills_no_session_and_revives_none(
    clocks: Clocks, jump_s: float
) -> None:
    dead = peer(WALL_S - 2 * STALE_S, OTHER)
    assert clocks.lost(peer(WALL_S), dead) == {OTHER}
    assert clocks.lost(peer(WALL_S), dead, after_s=STALE_S - 1, jump_s=jump_s) == {OTHER}
    assert clocks.lost(peer(WALL_S), dead, after_s=2) == {KEY, OTHER}


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_handshake_just_before_a_jump_is_new_all_the_same(clocks: Clocks, jump_s: float) -> None:
    clocks.lost(peer(WALL_S))
    clocks.lost(peer(WALL_S), after_s=STALE_S - 10)
    assert not clocks.lost(peer(clocks.wall_s), after_s=20, jump_s=jump_s)
    assert not clocks.lost(peer(clocks.wall_s), after_s=20)


def test_a_clock_that_was_set_back_before_the_agent_began_does_not_keep_a_dead_session_alive(
    clocks: Clocks,
) -> None:
    assert not clocks.lost(peer(WALL_S + HOUR_S))
    assert clocks.lost(peer(WALL_S + HOUR_S), after_s=STALE_S + 1) == {KEY}


def test_a_peer_that_was_removed_is_forgotten(clocks: Clocks) -> None:
    clocks.lost(peer(WALL_S))
    clocks.lost()
    assert clocks.lost(peer(WALL_S), after_s=STALE_S + 1) == {KEY}
