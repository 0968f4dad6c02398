# SPDX-License-Identifier: Apache-2.0
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from krait.agent.managed.endpoints import AGAIN_S, Answer, Endpoints, resolve

NAME, FIRST, SECOND = "hub.example:51820", "192.0.2.1:51820", "[2001:db8::1]:51820"


class Resolver:
    """Answers when it is told to, in the thread that asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked = 0
        self._heard = threading.Semaphore(0)

    def __call__(self, text: str) -> Answer:
        assert text == NAME
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def wake(self) -> None:
        self._heard.release()

    def wait(self) -> None:
        assert self._heard.acquire(timeout=10)


def known(*answers: Answer) -> tuple[Endpoints, Resolver, Callable[..., str | None]]:
    """One name, asked for at 0 s; the first answer is in."""
    resolver = Resolver(*answers)
    endpoints = Endpoints(resolver.wake, resolver)

    def choose(current: str | None = None, *, is_lost: bool = False, now_s: float) -> str | None:
        return endpoints.choose(NAME, current, is_lost=is_lost, now_s=now_s)

    assert choose(now_s=0.0) is None
    resolver.wait()
    assert endpoints.collect(0.0)
    return endpoints, resolver, choose


def test_an_address_needs_no_resolver_and_is_written_as_the_kernel_tells_it() -> None:
    endpoints = Endpoints(lambda: None, Resolver())
    for text, told in (
        (FIRST, FIRST),
        ("[2001:0DB8::0001]:51820", SECOND),
    ):
        assert endpoints.choose(text, None, is_lost=True, now_s=0.0) == told


def test_a_name_is_looked_up_once_and_its_first_address_taken() -> None:
    _, resolver, choose = known((FIRST, SECOND))
    assert choose(now_s=1.0) == FIRST
    assert choose(FIRST, now_s=1e6) == FIRST
    assert choose(SECOND, now_s=1e6) == SECOND  # where it was heard is as good
    assert resolver.asked == 1


def test_a_lost_peer_is_sought_at_the_next_address_and_its_name_asked_for_again() -> None:
    endpoints, resolver, choose = known((FIRST, SECOND), (SECOND,))
    assert choose(FIRST, is_lost=True, now_s=10.0) == SECOND
    resolver.wait()
    assert endpoints.collect(10.0)
    assert choose(SECOND, is_lost=True, now_s=10.0 + AGAIN_S / 2) == SECOND
    assert choose(FIRST, is_lost=True, now_s=10.0 + AGAIN_S / 2) == SECOND
    assert resolver.asked == 2


def test_an_address_that_no_node_can_be_at_is_no_answer() -> None:
    resolver = Resolver(("10.8.0.2:51820", "224.0.0.1:51820", "0.0.0.0:51820", SECOND))
    endpoints = Endpoints(resolver.wake, resolver)
    endpoints.keep([NAME], [ip_network("10.8.0.0/24")])
    assert endpoints.choose(NAME, None, is_lost=True, now_s=0.0) is None
    resolver.wait()
    assert endpoints.collect(0.0)
    for current in (None, SECOND):
        assert endpoints.choose(NAME, current, is_lost=False, now_s=1.0) == SECOND


def test_a_name_that_leads_into_the_mesh_alone_is_a_fault() -> None:
    resolver = Resolver(("10.8.0.2:51820",))
    endpoints = Endpoints(resolver.wake, resolver)
    endpoints.keep([NAME], [ip_network("10.8.0.0/24")])
    endpoints.choose(NAME, None, is_lost=True, now_s=0.0)
    resolver.wait()
    endpoints.collect(0.0)
    assert "no node can be at 10.8.0.2:51820" in str(endpoints.fault)


def test_a_name_without_an_address_is_a_fault_and_asked_for_again_later() -> None:
    endpoints, resolver, choose = known(socket.gaierror(-2, "Name or service not known"), (FIRST,))
    assert NAME in str(endpoints.fault)
    assert "Name or service not known" in str(endpoints.fault)
    pause_s = endpoints.next_s(0.0)
    assert pause_s
    assert choose(now_s=pause_s) is None
    assert not endpoints.collect(pause_s / 2)
    assert resolver.asked == 1
    assert not endpoints.collect(pause_s)
    resolver.wait()
    assert endpoints.collect(pause_s)
    assert choose(now_s=pause_s) == FIRST
    assert endpoints.fault is None
    assert endpoints.next_s(pause_s) is None


def test_an_address_stays_good_when_the_resolver_fails_later() -> None:
    endpoints, resolver, choose = known((FIRST,), socket.gaierror(-3, "Temporary failure"))
    assert choose(FIRST, is_lost=True, now_s=50.0) == FIRST
    resolver.wait()
    assert endpoints.collect(50.0)
    assert choose(FIRST, now_s=51.0) == FIRST
    assert endpoints.fault is not None


def test_a_name_that_the_document_lost_is_forgotten() -> None:
    endpoints, _, _ = known(socket.gaierror(-2, "Name or service not known"))
    endpoints.keep([])
    assert endpoints.fault is None
    assert endpoints.next_s(1e6) is None


def test_a_zone_that_the_resolver_names_is_numbered_as_wireguard_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("fe80::1%eth0", 7, 0, 2))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found, found])
    assert resolve("printer.local:7") == ("[fe80::1%2]:7",)


def test_the_real_resolver_knows_this_machine() -> None:
    assert "127.0.0.1:7" in resolve("localhost:7")
