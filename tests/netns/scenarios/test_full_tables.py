# SPDX-License-Identifier: Apache-2.0
"""Tables that are full, over an interface: what is refused or forgotten is not open."""

import json
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from krait.common.abi import MAX_LIST_LENGTH
from krait.kernel.seat import AttachKind
from krait.lab.machine import unhurried
from krait.lab.mesh import Lab, full_mesh
from krait.lab.traffic import Flow
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import PACKETS, PAIRS, Mesh, received, target
from tests.netns.scenarios.filled import fill, held, key, tables
from tests.patience import wait_until
from tests.strategies.packets import ip4, udp

SILENT = [*PAIRS, "ignore", "80"]  # so that nobody is told that nobody listens
NODES = {"alice": "tags: a", "bob": "tags: b", "carol": "tags: a"}
WEB = "name: web, from: a, to: b, ports: [tcp/80, udp/80, udp/90]"
PING = "name: ping, from: a, to: b, ports: icmp"
ANSWERED, UNANSWERED, DATAGRAMS = (
    65_536,
    16_384,
    8_192,
)  # what the tables hold (docs/threat-model.md)
MORE = 3_000
PAUSE_S = unhurried(0.001, 0.03)
TICK_S = unhurried(0.005, 0.1)
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
    dropped = warden.drops()
    bob.spawn(SILENT).wait_for_output("ready")
    to_bob = target("udp/90", mesh.hosts["bob"][0])
    with Flow(mesh["carol"], bob, to_bob, interval_s=TICK_S) as live:
        wait_until(lambda: min(received(live.report())) > 20, live.report)
        count, passed = 2 * UNANSWERED, warden.passed("web")
        mesh["alice"].succeed([*PAIRS, "opens", str(count), "80", ends(mesh, "alice")])
        arrived(mesh, "alice")
        assert warden.passed("web") > passed + UNANSWERED + 1000
        assert warden.drops() == dropped  # opening went on for everybody
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
def test_answered_flows_push_out_each_other_and_open_nothing(mesh: Mesh) -> None:
    gone, left = push_out(mesh, "flows", ANSWERED, MORE, [*PAIRS, "answer", "80"])
    moved = late_answers(mesh, left)
    assert moved.keys() == {"rule web"}
    assert moved["rule web"] >= 100  # Alice may say that nobody listens
    # Nor is it open to whom the policy is not any more, whatever the table has.
    mesh.enforce(mesh.document(NODES, [PING]), "bob")
    assert late_answers(mesh, gone + left) == {"denied": 200, "rule default": 200}


@BOTH_KINDS
def test_unanswered_flows_of_a_full_table_push_out_each_other_and_open_nothing(mesh: Mesh) -> None:
    push_out(mesh, "unanswered", UNANSWERED, 1_000, SILENT)  # what is left is soon dead by itself


def push_out(
    mesh: Mesh, table: str, size: int, more: int, bob_on_80: list[str]
) -> tuple[list[int], list[int]]:
    """Fill a table by hand, and then let Alice open more: a hundred of her ports whose flows are
    gone, to which Bob's late answer is an open of his own, and a hundred whose are left.
    """
    enforce(mesh, "{opens: unlimited}")
    warden, bob, hers, his = mesh.warden("bob"), mesh["bob"], *first_addresses(mesh, "alice", "bob")
    dropped = warden.drops()
    bob.spawn(bob_on_80).wait_for_output("ready")
    to_bob = target("udp/90", his)
    with (
        Flow(mesh["carol"], bob, to_bob, interval_s=TICK_S) as live,
        tables(warden.machine) as found,
    ):
        _, datapath = found
        wait_until(lambda: min(received(live.report())) > 20, live.report)
        before = held(datapath, "flows")
        fill(datapath, table, (hers, his), range(1, size), 90)
        silent = {key((hers, his), port, 90): port for port in range(1, size)}
        full = held(datapath, table)
        assert before <= held(datapath, "flows")
        assert size * 0.95 < len(full) <= size
        opened = {key((hers, his), port, 80) for port in range(1, more + 1)}

        def are_open() -> bool:  # on a busy machine many are lost on their way
            mesh["alice"].succeed([*PAIRS, "opens", str(more), "80", ends(mesh, "alice")])
            arrived(mesh, "alice")
            return len(opened & held(datapath, table)) > more * 0.9

        wait_until(are_open)
        assert warden.drops() == dropped  # opening went on, for everybody
        after = held(datapath, table)
        assert size * 0.95 < len(after) <= size
        most = max(received(live.report()))
        wait_until(lambda: min(received(live.report())) > most + 20, live.report)
        assert not live.report().error
        # What was pushed out is as if it had never been.
        gone, left = (
            [silent[each] for each in sorted(some)][:100]
            for some in ((silent.keys() & full) - after, silent.keys() & after)
        )
        assert (len(gone), len(left)) == (100, 100)
    assert late_answers(mesh, gone) == {"denied": 100, "rule default": 100}
    return gone, left


