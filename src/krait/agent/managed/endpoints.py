# SPDX-License-Identifier: Apache-2.0
"""Endpoints by host name: looked up in the background, and again where handshakes stop.

WireGuard knows addresses only. A name is asked for when a peer needs it; nobody waits for the
answer, for a resolver may take a minute, or may be reached through the very tunnel.
"""

import socket
import threading
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from queue import SimpleQueue

from krait.agent.backoff import Backoff
from krait.common.errors import KraitError
from krait.kernel.wireguard import Device
from krait.policy.device import WantedPeer
from krait.policy.endpoint import Endpoint, numeric, parse
from krait.policy.model import Address, Network

LONGEST_S = 10.0
"""Between two questions for a name that has no address: its peer is away until it has."""

AGAIN_S = 30.0
"""Between two questions for a name whose peer is lost."""

_THREADS = 4

Answer = tuple[str, ...] | OSError
"""Endpoints as WireGuard takes them, in the order of preference (RFC 6724)."""


class Unresolved(KraitError):
    """Host names that have no address now."""

    def __init__(self, names: Iterable[str], why: str) -> None:
        super().__init__(
            f"cannot resolve {', '.join(names)}: {why}",
            hint="It is tried again. Look at the resolver, or write the address into the document.",
        )


@dataclass(slots=True)
class _Name:
    """What is known of one `host:port`."""

    found: tuple[str, ...] = ()
    error: str = ""
    is_asked: bool = False  # and not answered yet
    again_s: float = float("-inf")
    backoff: Backoff = field(default_factory=partial(Backoff, longest_s=LONGEST_S))


class Endpoints:
    """For one thread, but for the look-ups, which have threads of their own."""

    def __init__(
        self, wake: Callable[[], None], look_up: Callable[[str], Answer] | None = None
    ) -> None:
        """`wake` is called, from another thread, when there is an answer to `collect`."""
        self._wake = wake
        self._look_up = look_up or resolve
        self._names: dict[str, _Name] = {}
        self._questions: SimpleQueue[str] = SimpleQueue()
        self._answers: SimpleQueue[tuple[str, Answer]] = SimpleQueue()
        self._mesh: tuple[Network, ...] = ()
        self._threads: list[threading.Thread] = []

    def keep(self, texts: Iterable[str], mesh: Iterable[Network] = ()) -> None:
        """These are the document's endpoints now: forget the others.

        No answer counts that is inside the mesh: the tunnel does not lead to itself.
        """
        self._mesh = tuple(mesh)
        wanted = set(texts)
        self._names = {text: name for text, name in self._names.items() if text in wanted}

    def choose(self, text: str, current: str | None, *, is_lost: bool, now_s: float) -> str | None:
        """Where the peer with the endpoint `text` is to be sought; None: not known yet.

        `current` is where it is sought now. Of several addresses of a lost peer the next one is
        chosen when the name was asked again. `now_s` is monotonic.
        """
        if (written := parse(text)).address is not None:
            return str(written)  # as the kernel tells it
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = _Name()
            self._ask(text, name)
        elif name.found and is_lost and now_s >= name.again_s:
            name.again_s = now_s + AGAIN_S
            self._ask(text, name)
            if current in name.found:
                following = name.found.index(current) + 1
                return name.found[following % len(name.found)]
        if current in name.found:
            return current
        return name.found[0] if name.found else None

    def choose_all(
        self,
        peers: Iterable[WantedPeer],
        device: Device | None,
        lost: Container[bytes],
        now_s: float,
    ) -> dict[bytes, str]:
        """`choose` for every peer that has an endpoint; by public key, those that are known.

        `device` is where they are now, `lost` the public keys of those whose session is dead.
        """
        there = {each.public_key: each.endpoint for each in device.peers} if device else {}
        found = {}
        for each in peers:
            if each.endpoint is not None:
                key = each.public_key
                is_lost = key not in there or key in lost
                chosen = self.choose(each.endpoint, there.get(key), is_lost=is_lost, now_s=now_s)
                if chosen is not None:
                    found[key] = chosen
        return found

    def collect(self, now_s: float) -> bool:
        """Take the answers that came, whether there were any, and ask again for names without."""
        heard = False
        while not self._answers.empty():
            text, answer = self._answers.get()
            name = self._names.get(text)
            if name is None:
                continue
            heard, name.is_asked = True, False
            answer = self._possible(answer)
            if isinstance(answer, OSError):  # where there was an address, it may still be good
                name.error = answer.strerror or str(answer)
                name.backoff.failed(now_s)
            else:
                name.found, name.error = answer, ""
        for text, name in self._names.items():
            if not name.found and name.backoff.is_due(now_s):
                self._ask(text, name)
        return heard

    def next_s(self, now_s: float) -> float | None:
        """When to ask for a name again, in so many seconds; None: all are known, or asked for."""
        waiting = (
            name.backoff.due_in_s(now_s)
            for name in self._names.values()
            if not name.found and not name.is_asked
        )
        return min(waiting, default=None)

    @property
    def fault(self) -> Unresolved | None:
        """The names that have no address."""
        failed = {text: name.error for text, name in self._names.items() if name.error}
        if not failed:
            return None
        return Unresolved(sorted(failed), next(iter(failed.values())))

    def _possible(self, answer: Answer) -> Answer:
        """Without what no node can be at; a resolver may say anything."""
        if isinstance(answer, OSError):
            return answer
        possible = tuple(each for each in answer if self._is_possible(numeric(each)[0]))
        return possible or OSError(f"no node can be at {', '.join(answer)}")

    def _is_possible(self, address: Address) -> bool:
        if address.is_multicast or address.is_unspecified:
            return False
        return not any(address in cidr for cidr in self._mesh)

    def _ask(self, text: str, name: _Name) -> None:
        if name.is_asked:
            return
        name.is_asked = True
        self._questions.put(text)
        if len(self._threads) < _THREADS:
            # Not a pool's: Python waits for those at its end, and a resolver may take minutes.
            thread = threading.Thread(target=self._answer, name="krait-resolver", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self) -> None:
        while True:
            text = self._questions.get()
            try:
                answer = self._look_up(text)
            except OSError as error:
                answer = error
            self._answers.put((text, answer))
            self._wake()


def resolve(text: str) -> tuple[str, ...]:
    """The endpoints of `host:port`, each once. Raises OSError; blocks for as long as it takes."""
    sought = parse(text)
    found = socket.getaddrinfo(str(sought.host), sought.port, type=socket.SOCK_DGRAM)
    addresses = (_address(*where) for *_, where in found)
    return tuple(dict.fromkeys(str(Endpoint(each, sought.port)) for each in addresses))


def _address(host: str | int, _port: int | bytes, _flow: int = 0, zone: int = 0) -> Address:
    """Of a sockaddr; the resolver names the zone of a link-local one, and WireGuard numbers it."""
    bare = str(host).partition("%")[0]
    return ip_address(f"{bare}%{zone}" if zone else bare)
