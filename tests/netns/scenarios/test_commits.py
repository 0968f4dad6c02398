# SPDX-License-Identifier: Apache-2.0
"""A thousand commits under traffic: every packet is judged by one policy, and by no mixture of two.

Policy A lets tag x open the first port, and tag y the third; both senders are x. Policy B lets y
open the second port, and x the third; both senders are y. By either, the third port is shut to
them: it is open only to who has the tags of the one and the rules of the other.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.machine import TIMEOUT_SCALE, Process, unhurried
from krait.lab.mesh import Lab, full_mesh
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import PAIRS, Mesh
from tests.patience import PATIENCE_S, wait_until

COMMITS = [sys.executable, str(Path(__file__).with_name("commits.py"))]
COUNT = 1000 if TIMEOUT_SCALE == 1 else 200  # an emulated machine takes long over each
FIRST, SECOND, NEITHER = PORTS = (1001, 1002, 1003)
PORT_LIST = ",".join(map(str, PORTS))
SENDERS = ("alice", "carol")
PAUSE_S = unhurried(0.001, 0.03)
EVER_NS = (0, 1 << 63)
# Both tags belong to somebody under either policy, or their numbers would be one and the same.
BOB = "tags: b, routes: [{cidr: 10.21.1.0/24, tags: x}, {cidr: 10.21.2.0/24, tags: y}]"


def policy(mesh: Mesh, tag: str, port: int, other: str) -> str:
    """The senders have the tag, which may open the port."""
    rules = [
        f"name: open, from: {tag}, to: b, ports: [udp/{port}, udp/FILLER]",
        "name: ping, from: [x, y], to: b, ports: icmp",
        f"name: never, from: {other}, to: b, ports: [udp/{NEITHER}, udp/FILLER]",
    ]
    nodes = {"bob": BOB} | dict.fromkeys(SENDERS, f"tags: {tag}")
    return mesh.document(nodes, rules) + "  limits: {opens: unlimited}\n"


@pytest.fixture
def mesh(kind: AttachKind) -> Iterator[Mesh]:
    with Lab(full_mesh("bob", *SENDERS)) as lab:
        yield Mesh(lab, kind)


@contextmanager
def traffic(mesh: Mesh) -> Iterator[tuple[Process, list[Process]]]:
    """Who notes what arrives, and the senders; all have sent something."""
    noting = mesh["bob"].spawn([*PAIRS, "note", PORT_LIST])
    noting.wait_for_output("ready")
    ends = {
        name: [",".join(pair) for pair in zip(mesh.hosts[name], mesh.hosts["bob"], strict=True)]
        for name in SENDERS
    }
    senders = [
        mesh[name].spawn([*PAIRS, "send", PORT_LIST, str(PAUSE_S), *pairs])
        for name, pairs in ends.items()
    ]
    yield noting, senders
    for each in (*senders, noting):
        each.kill_all()


def told(process: Process) -> str:
    """What it has to say at its end."""
    process.kill(signal.SIGTERM)
    assert process.wait() == 0, process.stderr
    return process.stdout.splitlines()[-1]


@BOTH_KINDS
def test_no_packet_is_judged_by_a_mixture(mesh: Mesh, kind: AttachKind) -> None:
    bob, warden = mesh["bob"], mesh.warden("bob")
    bob.write("/run/turns/a.yaml", policy(mesh, "x", FIRST, "y"))
    bob.write("/run/turns/b.yaml", policy(mesh, "y", SECOND, "x"))
    committing = bob.spawn([*COMMITS, kind.value, "/run/turns", str(COUNT)])
    committing.wait_for_output("ready")
    before = warden.counted()
    with traffic(mesh) as (noting, senders):
        wait_until(lambda: warden.counted()["rule open"] > before["rule open"])
        bob.succeed("touch /run/turns/go")
        committing.wait_for_output("]]", PATIENCE_S)
        triples = sum(int(told(sender)) for sender in senders)
        for name in SENDERS:  # what comes last: all before it has been judged
            mesh[name].succeed(["ping", "-c1", "-w30", mesh.hosts["bob"][0]])
        moved = warden.counted() - before
        noted = json.loads(told(noting))
    stores = json.loads(committing.stdout.splitlines()[-1])
    assert len(stores) == COUNT + 1

    # Nothing that neither policy allows, by what came out and by what was counted.
    assert {port for _, port, *_ in noted} == {FIRST, SECOND}
    assert moved.keys() == {"denied", "rule open", "rule default", "rule ping"}
    assert moved["denied"] == moved["rule default"]
    assert moved["rule open"] == len(noted)
    # What came out did so while its own policy was in force.
    edges = [EVER_NS[0], *(before_ns for before_ns, _ in stores[1:])]
    ends = [*(after_ns for _, after_ns in stores[1:]), EVER_NS[1]]
    spans = list(zip(edges, ends, strict=True))
    for port, own in ((FIRST, spans[::2]), (SECOND, spans[1::2])):
        sent = [(sent_ns, noted_ns) for _, at, _, sent_ns, noted_ns in noted if at == port]
        assert len(sent) > COUNT
        assert all(
            any(a <= noted_ns and sent_ns <= b for a, b in own) for sent_ns, noted_ns in sent
        )
    # Of each triple just one passes; but a commit may come in between, and WireGuard may lose some.
    lost = 3 * triples - moved["rule open"] - moved["denied"]
    opened = {(source, number, port) for source, port, number, *_ in noted}
    assert len(opened) == len(noted)
    twice = len(noted) - len({(source, number) for source, number, _ in opened})
    never = triples - len(noted) + twice
    assert 0 <= lost < triples // 10
    assert twice + never <= COUNT * len(SENDERS) + lost
    print(f"{triples:,} triples, {twice} with both, {never} with none, {lost} packets lost")  # noqa: T201

    bob.succeed("touch /run/turns/mix")
    committing.wait_for_output("mixed")
    with traffic(mesh):
        wait_until(lambda: warden.counted()["rule never"])  # it would have been seen
