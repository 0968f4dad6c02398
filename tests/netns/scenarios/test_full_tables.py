# SPDX-License-Identifier: Apache-2.0
"""Tables that are full, over an interface: what is refused or forgotten is not open."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from krait.common.abi import MAX_LIST_LENGTH
from krait.kernel.seat import AttachKind
from krait.lab.mesh import Lab, full_mesh
from krait.lab.traffic import Flow
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until
from tests.strategies.packets import ip4, udp

PACKETS, PAIRS = (
    [sys.executable, str(Path(__file__).with_name(name))] for name in ("packets.py", "pairs.py")
)
SILENT = [*PACKETS, "watch", "wg0", "80"]  # so that nobody is told that nobody listens
NODES = {"alice": "tags: a", "bob": "tags: b", "carol": "tags: a"}
WEB = "name: web, from: a, to: b, ports: [tcp/80, udp/80, udp/90]"
PING = "name: ping, from: a, to: b, ports: icmp"
UNANSWERED, DATAGRAMS = 16_384, 8_192  # what the tables hold (docs/threat-model.md)
UDP = 17
ONE, ANOTHER = 0xFFFE, 0xFFFF


@pytest.fixture
def mesh(kind: AttachKind) -> Iterator[Mesh]:
    """Bob, who runs Krait; Alice is hostile, and Carol is not."""
    with Lab(full_mesh(*NODES)) as lab:
        mesh = Mesh(lab, kind)
        # An error about what never became whole would be one more packet of Bob's.
        lab["bob"].succeed("echo 900 >/proc/sys/net/ipv4/ipfrag_time")
        yield mesh


def enforce(mesh: Mesh, limits: str) -> None:
    mesh.enforce(mesh.document(NODES, [WEB, PING]) + f"  limits: {limits}\n", "bob")


def ends(mesh: Mesh, name: str) -> str:
    return f"{mesh.hosts[name][0]},{mesh.hosts['bob'][0]}"


def arrived(mesh: Mesh, name: str) -> None:
    """All that a machine sent before has been judged."""
    mesh[name].succeed(["ping", "-c1", "-w30", mesh.hosts["bob"][0]])


def moved_since(mesh: Mesh, before: Counter[str]) -> Counter[str]:
    """What was counted at Bob's, but for pings, of which some may be on their way for long."""
    moved = mesh.warden("bob").counted() - before
    return Counter({name: n for name, n in moved.items() if name != "rule ping"})


def status(mesh: Mesh) -> dict[str, Any]:
    (found,) = json.loads(mesh["bob"].succeed("krait status wg0 --json"))["interfaces"]
    return dict(found)


@BOTH_KINDS
def test_a_peer_over_its_budget_is_stopped_and_named_and_no_other_is(mesh: Mesh) -> None:
    enforce(mesh, "{opens: 1, burst: 100}")
    warden = mesh.warden("bob")
    mesh["bob"].spawn(SILENT).wait_for_output("ready")
    before = warden.counted()
    mesh["alice"].succeed([*PAIRS, "opens", "1000", "80", ends(mesh, "alice")])
    arrived(mesh, "alice")
    moved = moved_since(mesh, before)
    assert moved.keys() == {"rule web", "open-limit"}
    assert moved.total() > 1000  # with the pings that said that all was over
    assert 100 <= moved["rule web"] < 200  # what was there, and one more each second
    mesh.succeed("carol", "bob", "icmp")
    dropped = {each["name"]: each["dropped"]["packets"] for each in status(mesh)["peers"]}
    assert dropped == {"alice": moved["open-limit"], "carol": 0}


