# SPDX-License-Identifier: Apache-2.0
"""Other tools at work on the hooks, the pins and the peers of an interface that an agent keeps."""

import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from krait.agent.lookout import INTERVAL_S
from krait.agent.steps import Attach, Pin
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from tests.netns.agent.conftest import BOB, BOTH_KINDS, CONFIG, OPEN_TCP, RULES, SHUT, Agent, Node
from tests.netns.scenarios.conftest import PACKETS
from tests.patience import wait_until
from tests.requirements import NEEDS_TCX
from tests.strategies.packets import SYN, ip4, tcp

_STRANGER = """
from pathlib import Path
from socket import if_nametoindex
from krait.kernel.bpf.link import TcxLink
from krait.kernel.bpf.program import load_instructions
from krait.kernel.hook import Hook
go_on = load_instructions(bytes.fromhex("b7000000ffffffff9500000000000000"))
TcxLink.create(go_on, if_nametoindex("wg0"), Hook.INGRESS).pin(Path("/sys/fs/bpf/stranger"))
"""
DETACH = """
from pathlib import Path
from krait.kernel.bpf.link import TcxLink
TcxLink.open_pinned(Path("/sys/fs/bpf/krait/wg0/link_ingress")).detach()
"""
"""As `bpftool link detach` does; to remove the pin is not enough while an agent lives."""
_TAKE_OFF = {
    AttachKind.TCX: f"python -c '{DETACH}'",
    AttachKind.CLSACT: "tc filter delete dev wg0 ingress",
}


@BOTH_KINDS
def test_a_filter_that_another_tool_takes_off_is_back_within_a_second_or_so(node: Node) -> None:
    agent = node.start()
    mark, taken_s = agent.mark(), time.monotonic()
    node.machine.succeed(_TAKE_OFF[node.kind])
    agent.wait_for(str(Attach(Hook.INGRESS)), after=mark)
    print(f"back after {time.monotonic() - taken_s:.2f} s")  # noqa: T201
    assert node.seats() == [(node.kind.value, [])] * 2
    assert node.drops_at(SHUT, OPEN_TCP + 4)
    assert node.drops()["denied"] > 0


@NEEDS_TCX
def test_a_program_that_is_put_before_krait_does_not_stay_there(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    node.machine.succeed(["python", "-c", _STRANGER])
    agent.wait_for("remove tables", after=mark)
    assert [ahead for _, ahead in node.seats()] == [[], []]
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)


CLSACT_ONLY = pytest.mark.parametrize("kind", [AttachKind.CLSACT], indirect=True)


