# SPDX-License-Identifier: Apache-2.0
"""The loaded object and its tables, in the running kernel."""

import os
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from krait.common import structs
from krait.common.abi import PairClass
from krait.common.errors import SystemRefused
from krait.common.reason import Reason
from krait.kernel.bpf.testrun import run
from krait.kernel.datapath import Datapath
from krait.kernel.generation import Moment
from krait.kernel.hook import Hook
from krait.policy.capacity import SMALLEST
from krait.policy.compile import Compiled, compile_policy
from krait.policy.document import load
from krait.policy.image import EMPTY, Image, draw, need
from krait.policy.view import Interface, Peer, resolve
from tests.kernel.loaded import DROP, HERE, OTHER, PASS, PEER, Loaded, compiled, key, packet
from tests.patience import wait_until

WEB_MAY = "{name: dns, from: web, to: db, ports: udp/53}"
APP_MAY = "{name: dns, from: app, to: db, ports: udp/53}"


@pytest.fixture
def loaded() -> Iterator[Callable[[Compiled], Loaded]]:
    made: list[Loaded] = []

    def make(policy: Compiled, **options: int) -> Loaded:
        made.append(Loaded(policy, **options))
        return made[-1]

    yield make
    for each in made:
        each.datapath.close()


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Path]:
    """A bpf file system of the test's own; what is pinned there goes with it."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_datapath_without_a_policy_drops_everything(loaded: Callable[..., Loaded]) -> None:
    fresh = loaded(compiled(WEB_MAY))
    for hook in Hook:
        assert fresh.judge(packet(PEER, HERE), hook) is Reason.NOT_READY


def test_a_written_slot_is_not_in_force_before_the_commit(loaded: Callable[..., Loaded]) -> None:
    policy = compiled(WEB_MAY)
    fresh = loaded(policy)
    fresh.write(1, draw(policy, fresh.datapath.capacity, {}))
    assert fresh.judge(packet(PEER, HERE)) is Reason.NOT_READY
    fresh.datapath.commit(1, 1)
    assert fresh.judge(packet(PEER, HERE)) is Reason.PASS


def test_the_next_packet_of_a_flow_is_judged_by_the_next_revision(
    loaded: Callable[..., Loaded],
) -> None:
    it = loaded(compiled(WEB_MAY))
    it.put(compiled(WEB_MAY))
    reply = packet(HERE, PEER, sport=53, dport=40000)
    assert it.judge(packet(PEER, HERE)) is Reason.PASS
    assert it.judge(reply, Hook.EGRESS) is Reason.PASS
    it.put(compiled(APP_MAY))
    assert it.judge(reply, Hook.EGRESS) is Reason.DENIED
    assert it.judge(packet(PEER, HERE)) is Reason.DENIED
    it.put(compiled(APP_MAY, peer_tags="app"))
    assert it.judge(reply, Hook.EGRESS) is Reason.PASS, "the flow revives with its opener"


def test_pinned_tables_are_found_again_with_their_policy(
    loaded: Callable[..., Loaded], pins: Path
) -> None:
    it = loaded(compiled(WEB_MAY))
    it.put(compiled(WEB_MAY))
    it.datapath.pin(pins / "1")
    with pytest.raises(SystemRefused):
        Datapath.open(pins / "2")
    found = Datapath.open(pins / "1")
    try:
        assert found.capacity == it.datapath.capacity
        assert found.in_force == it.datapath.in_force
        assert run(found.programs[Hook.INGRESS].fd, packet(PEER, HERE)).verdict == PASS
    finally:
        found.close()


def test_a_larger_datapath_takes_the_flows_along(loaded: Callable[..., Loaded]) -> None:
    it = loaded(compiled(WEB_MAY))
    it.put(compiled(WEB_MAY))
    assert it.judge(packet(PEER, HERE)) is Reason.PASS
    larger = replace(it.datapath.capacity, addr4=4096, columns=64, pair=256)
    grown = Datapath.load(larger, after=it.datapath, test_ifindex=1)
    try:
        image = draw(compiled(WEB_MAY), grown.capacity, {})
        grown.write(1, image, known=EMPTY, held={})
        grown.commit(1, it.datapath.in_force.revision + 1)
        reply = packet(HERE, PEER, sport=53, dport=40000)
        assert run(grown.programs[Hook.EGRESS].fd, reply).verdict == PASS
        alone = Datapath.load(larger, test_ifindex=1)
        alone.write(1, image, known=EMPTY, held={})
        alone.commit(1, 1)
        assert run(alone.programs[Hook.EGRESS].fd, reply).verdict == DROP
        alone.close()
    finally:
        grown.close()


def test_a_dry_run_says_why_and_leaves_no_trace() -> None:
    policy = compiled(WEB_MAY)
    live = Datapath.load(SMALLEST.grown(need(policy)))  # not under test: loopback means dry
    try:
        live.write(1, draw(policy, live.capacity, {}), known=EMPTY, held={})
        live.commit(1, 1)
        allowed = run(live.programs[Hook.INGRESS].fd, packet(PEER, HERE))
        denied = run(live.programs[Hook.INGRESS].fd, packet(PEER, HERE, dport=54))
        assert (allowed.verdict, allowed.cb[:2]) == (PASS, (Reason.PASS, 1))
        assert (denied.verdict, denied.cb[:2]) == (DROP, (Reason.DENIED, 0))
        assert live.drops() == {}
        assert not any(count.packets for count in live.counts("rules"))
        assert list(live.maps["flows"].items()) == []
    finally:
        live.close()


def hub() -> Compiled:
    """This node relays between two peers that may do anything to each other."""
    nodes = {"here": (1, "hub"), "left": (2, "leaf"), "right": (3, "leaf")}
    text = "mesh: {cidr: 10.8.0.0/16}\nnodes:\n" + "".join(
        f"  {name}: {{public_key: {b64encode(key(number)).decode()}, tags: [{tag}], "
        f"transit: {'true' if name == 'here' else 'false'}}}\n"
        for name, (number, tag) in nodes.items()
    )
    text += "policy: {rules: [{name: leaves, from: leaf, to: leaf}]}\n"
    document = load(text.encode(), "hub.yaml")
    peers = (
        Peer(key(2), (ip_network(f"{PEER}/32"),)),
        Peer(key(3), (ip_network(f"{OTHER}/32"),)),
    )
    interface = Interface(key(1), (ip_interface(f"{HERE}/16"),), peers)
    return compile_policy(document, resolve(document, interface))


def test_a_relayed_packet_that_passes_is_counted_once(loaded: Callable[..., Loaded]) -> None:
    it = loaded(hub())
    it.put(hub())
    frame = packet(PEER, OTHER)

    def counted() -> int:
        return it.datapath.counts("rules")[1].packets

    for turn in range(1, 4):
        assert it.judge(frame) is Reason.PASS
        assert it.judge(frame, Hook.EGRESS, came_in=True) is Reason.PASS
        assert counted() == turn
    assert it.judge(frame, Hook.EGRESS, came_in=True) is Reason.PASS
    assert counted() == 4, "one that ingress did not see is counted on egress"
    assert it.judge(packet(OTHER, PEER)) is Reason.PASS
    assert it.judge(frame, Hook.EGRESS, came_in=True) is Reason.PASS
    assert counted() == 6, "other addresses are another packet"


def test_a_forwarded_stranger_is_not_taken_for_a_peer(loaded: Callable[..., Loaded]) -> None:
    """Somebody on the hub's LAN sends with a spoke's address; no WireGuard key vouches for it."""
    it = loaded(hub())
    it.put(hub())
    frame = packet(PEER, OTHER)
    assert it.judge(frame, Hook.EGRESS) is Reason.WRONG_SIDE
    assert it.judge(frame, Hook.EGRESS, came_in=True) is Reason.PASS


def test_a_gso_packet_counts_as_its_segments(loaded: Callable[..., Loaded]) -> None:
    it = loaded(compiled(WEB_MAY))
    it.put(compiled(WEB_MAY))
    frame = packet(PEER, HERE, dport=54)
    run(it.datapath.programs[Hook.INGRESS].fd, frame, gso_segs=7)
    run(it.datapath.programs[Hook.INGRESS].fd, frame)
    assert it.datapath.drops()[Reason.DENIED].packets == 8
    assert it.datapath.counts("peers")[1].packets == 8
    assert it.datapath.drops()[Reason.DENIED].bytes == 2 * len(frame)


def is_over(datapath: Datapath, moment: Moment) -> bool:
    return datapath.now().ticks > moment.ticks


def test_a_counter_knows_when_its_last_packet_came(loaded: Callable[..., Loaded]) -> None:
    it = loaded(compiled(WEB_MAY))
    it.put(compiled(WEB_MAY))
    datapath = it.datapath
    former: dict[str, int] = {}
    for _ in range(2):
        before = datapath.now()
        assert it.judge(packet(PEER, HERE)) is Reason.PASS
        assert it.judge(packet(PEER, HERE, dport=54)) is Reason.DENIED
        counts = {
            "rule": datapath.counts("rules")[1],
            "default": datapath.counts("rules")[0],
            "reason": datapath.counts("reasons")[Reason.DENIED],
            "peer": datapath.counts("peers")[1],
        }
        after = datapath.now()
        for what, each in counts.items():
            assert before.ticks <= each.last_ticks <= after.ticks, what
            assert each.last_ticks > former.get(what, 0), what
            assert 0 <= (each.age_s(after) or 0) < 20, "the test has just sent it"
        former = {what: each.last_ticks for what, each in counts.items()}
        wait_until(partial(is_over, datapath, after))
    assert datapath.counts("rules")[2].age_s(after) is None


def test_no_packet_is_judged_by_a_mixture_of_two_policies(loaded: Callable[..., Loaded]) -> None:
    """Each policy denies the packet; the one's identities with the other's pairs allow it."""
    first = compiled(APP_MAY, peer_tags="web")
    second = compiled(WEB_MAY, peer_tags="app", known=first.numbers)
    it = loaded(first)
    images = [draw(each, it.datapath.capacity, {}) for each in (first, second)]
    mixed = Image({**images[0].arrays, "pair": images[1].arrays["pair"]}, {}, images[1].lists)
    mixed = replace(mixed, prefixes=images[0].prefixes)
    it.write(1, mixed)
    it.datapath.commit(1, 1)
    assert it.judge(packet(PEER, HERE)) is Reason.PASS, "the test could not fail"

    it = loaded(first)
    it.put(first)
    done = threading.Event()

    def traffic() -> None:
        fd = it.datapath.programs[Hook.INGRESS].fd
        while not done.is_set():
            run(fd, packet(PEER, HERE), repeat=10_000)

    sender = threading.Thread(target=traffic)
    sender.start()
    try:
        for turn in range(500):
            it.put((second, first)[turn % 2])
    finally:
        done.set()
        sender.join()
    drops = it.datapath.drops()
    assert set(drops) == {Reason.DENIED}
    assert drops[Reason.DENIED].packets >= 10_000
    assert it.datapath.counts("rules")[1].packets == 0, "the rule let a packet pass"
    assert list(it.datapath.maps["flows"].items()) == []


@pytest.mark.parametrize("number", [PairClass.MISSING, max(PairClass) + 1, 0xFFFF_FFFF])
def test_a_pair_of_no_class_that_is_known_passes_nothing(
    loaded: Callable[..., Loaded], number: int
) -> None:
    it = loaded(compiled(WEB_MAY))
    image = draw(compiled(WEB_MAY), it.datapath.capacity, {})
    size_bytes = structs.PAIR.size_bytes
    pairs = bytearray(image.arrays["pair"])
    for at in range(0, len(pairs), size_bytes):
        _, *rest = structs.PAIR.codec.unpack_from(pairs, at)
        structs.PAIR.codec.pack_into(pairs, at, number, *rest)
    it.write(1, replace(image, arrays={**image.arrays, "pair": bytes(pairs)}))
    it.datapath.commit(1, 1)
    assert it.judge(packet(PEER, HERE)) is Reason.NO_PAIR
    assert it.judge(packet(HERE, PEER), Hook.EGRESS) is Reason.NO_PAIR


@pytest.mark.parametrize("behind", [0, 1 << 20])
def test_a_pair_behind_the_end_of_its_slot_passes_nothing(
    loaded: Callable[..., Loaded], behind: int
) -> None:
    """The entry just behind slot 0 is the first of slot 1, whose policy allows the packet."""
    it = loaded(compiled(WEB_MAY))
    n_pair = it.datapath.capacity.pair
    for slot in (1, 0):
        it.write(slot, draw(compiled(WEB_MAY), it.datapath.capacity, it.images[slot ^ 1].lists))
    it.datapath.commit(0, 1)
    assert it.judge(packet(PEER, HERE)) is Reason.PASS
    image = it.images[0]
    own, (at, _) = bytearray(image.arrays["self"]), structs.SELF.offsets()["row"]
    own[at : at + 4] = (n_pair + behind).to_bytes(4, "little")
    it.write(0, replace(image, arrays={**image.arrays, "self": bytes(own)}))
    it.datapath.commit(0, 2)
    for hook, frame in ((Hook.INGRESS, packet(PEER, HERE)), (Hook.EGRESS, packet(HERE, PEER))):
        assert it.judge(frame, hook) is Reason.NO_PAIR


def test_an_open_for_which_the_flow_table_has_no_room_is_dropped(
    loaded: Callable[..., Loaded],
) -> None:
    """The one entry is taken from whoever has it, but not while it is on its way into the table."""
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("needs two CPUs at once")
    policy = compiled(WEB_MAY, limits="{opens: unlimited}")
    it = loaded(policy, flows=1)
    it.put(policy)
    fd = it.datapath.programs[Hook.INGRESS].fd

    def open_often(sport: int) -> None:
        for _ in range(100):
            run(fd, packet(PEER, HERE, sport=sport), repeat=100_000)
            if it.datapath.drops():
                return

    openers = [threading.Thread(target=open_often, args=(sport,)) for sport in range(4)]
    for each in openers:
        each.start()
    for each in openers:
        each.join()
    assert set(it.datapath.drops()) == {Reason.FLOW_FULL}
