# SPDX-License-Identifier: Apache-2.0
"""What is told by comparing one look with the next; the eyes are played by a table of answers."""

from dataclasses import dataclass, replace
from ipaddress import ip_interface, ip_network

import pytest
from structlog.testing import capture_logs

from krait.agent.lookout import INTERVAL_S, Lookout
from krait.agent.ports import Eyes
from krait.kernel.link import Link
from krait.kernel.link_watch import watch
from krait.kernel.wireguard import NO_KEY, Device, Fingerprint, NotWireguard, Peer

LINK = Link(7, "wg0", "wireguard", 1420, up=True, addresses=(ip_interface("10.8.0.1/24"),))
MOVED = ip_network("10.8.0.9/32")


def peer(name: str, *allowed: str) -> Peer:
    return Peer(name.encode() * 32, None, tuple(map(ip_network, allowed)), 0, 0, 0, 0)


@dataclass
class Scene:
    """What there is to see; `looked` counts the dear looks."""

    link: Link | None = LINK
    peers: tuple[Peer, ...] = (peer("a", "10.8.0.9/32"), peer("b", "10.8.0.3/32"))
    key: bytes = bytes((1,)) * 32
    answers: bool = True
    looked: int = 0

    def fingerprint(self) -> Fingerprint:
        if not self.answers:
            raise NotWireguard("wg0", "tun")
        return Fingerprint(repr((self.key, self.peers)).encode(), self.device)

    def device(self) -> Device:
        self.looked += 1
        assert self.link
        return Device("wg0", self.link.ifindex, self.key, 51820, userspace=False, peers=self.peers)

    def move(self) -> None:
        self.peers = (peer("a"), peer("b", "10.8.0.3/32", "10.8.0.9/32"))


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def lookout(scene: Scene) -> Lookout:
    return Lookout(Eyes(lambda: scene.link, scene.fingerprint, scene.device, watch))


def test_an_interface_that_is_there_at_the_first_look_is_not_fresh(lookout: Lookout) -> None:
    sight = lookout.look(0.0)
    assert (sight.ifindex, sight.fresh) == (7, False)
    assert sight.interface is not None
    assert sight.interface.addresses == LINK.addresses


def test_one_that_appears_is_fresh_until_it_is_greeted(scene: Scene, lookout: Lookout) -> None:
    scene.link = None
    assert lookout.look(0.0).ifindex is None
    scene.link = LINK
    for _ in range(2):
        sight = lookout.look(1.0)
        assert (sight.ifindex, sight.fresh, sight.interface) == (7, True, None)
    assert scene.looked == 0
    lookout.greeted(sight, 0.0)
    assert not lookout.look(2.0).fresh


def test_one_that_was_made_anew_between_two_looks_is_fresh(scene: Scene, lookout: Lookout) -> None:
    lookout.look(0.0)
    scene.link = replace(LINK, ifindex=8)
    assert lookout.look(1.0).fresh


def test_wireguard_is_asked_in_full_only_when_something_changed(
    scene: Scene, lookout: Lookout
) -> None:
    for _ in range(3):
        lookout.look(0.0)
    assert scene.looked == 1
    scene.peers = ()
    lookout.look(1.0)
    scene.link = replace(LINK, addresses=())
    lookout.look(2.0)
    assert scene.looked == 3


def test_a_moved_prefix_is_withheld_for_an_interval_and_not_longer(
    scene: Scene, lookout: Lookout
) -> None:
    lookout.look(10.0)
    scene.move()
    assert lookout.look(11.0).withheld == {MOVED}
    assert lookout.next_s(11.25) == INTERVAL_S - 0.25
    assert lookout.look(11.0 + INTERVAL_S - 0.01).withheld == {MOVED}
    assert lookout.look(11.0 + INTERVAL_S).withheld == frozenset()
    assert lookout.next_s(12.0) == INTERVAL_S


def test_what_moved_before_the_interface_was_made_anew_is_forgotten(
    scene: Scene, lookout: Lookout
) -> None:
    lookout.look(0.0)
    scene.link = replace(LINK, ifindex=8)
    scene.move()
    lookout.greeted(lookout.look(1.0), 1.0)
    assert lookout.look(1.0).withheld == frozenset()


def test_a_wireguard_that_does_not_answer_leaves_what_is_known_and_says_so(
    scene: Scene, lookout: Lookout
) -> None:
    known = lookout.look(0.0).interface
    scene.answers = False
    sight = lookout.look(1.0)
    assert (sight.ifindex, sight.interface) == (7, known)
    assert isinstance(sight.fault, NotWireguard)


def test_a_device_without_a_key_yet_is_waited_for_and_is_no_fault(
    scene: Scene, lookout: Lookout
) -> None:
    key, scene.key = scene.key, NO_KEY
    with capture_logs() as log:
        for _ in range(3):
            sight = lookout.look(0.0)
            assert (sight.ifindex, sight.interface, sight.fault) == (7, None, None)
    assert [(each["log_level"], each["event"]) for each in log] == [
        ("info", "wg0 has no key yet: waiting for it")
    ]
    scene.key = key
    found = lookout.look(1.0).interface
    assert found is not None
    assert found.public_key == key


def test_a_device_whose_key_is_taken_away_is_who_it_was_and_its_peers_are_still_seen(
    scene: Scene, lookout: Lookout
) -> None:
    lookout.look(10.0)
    key, scene.key = scene.key, NO_KEY
    scene.move()
    sight = lookout.look(11.0)
    assert sight.interface is not None
    assert (sight.interface.public_key, sight.withheld) == (key, frozenset({MOVED}))


def test_something_else_of_that_name_is_no_interface_of_ours(
    scene: Scene, lookout: Lookout
) -> None:
    scene.link = replace(LINK, kind="veth")
    sight = lookout.look(0.0)
    assert sight.ifindex is None
    assert isinstance(sight.fault, NotWireguard)
    scene.link = LINK
    assert lookout.look(1.0).fresh
