# SPDX-License-Identifier: Apache-2.0
"""Looking at one interface: whether it is there, is new, and what WireGuard says of it."""

from dataclasses import dataclass

import structlog

from krait.agent.desired import moved
from krait.agent.ports import Eyes
from krait.common.errors import KraitError
from krait.kernel.link import Link
from krait.kernel.wireguard import Device, NotWireguard
from krait.policy.model import Network
from krait.policy.view import Interface, Peer

INTERVAL_S = 1.0
"""Between two looks, and how long a moved prefix is nobody's."""

_KINDS = ("wireguard", "tun")
_NEVER_LOOKED = 0  # no interface has it

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look saw."""

    ifindex: int | None
    fresh: bool = False  # it appeared since an earlier look
    interface: Interface | None = None  # None: WireGuard has not told yet
    withheld: frozenset[Network] = frozenset()
    fault: KraitError | None = None  # why there is no newer word of the interface
    link: Link | None = None


class Lookout:
    """Remembers what it saw last: what is new, and what moved, is told by comparison."""

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes
        self._ifindex: int | None = _NEVER_LOOKED
        self._mark: object = None
        self._interface = _Remembered()
        self._awaited: int | None = None  # the ifindex whose key was said to be waited for
        self._appeared: tuple[int, float] | None = None  # ifindex, and when the kernel told

    def look(self, now_s: float) -> Sight:
        """Look once; `now_s` is monotonic. Raises SystemRefused if the kernel does not answer."""
        link = self._eyes.link()
        if link is not None and link.kind not in _KINDS:
            self._forget(None)
            return Sight(None, fault=NotWireguard(link.name, link.kind))
        ifindex = link.ifindex if link else None
        fresh = self._ifindex not in (_NEVER_LOOKED, ifindex) and link is not None
        if self._ifindex != ifindex and not fresh:
            self._forget(ifindex)
        if link is None or fresh:
            return Sight(ifindex, fresh, link=link)
        fault = None
        try:
            self._ask(link, now_s)
        except KraitError as error:
            fault = error
        remembered = self._interface
        withheld = remembered.withheld(now_s)
        return Sight(ifindex, False, remembered.interface, withheld, fault, link)

    def regard_as_new(self) -> None:
        """At the next look the interface appears, though it was there before."""
        self._forget(None)

    def appeared(self, ifindex: int, now_s: float) -> None:
        """The kernel told of this interface just now."""
        self._appeared = ifindex, now_s

    def greeted(self, sight: Sight, now_s: float) -> None:
        """The interface that appeared is shut: from here on it is one like any other."""
        self._forget(sight.ifindex)
        name, facts = sight.link.name if sight.link else "", {}
        if self._appeared is not None and self._appeared[0] == sight.ifindex:
            facts = {"shut_after_ms": round((now_s - self._appeared[1]) * 1e3, 1)}
        _log.info(f"{name} appeared and is shut", ifindex=sight.ifindex, **facts)

    def next_s(self, now_s: float) -> float:
        """When to look again though nothing happens: in so many seconds."""
        return min(
            (until_s - now_s for until_s in self._interface.until_s.values()), default=INTERVAL_S
        )

    def _forget(self, ifindex: int | None) -> None:
        self._ifindex, self._mark, self._interface = ifindex, None, _Remembered()

    def _ask(self, link: Link, now_s: float) -> None:
        found = self._eyes.fingerprint()
        mark = found.digest, link.addresses
        if mark == self._mark:
            return
        device = found.device()
        if device.ifindex != link.ifindex:
            return  # made anew meanwhile: the next look sees that first
        public_key = self._own_key(device)
        if public_key is None:
            return
        peers = tuple(Peer(each.public_key, each.allowed_ips) for each in device.peers)
        self._interface.learn(Interface(public_key, link.addresses, peers), now_s)
        self._mark = mark

    def _own_key(self, device: Device) -> bytes | None:
        """The interface's public key; None while it has none yet.

        A device exists before it is given its key. One whose key was taken away talks on in the
        sessions that it has, as who it was.
        """
        if any(device.public_key):
            self._awaited = None
            return device.public_key
        if self._interface.interface is not None:
            return self._interface.interface.public_key
        if self._awaited != device.ifindex:
            self._awaited = device.ifindex
            _log.info(f"{device.name} has no key yet: waiting for it")
        return None


class _Remembered:
    """What is known of an interface for as long as it lives."""

    def __init__(self) -> None:
        self.interface: Interface | None = None
        self.until_s: dict[Network, float] = {}

    def learn(self, interface: Interface, now_s: float) -> None:
        if self.interface is not None:
            until_s = now_s + INTERVAL_S
            self.until_s |= dict.fromkeys(moved(self.interface, interface), until_s)
        self.interface = interface

    def withheld(self, now_s: float) -> frozenset[Network]:
        self.until_s = {cidr: until for cidr, until in self.until_s.items() if until > now_s}
        return frozenset(self.until_s)
