# SPDX-License-Identifier: Apache-2.0
"""Which peers are lost: their session died, and they must be sought where the document says.

WireGuard tells a handshake by the wall clock, and that may jump by hours: forth, and every session
would seem dead; back, and none would for as long. So what counts is for how long the handshake that
is told has been the same, by a clock that does not jump. Pure: time is an argument.
"""

from collections.abc import Iterable

from krait.kernel.wireguard import Peer

STALE_S = 180.0
"""A session that heard no handshake for so long is dead (WireGuard's Reject-After-Time)."""


class Sessions:
    """Remembers the handshakes of one device from look to look."""

    def __init__(self, stale_s: float = STALE_S) -> None:
        self._stale_s = stale_s
        self._looked_s = float("-inf")
        self._known: dict[bytes, tuple[int, float]] = {}  # the handshake, and when it was

    def lost(self, peers: Iterable[Peer], *, now_s: float, wall_s: float) -> frozenset[bytes]:
        """Public keys of those without a living session.

        `now_s` is of CLOCK_BOOTTIME, which goes on while the machine sleeps; `wall_s` of the clock
        that handshakes are told by. That one is believed only for a handshake that was not seen
        before, and no further than to the last look.
        """
        known = {}
        for each in peers:
            key, handshake_s = each.public_key, each.latest_handshake_s
            before = self._known.get(key)
            if before is not None and before[0] == handshake_s:
                known[key] = before
                continue
            was_s = now_s - max(wall_s - handshake_s, 0.0)
            known[key] = handshake_s, max(was_s, self._looked_s) if before else was_s
        self._known, self._looked_s = known, now_s
        return frozenset(
            key
            for key, (handshake_s, was_s) in known.items()
            if not handshake_s or now_s - was_s > self._stale_s
        )