@BOTH_KINDS
def test_flows_that_nobody_answers_push_out_each_other_and_open_nothing(mesh: Mesh) -> None:
    enforce(mesh, "{opens: unlimited}")
    warden, bob = mesh.warden("bob"), mesh["bob"]
    bob.spawn(SILENT).wait_for_output("ready")
    to_bob = target("udp/90", mesh.hosts["bob"][0])
    with Flow(mesh["carol"], bob, to_bob, interval_s=0.005) as live:
        wait_until(lambda: min(received(live.report())) > 20, live.report)
        count = 2 * UNANSWERED
        mesh["alice"].succeed([*PAIRS, "opens", str(count), "80", ends(mesh, "alice")])
        arrived(mesh, "alice")
        assert warden.passed("web") > UNANSWERED + 1000
        assert not warden.drops()  # opening went on for everybody
        most = max(received(live.report()))
        wait_until(lambda: min(received(live.report())) > most + 20, live.report)
        assert not live.report().error
    # What was pushed out is as if it had never been: Bob's late answer is an open of his own.
    mine, hers = (mesh.hosts[name][0] for name in ("bob", "alice"))
    before = warden.counted()
    answers = [ip4(mine, hers, UDP, udp(80, port)) for port in range(1, 101)]
    bob.succeed([*PACKETS, "frames", "wg0", *(each.hex() for each in answers)])
    assert moved_since(mesh, before) == {"denied": 100, "rule default": 100}


@BOTH_KINDS
def test_datagrams_without_end_push_out_each_other_and_open_nothing(mesh: Mesh) -> None:
    enforce(mesh, "{}")
    warden = mesh.warden("bob")
    mesh["bob"].spawn(SILENT).wait_for_output("ready")
    hers, his = (mesh.hosts[name][0] for name in ("carol", "bob"))
    whole = udp(40000, 80, bytes(24))

    def piece(data: bytes, word: int, identifier: int) -> bytes:
        return ip4(hers, his, UDP, data, fragment=word, identifier=identifier)

    first, rest = ((whole[:16], 0x2000), (whole[16:], 16 // 8))

    def send(*frames: bytes) -> Counter[str]:
        before = warden.counted()
        mesh["carol"].succeed([*PACKETS, "frames", "wg0", *(each.hex() for each in frames)])
        wait_until(lambda: moved_since(mesh, before).total() >= len(frames), warden.counted)
        return moved_since(mesh, before)

    assert send(piece(*first, ONE), piece(*rest, ONE)) == {"rule web": 2}
    assert send(piece(*first, ANOTHER)) == {"rule web": 1}
    mesh["alice"].succeed([*PAIRS, "firsts", str(2 * DATAGRAMS), "80", ends(mesh, "alice")])
    arrived(mesh, "alice")
    assert send(piece(*rest, ANOTHER)) == {"fragment": 1}


def test_a_policy_that_no_table_holds_changes_nothing_and_status_says_why(mesh: Mesh) -> None:
    enforce(mesh, "{}")
    mesh.serve("bob", 80, 81)
    mesh.succeed("alice", "bob", "tcp/80", "udp/80")
    warden, before = mesh.warden("bob"), status(mesh)["policy"]
    ports = ", ".join(f"tcp/{2 * port}" for port in range(1000, 1000 + MAX_LIST_LENGTH + 1))
    more = f"name: more, from: a, to: b, ports: [tcp/81, {ports}]"
    warden.take(mesh.document(NODES, [more]))

    def faults() -> list[str]:
        return [each["message"] for each in status(mesh)["agent"]["faults"]]

    wait_until(faults)
    assert "port intervals for one pair of identities" in faults()[0]
    assert status(mesh)["policy"] == before
    assert status(mesh)["condition"] == "enforcing"
    counted = warden.counted()
    mesh.succeed("alice", "bob", "tcp/80", "udp/80")
    mesh.fail("alice", "bob", "tcp/81", drops={"bob": "denied"})
    assert moved_since(mesh, counted).keys() == {"rule web", "denied", "rule default"}
    mesh.enforce(mesh.document(NODES, [WEB, PING]), "bob")
    wait_until(lambda: not faults(), faults)
