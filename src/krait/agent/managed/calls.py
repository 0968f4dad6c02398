# SPDX-License-Identifier: Apache-2.0
"""Which peers are to be called where the document says, though their session lives elsewhere.

A peer may roam, and is best reached where it was heard last; but where the document *changes* an
endpoint, somebody means it. Such a call is due until it was made: a host name may be long in having
an address. Pure.
"""

from collections.abc import Container, Iterable

from krait.policy.device import WantedPeer


class Calls:
    """Remembers under which endpoint each peer of one device was called last."""

    def __init__(self) -> None:
        self._made: dict[bytes, str] = {}  # by public key, as the document wrote it then

    def due(self, peers: Iterable[WantedPeer]) -> frozenset[bytes]:
        """Public keys of those that were called elsewhere. Of a peer's first endpoint nothing is
        due: it is called there anyway, unless it was heard from first.
        """
        return frozenset(
            each.public_key
            for each in peers
            if each.endpoint and self._made.get(each.public_key, each.endpoint) != each.endpoint
        )

    def made(self, peers: Iterable[WantedPeer], known: Container[bytes]) -> None:
        """They are called now, but for those that have no address yet (are not in `known`)."""
        before = self._made
        self._made = {}
        for each in peers:
            key = each.public_key
            if each.endpoint:
                waits = key in before and key not in known
                self._made[key] = before[key] if waits else each.endpoint
