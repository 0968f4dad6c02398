# SPDX-License-Identifier: Apache-2.0
"""Agents that are killed at any point of a round, one after the other, on real kernel objects.

Each is a process of its own that takes over what the one before left, on a veth whose hooks, pins
and tables are real; WireGuard is played. It dies by SIGKILL before its n-th call into the kernel or
after a part of its time, both drawn by a seed. Then the hooks are asked, and an agent that lives
puts all right. KRAIT_KILLS=500 for a thousand, KRAIT_SEED for the same again.
"""

import random
import shutil
import socket
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from krait.agent.apply import Enforcement
from krait.agent.notify import Notifier
from krait.agent.ports import Eyes
from krait.agent.rounds import Rounds
from krait.agent.setup import Setup
from krait.agent.state import read_live, read_records
from krait.common.abi import ABI_VERSION
from krait.kernel import clsact
from krait.kernel.bpf.link import tcx_query
from krait.kernel.filter import InterfaceFilter
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.seat import AttachKind
from krait.kernel.wireguard import Device, Fingerprint, Peer
from tests.kernel.agent.killing import KILLS, SEED, Cost, kill, rehearse, verdict
from tests.kernel.agent.test_apply import folder
from tests.kernel.agent.test_outgrown import SMALL, Stage
from tests.kernel.classifier import GO_ON
from tests.requirements import KINDS
from tests.strategies.packets import SYN
from tests.unit.policy.bench import APP, INTERFACE, ME, WEB, of_tcp, of_udp

__all__ = ["folder"]  # a fixture

BEFORE = SMALL.replace("    - {name: web-db-gre, from: web, to: db}\n", "")
AFTER = BEFORE.replace("tcp/80, udp/53", "tcp/81, udp/53")
OF_80, OF_81 = (of_tcp(WEB, ME, SYN, port) for port in (80, 81))
NEVER = {Hook.INGRESS: of_tcp(WEB, ME, SYN, 82), Hook.EGRESS: of_tcp(ME, WEB, SYN, 80)}
"""What both documents deny."""
ALWAYS = {Hook.INGRESS: of_udp(WEB, ME), Hook.EGRESS: of_tcp(ME, APP, SYN, 80)}
"""What both allow."""


@dataclass
class Host:
    """An interface, and what agents leave for each other."""

    folder: Path
    kind: AttachKind
    ifindex: int = 0
    edited: bool = False
    cost: dict[str, Cost] = field(default_factory=dict)
    """Of the agent that meets an event."""

    @property
    def pins(self) -> Path:
        return self.folder / "bpf" / "krait" / "v0"

    def setup(self) -> tuple[Setup, Generations]:
        """What the next agent works with."""
        loads = Generations(self.pins)
        hooks = InterfaceFilter(self.pins, self.kind)
        setup = Setup(
            interface="v0",
            document=self.folder / "v0.yaml",
            shadow=self.folder / "v0.shadow.yaml",
            kept=self.folder / "state" / "v0.yaml",
            live=self.folder / "run" / "v0.json",
            eyes=Eyes(self.link, lambda: Fingerprint(b"", self.device), self.device, Stage.events),
            enforcement=Enforcement(loads, hooks, self.folder / "state" / "v0.json"),
            notifier=Notifier(""),
        )
        return setup, loads

    def link(self) -> Link:
        return Link(self.ifindex, "v0", "wireguard", 1420, up=True, addresses=INTERFACE.addresses)

    def device(self) -> Device:
        peers = tuple(
            Peer(each.public_key, None, each.allowed_ips, 0, 0, 0, 0) for each in INTERFACE.peers
        )
        key = INTERFACE.public_key
        return Device("v0", self.ifindex, key, 51820, userspace=False, peers=peers)

    def plug(self) -> None:
        subprocess.run(["ip", "link", "del", "v0"], check=False, capture_output=True)
        subprocess.run(["ip", "link", "add", "v0", "type", "veth", "peer", "v1"], check=True)
        self.ifindex = socket.if_nametoindex("v0")

    def meet(self, event: str) -> None:
        """What happens before an agent starts."""
        if event == "edit":
            self.edited = not self.edited
        elif event == "upgrade":  # a newer Krait finds the tables of an older one
            for each in self.pins.glob(f"{ABI_VERSION}-*"):
                each.rename(each.with_name(f"{ABI_VERSION - 1}-{each.name.split('-')[1]}"))
        elif event == "pins":
            for each in self.pins.glob("*-[0-9]*"):
                shutil.rmtree(each) if "netns" not in each.name else None
        elif event == "kind":
            self.kind = KINDS[(KINDS.index(self.kind) + 1) % len(KINDS)]
        elif event == "device":
            self.plug()
        (self.folder / "v0.yaml").write_text(AFTER if self.edited else BEFORE)

    def programs(self, hook: Hook) -> list[int]:
        """Ids of what runs on a hook, asked of the kernel alone."""
        tcx = tcx_query(self.ifindex, hook) if AttachKind.TCX in KINDS else ()
        filters = clsact.query(self.ifindex, hook)
        return [each.program_id for each in tcx] + [f.program_id for f in filters if f.ours]

    def passes(self, hook: Hook, packet: bytes) -> bool:
        """Whether every program there lets a packet go on."""
        return all(verdict(each, packet) == GO_ON for each in self.programs(hook))