@NEEDS_TCX
@CLSACT_ONLY
def test_a_tcx_program_before_a_clsact_filter_stays_there_and_is_said_to(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    node.machine.succeed(["python", "-c", _STRANGER])
    agent.wait_for("degraded: ahead of Krait: program", after=mark)
    (ingress, egress) = node.seats()
    assert ingress[0] == "clsact"
    assert ingress[1][0].startswith("program ")
    assert egress == ("clsact", [])
    node.machine.succeed("rm /sys/fs/bpf/stranger")
    agent.wait_for("order: mended", after=mark)


@NEEDS_TCX
def test_who_goes_first_again_and_again_is_not_fought_every_second(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    one = "/sys/fs/bpf/stranger"
    fight = f"while python -c '{_STRANGER}'; do mv {one} {one}$((i+=1)); sleep 0.3; done"
    rival = node.machine.spawn(["bash", "-c", fight])
    agent.wait_for("degraded: ahead of Krait: program", after=mark)
    node.machine.wait_until_succeeds("krait status wg0 | grep -q 'ahead of Krait'")
    rival.kill_all()
    node.machine.succeed(f"rm -f {one}*")
    agent.wait_for("order: mended", after=mark)
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)


@NEEDS_TCX
@BOTH_KINDS
def test_a_change_from_one_kind_to_the_other_leaves_the_new_one_alone_on_the_hooks(
    node: Node,
) -> None:
    (other,) = set(AttachKind) - {node.kind}
    first = node.start()
    first.process.kill()
    first.process.wait()
    node.kind = other
    second = node.spawn()
    wait_until(lambda: sum(each.startswith("detach") for each in second.events()) == len(Hook))
    assert [kind for kind, _ in node.seats()] == [other.value] * 2


@BOTH_KINDS
def test_pins_that_are_removed_are_made_again(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    node.machine.succeed("rm -r /sys/fs/bpf/krait/wg0/*")
    agent.wait_for(str(Pin()), after=mark)
    assert node.seats() == [(node.kind.value, [])] * 2
    assert node.drops_at(SHUT)
    assert node.drops()["denied"] > 0


def test_a_prefix_that_moves_to_another_peer_is_nobodys_for_a_moment(node: Node) -> None:
    agent = node.start()
    mark, moved_ns = agent.mark(), time.monotonic_ns()
    carol, alice = node.lab.public_key("carol"), node.lab.public_key("alice")
    node.machine.succeed(
        ["wg", "set", "wg0", "peer", carol, "allowed-ips", "10.8.0.1/32,10.8.0.3/32,fd7a:6b72::3"]
    )
    wait_until(lambda: len(commits(agent, mark)) == 2)
    held, again = commits(agent, mark)
    assert held["event"].endswith("withholding 10.8.0.1/32")
    assert "withholding" not in again["event"]
    assert again["stored_ns"] - moved_ns > 0.9 * INTERVAL_S * 1e9  # a look began just before
    mark = agent.mark()
    node.machine.succeed(
        f"wg set wg0 peer {carol} allowed-ips 10.8.0.3/32,fd7a:6b72::3/128"
        f" && wg set wg0 peer {alice} allowed-ips 10.8.0.1/32,fd7a:6b72::1/128"
    )
    agent.wait_for("commit", after=mark)


def test_a_prefix_that_moves_while_the_kernel_takes_no_policy_stays_nobodys(node: Node) -> None:
    """No tables are made where there is no place to pin them."""
    agent = node.start()
    carol, alice = node.lab.public_key("carol"), node.lab.public_key("alice")
    ports = ", ".join(f"tcp/{2 * port}" for port in range(100, 400))
    node.machine.succeed("umount /sys/fs/bpf")
    try:
        mark = agent.mark()
        node.write(node.document(RULES.replace("tcp/80", f"tcp/80, {ports}")))
        agent.wait_for("/sys/fs/bpf is not on a bpf file system", after=mark)
        mark, moved_ns = agent.mark(), time.monotonic_ns()
        prefixes = "10.8.0.1/32,10.8.0.3/32,fd7a:6b72::3"
        node.machine.succeed(["wg", "set", "wg0", "peer", carol, "allowed-ips", prefixes])
        held = agent.wait_for("commit /run", after=mark)
        assert held["event"].endswith("withholding 10.8.0.1/32")
        node.wait_for_faults(2)  # the policy, and the pins
        # A move that the kernel takes is over after one interval.
        wait_until(lambda: time.monotonic_ns() > moved_ns + 2 * INTERVAL_S * 1e9)
        syn = ip4("10.8.0.1", BOB, 6, tcp(40000, OPEN_TCP, SYN))
        node.lab["carol"].succeed([*PACKETS, "frames", "wg0", *[syn.hex()] * 10])
        node.lab["carol"].succeed(["ping", "-c1", "-w30", BOB])  # they have been judged
    finally:
        node.machine.succeed(
            "mount -t bpf -o mode=0700 bpf /sys/fs/bpf"
            f" && wg set wg0 peer {carol} allowed-ips 10.8.0.3/32,fd7a:6b72::3/128"
            f" && wg set wg0 peer {alice} allowed-ips 10.8.0.1/32,fd7a:6b72::1/128"
        )
    node.wait_for_faults(0)
    assert node.drops()["unknown-source"] >= 10
    assert node.passes(OPEN_TCP)


def commits(agent: Agent, mark: int) -> list[dict[str, Any]]:
    return [line for line in agent.log()[mark:] if line["event"].startswith("commit")]


def test_a_peer_that_another_tool_adds_is_unknown_until_the_document_names_it(node: Node) -> None:
    text = node.document().replace(
        f'  carol: {{public_key: "{node.lab.public_key("carol")}", tags: [c]}}\n', ""
    )
    agent = node.start(text)
    assert node.drops_at(OPEN_TCP, sender="carol")
    assert node.drops()["unknown-peer"] > 0
    mark = agent.mark()
    node.write(node.document(RULES + "    - {name: c, from: c, to: b}\n"))
    agent.wait_for("commit", after=mark)
    assert node.passes(OPEN_TCP, sender="carol")


_BOMB = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n"
_BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "unknown tag": (lambda good: good.replace("from: a", "from: nobody"), "nobody"),
    "failing test": (lambda good: good + "  tests: [{from: c, to: b, expect: allow}]\n", "allow"),
    "alias bomb": (lambda good: _BOMB + good, "an anchor, &a"),
    "not UTF-8": (lambda good: good + "# \udcff\n", "UTF-8"),
    "tab": (lambda good: good.replace("  alice", "\talice"), "a tab in the indentation"),
    "unknown version": (lambda good: "version: 2\n" + good, 'unknown version "2"'),
}
"""Of each mistake: how to make it (a surrogate: a byte that is no UTF-8), and what is said."""


@pytest.mark.parametrize("mistake", _BAD)
def test_a_bad_document_changes_nothing_and_a_good_one_mends_it(node: Node, mistake: str) -> None:
    spoilt, said = _BAD[mistake]
    agent = node.start()
    mark = agent.mark()
    data = spoilt(node.document()).encode(errors="surrogateescape")
    script = 'base64 -d >"$0.new" && mv "$0.new" "$0"'
    node.machine.succeed(["sh", "-c", script, CONFIG], stdin=b64encode(data).decode())
    told = agent.wait_for("/run/wg/wg0.yaml:", after=mark)
    assert said in told["event"]
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    node.wait_for_faults(1)
    assert node.live()["revision"] == 1
    node.write(node.document())
    agent.wait_for("document: mended", after=mark)
    node.wait_for_faults(0)


def test_a_document_is_not_read_while_it_is_half_written(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    node.write(node.document(RULES.replace("tcp/80", "tcp/82")))
    agent.wait_for("commit", after=mark)  # as it begins to watch, it reads what there is
    mark = agent.mark()
    text = node.document(RULES.replace("tcp/80", "tcp/83"))
    script = f"exec >{CONFIG}; head -c 40; sleep 2; cat"
    writer = node.machine.spawn(["sh", "-c", script], stdin=text)
    agent.wait_for("commit", after=mark)
    assert writer.wait() == 0
    told = [each.split()[0] for each in agent.events()[mark:]]
    assert told == ["document", "commit"]  # and no error about half a document
