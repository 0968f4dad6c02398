# SPDX-License-Identifier: Apache-2.0
"""The MTU of the device: what the smallest way to the peers' endpoints leaves.

It is as good as what is known. Each way is measured once, when its endpoint is first known, and may
lower the MTU; a route that moves later is no reason to change what connections count on. What the
document or somebody's hand says stays. Pure: who asks measures.
"""

from collections.abc import Callable, Iterable, Mapping, Set

from krait.kernel.link import Link

GUESS = 1420
"""An Ethernet's, while no way is known. A device that has it may have it for no other reason."""

_OVERHEAD_BYTES = 80  # of a tunnelled packet over IPv6; over IPv4 it is 20 less
_LEAST = 1280  # RFC 8200, 5; without it the device loses IPv6

Measure = Callable[[Set[str]], Mapping[str, int]]
"""From endpoints to the MTU on the way to each, in bytes, without those that no way leads to."""


class Mtu:
    """Chosen for one device, from look to look."""

    def __init__(self) -> None:
        self._measured: set[str] = set()  # endpoints
        self._smallest: int | None = None  # on the ways to them
        self._given = GUESS

    def choose(
        self, said: int | None, link: Link | None, endpoints: Iterable[str], measure: Measure
    ) -> int:
        """What the device should have; `said` is the document's word, `link` the device if any."""
        if link is None:
            self._measured, self._smallest = set(), None
        elif said is None and link.up and link.mtu != self._given:
            return link.mtu  # by hand; or an earlier agent knew why
        mtu = self._left(endpoints, measure) if said is None else said
        if link is not None and link.mtu == mtu:
            self.given(mtu)
        return mtu

    def given(self, mtu: int) -> None:
        """The device has this from here."""
        self._given = mtu

    def _left(self, endpoints: Iterable[str], measure: Measure) -> int:
        new = set(endpoints) - self._measured
        found = measure(new) if new else {}
        self._measured |= found.keys()
        ways = [*found.values(), *([] if self._smallest is None else [self._smallest])]
        self._smallest = min(ways, default=None)
        if self._smallest is None:
            return GUESS
        return max(self._smallest - _OVERHEAD_BYTES, _LEAST)
