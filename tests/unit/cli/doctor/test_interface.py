# SPDX-License-Identifier: Apache-2.0
import os
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.agent.state import Record, write_records
from krait.cli.doctor import interface
from krait.cli.doctor.finding import Level
from krait.cli.doctor.interface import Queue
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.lock import Lock
from krait.kernel.underlay import Way
from krait.kernel.wireguard import NO_KEY, Device, Peer
from krait.policy.numbering import Numbers

LINK = Link(7, "wg0", "wireguard", 1420, up=True, addresses=(ip_interface("10.8.0.1/24"),))
KEY = b"k" * 32
DEVICE = Device("wg0", 7, KEY, 51820, userspace=False, peers=())


def with_peers(*allowed_ips: tuple[str, ...]) -> Device:
    peers = (
        Peer(bytes((number,)) * 32, None, tuple(map(ip_network, prefixes)), 0, 0, 0, 0)
        for number, prefixes in enumerate(allowed_ips, start=1)
    )
    return replace(DEVICE, peers=tuple(peers))


def hooks(ingress: Queue, egress: Queue) -> dict[Hook, Queue]:
    return {Hook.INGRESS: ingress, Hook.EGRESS: egress}


@pytest.mark.parametrize(
    ("device", "level"),
    [
        (DEVICE, Level.OK),
        (replace(DEVICE, userspace=True), Level.WARN),
        (replace(DEVICE, public_key=NO_KEY), Level.FAIL),
    ],
)
def test_an_interface_needs_a_key_and_is_faster_in_the_kernel(device: Device, level: Level) -> None:
    assert interface.implementation(device).level is level


@pytest.mark.parametrize(
    ("mtu", "level"),
    [(1420, Level.OK), (1280, Level.OK), (1279, Level.WARN), (1421, Level.WARN)],
)
def test_an_mtu_that_ipv6_or_the_underlay_does_not_take_is_warned_of(
    mtu: int, level: Level
) -> None:
    assert interface.mtu(replace(LINK, mtu=mtu)).level is level


@pytest.mark.parametrize(
    ("mtu", "ways", "fits"),
    [
        (1420, ((1500, 4), (1500, 6)), None),
        (8920, ((9000, 6),), None),
        (1440, ((1500, 4),), None),
        (1440, ((9000, 4), (1500, 6)), 1420),
        (1420, ((1450, 4), (1500, 6)), 1390),
        (1421, (), 1420),
    ],
)
def test_an_mtu_fits_the_narrowest_way_to_a_peer(
    mtu: int, ways: tuple[tuple[int, int], ...], fits: int | None
) -> None:
    found = tuple(Way(2, "eth0", mtu_bytes, version) for mtu_bytes, version in ways)
    answer = interface.mtu(replace(LINK, mtu=mtu), found)
    assert answer.hint == ("" if fits is None else f"ip link set wg0 mtu {fits}")
    assert ("eth0" in answer.message) is (fits is not None and bool(ways))


def test_an_interface_that_is_down_or_has_no_address_is_warned_of() -> None:
    assert interface.up(replace(LINK, up=False)).level is Level.WARN
    assert interface.addresses(replace(LINK, addresses=())).level is Level.WARN
    assert interface.addresses(LINK).message == "10.8.0.1/24"


@pytest.mark.parametrize(
    ("peers", "level", "says"),
    [
        ((("10.8.0.2/32",), ("10.8.0.3/32",)), Level.OK, "prefixes: 2, peers: 2"),
        ((("10.8.0.2/32", "10.8.0.0/24"),), Level.OK, ""),
        ((("0.0.0.0/0",), ("10.8.0.3/32",)), Level.OK, ""),
        ((("10.8.0.0/24",), ("10.8.0.3/32",)), Level.WARN, "10.8.0.3/32 of one peer lies inside"),
        ((("10.8.0.1/32",),), Level.WARN, "10.8.0.1/32 is this machine's and a peer's"),
    ],
)
def test_allowed_ips_that_overlap_are_warned_of_unless_one_is_an_exits(
    peers: tuple[tuple[str, ...], ...], level: Level, says: str
) -> None:
    answer = interface.allowed_ips(with_peers(*peers), LINK)
    assert answer.level is level
    assert says in answer.message


def test_krait_alone_on_both_hooks_is_first() -> None:
    alone = Queue(krait=True, others=())
    answer = interface.programs(hooks(alone, alone), pinned=True)
    assert (answer.level, answer.message) == (Level.OK, "Krait is first on ingress and egress")


def test_a_program_ahead_of_krait_is_warned_of() -> None:
    alone, behind = Queue(krait=True, others=()), Queue(krait=True, others=("program 17",))
    answer = interface.programs(hooks(alone, behind), pinned=True)
    assert answer.level is Level.WARN
    assert "program 17 on egress" in answer.message


def test_a_filter_that_was_taken_off_is_a_failure_and_one_never_put_on_is_not() -> None:
    alone, bare = Queue(krait=True, others=()), Queue(krait=False, others=())
    answer = interface.programs(hooks(alone, bare), pinned=True)
    assert answer.level is Level.FAIL
    assert "gone from egress" in answer.message
    assert interface.programs(hooks(bare, bare), pinned=False).level is Level.OK


def test_programs_of_others_are_named_before_krait_is_there() -> None:
    bare, other = Queue(krait=False, others=()), Queue(krait=False, others=("bpf shaper",))
    answer = interface.programs(hooks(other, bare), pinned=False)
    assert answer.level is Level.NOTE
    assert "bpf shaper on ingress" in answer.message


def test_an_agent_that_died_is_missed_only_where_it_left_something(tmp_path: Path) -> None:
    paths = Paths(pins=tmp_path / "pins", state=tmp_path / "state", run=tmp_path / "run")
    assert interface.agent("wg0", paths).level is Level.OK
    paths.pins_of("wg0").mkdir(parents=True)
    answer = interface.agent("wg0", paths)
    assert (answer.level, answer.hint) == (Level.WARN, "krait --iface wg0")
    assert answer.message.startswith("none alive: whatever is in force stays")
    paths.pins_of("wg0").rmdir()
    write_records(paths.state_of("wg0"), (Record(7, 1.0, "/srv/x.yaml", "ab", Numbers()),))
    assert interface.agent("wg0", paths).hint == "krait --iface wg0 --config /srv/x.yaml"


def test_a_living_agent_is_told_with_its_pid(tmp_path: Path) -> None:
    paths = Paths(run=tmp_path)
    with Lock.take(paths.lock_of("wg0"), "wg0"):
        assert interface.agent("wg0", paths).message == f"alive, pid {os.getpid()}"