EVENTS = ("edit", "edit", "nothing", "upgrade", "pins", "kind", "device")


@pytest.fixture(params=KINDS, ids=[each.value for each in KINDS])
def host(
    request: pytest.FixtureRequest,
    folder: Path,
    netns: None,  # noqa: ARG001 - its effect is the namespace
) -> Host:
    found = Host(folder, request.param)
    found.plug()
    found.meet("nothing")
    reconcile(found)
    return found


def reconcile(host: Host) -> None:
    """One agent that lives until all is as it should be."""
    setup, loads = host.setup()
    with closing(loads):
        try:
            Rounds(setup).start()
        finally:
            setup.enforcement.close()
    live = read_live(host.folder / "run" / "v0.json")
    assert live is not None
    assert (live.enforcing, live.faults) == (True, ())


def test_whoever_is_killed_leaves_a_filter_that_is_true_to_the_old_policy_or_the_new(
    host: Host,
) -> None:
    chance = random.Random(f"{SEED} {host.kind}")  # noqa: S311 - no secret
    died: Counter[str] = Counter()
    began_s = time.monotonic()
    for event in dict.fromkeys(EVENTS):
        host.meet(event)
        host.cost[event] = rehearse(partial(reconcile, host))
    try:
        while died["killed"] < KILLS:
            event = chance.choice(EVENTS)
            host.meet(event)
            place = f"KRAIT_SEED={SEED}, {host.kind.value}, after {died}, {event}"
            died[kill(partial(reconcile, host), host.cost[event], chance)] += 1
            assert_shut(host, place, may_be_bare=event == "device")
            reconcile(host)
            assert_settled(host, place)
    finally:
        took_s = time.monotonic() - began_s
        print(f"KRAIT_SEED={SEED}: {dict(died)} in {took_s:.0f} s, calls {host.cost}")  # noqa: T201


def assert_shut(host: Host, place: str, *, may_be_bare: bool) -> None:
    for hook in Hook:
        if host.programs(hook):
            assert not host.passes(hook, NEVER[hook]), f"{place}: {hook.value} is open"
        else:
            assert may_be_bare, f"{place}: {hook.value} is bare"
        assert host.passes(hook, ALWAYS[hook]), f"{place}: {hook.value} is cut"


def assert_settled(host: Host, place: str) -> None:
    assert host.passes(Hook.INGRESS, OF_81) is host.edited, place
    assert host.passes(Hook.INGRESS, OF_80) is not host.edited, place
    assert_shut(host, place, may_be_bare=False)
    assert [len(host.programs(hook)) for hook in Hook] == [1, 1], place
    links = ["link_egress", "link_ingress"] if host.kind is AttachKind.TCX else []
    names = sorted(each.name for each in host.pins.iterdir() if not each.name.startswith("netns-"))
    assert names[1:] == links, f"{place}: {names}"
    assert names[0].startswith(f"{ABI_VERSION}-"), place
    assert read_records(host.folder / "state" / "v0.json"), place
    assert sorted(each.name for each in (host.folder / "state").iterdir()) == [
        "v0.json",
        "v0.yaml",
    ], place