def first_addresses(mesh: Mesh, *names: str) -> tuple[str, ...]:
    return tuple(mesh.hosts[name][0] for name in names)


def late_answers(mesh: Mesh, ports: Sequence[int]) -> Counter[str]:
    """What becomes of packets of Bob's, from port 90 to these of Alice's."""
    hers, his = first_addresses(mesh, "alice", "bob")
    before = mesh.warden("bob").counted()
    frames = [ip4(his, hers, UDP, udp(90, port)) for port in ports]
    mesh["bob"].succeed([*PACKETS, "frames", "wg0", *(each.hex() for each in frames)])
    return moved_since(mesh, before)


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
    most = warden.passed("web") + 2 * DATAGRAMS
    while warden.passed("web") < most:  # on a busy machine many are lost on their way
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


def test_ports_that_do_not_fit_beside_those_in_force_get_larger_tables_and_open_nothing(
    mesh: Mesh,
) -> None:
    def policy(ports: range) -> str:
        """Two lists: of what both may, and of what one of them may."""
        middle = ports[len(ports) // 2]
        halves = (
            ", ".join(f"tcp/{port}" for port in ports if port < middle),
            ", ".join(f"tcp/{port}" for port in ports if port >= middle),
        )
        nodes = {**NODES, "carol": "tags: c"}
        rules = [f"name: web, from: a, to: b, ports: [udp/90, {halves[0]}]"]
        rules += [f"name: other, from: c, to: b, ports: [{halves[1]}]"]
        return mesh.document(nodes, [*rules, PING]) + "  limits: {opens: unlimited}\n"

    old, new = range(2, 2802, 2), range(3001, 4801, 2)
    warden = mesh.warden("bob")
    warden.enforce(policy(old))
    dropped = warden.drops()
    with tables(warden.machine) as (number, datapath):
        room = datapath.capacity.ports
        assert len(new) < room < len(old) + len(new)
    noting = mesh["bob"].spawn([*PAIRS, "note", "90,91"])
    noting.wait_for_output("ready")
    sender = mesh["alice"].spawn([*PAIRS, "send", "90,91", str(PAUSE_S), ends(mesh, "alice")])
    wait_until(lambda: warden.passed("web") > 20)
    warden.enforce(policy(new))
    with tables(warden.machine) as (larger, datapath):
        assert larger > number
        assert datapath.capacity.ports > room
    passed = warden.passed("web")
    wait_until(lambda: warden.passed("web") > passed + 20)
    for process in (sender, noting):
        process.kill(signal.SIGTERM)
        assert process.wait() == 0, process.stderr
    sent, noted = (json.loads(each.stdout.splitlines()[-1]) for each in (sender, noting))
    assert {port for _, port, *_ in noted} == {90}
    assert len(noted) > sent * 0.9  # no policy was ever without it
    assert (Counter(warden.drops()) - Counter(dropped)).keys() == {"denied"}
    mesh.fail("alice", "bob", f"tcp/{old[0]}", f"tcp/{new[-1]}", drops={"bob": "denied"})
