# SPDX-License-Identifier: Apache-2.0
"""Agents that are killed while they bring the guard to where it belongs, change or remove it.

On veths whose hooks, pins and marks are real. Then each interface is asked, which has the guard of
before, that of after, or none where it is new or to go; and an agent that lives puts all right.
"""

import random
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import pytest

from krait.agent.guarding import Guarding
from krait.common.guard import GUARD_VERSION, GuardMark
from krait.kernel import clsact
from krait.kernel.bpf.link import tcx_query
from krait.kernel.guards import Guards
from krait.kernel.hook import Hook
from krait.kernel.link import observe_links
from krait.kernel.seat import AttachKind
from krait.policy.guard import Guard
from tests.kernel.agent.killing import (
    KILLS,
    SEED,
    Cost,
    kill,
    kill_before,
    rehearse,
    verdict,
)
from tests.kernel.agent.test_apply import folder
from tests.kernel.classifier import GO_ON
from tests.requirements import KINDS
from tests.strategies.packets import ip4

__all__ = ["folder"]  # a fixture

RANGE, UDP = ip_network("10.8.0.0/24"), 17
MINE = GuardMark.MESH | GuardMark.OWN


def guard(marks: dict[str, GuardMark]) -> Guard:
    every = {"10.8.0.0/24": GuardMark.MESH, "10.8.0.1/32": MINE, **marks}
    return Guard({ip_network(cidr): mark for cidr, mark in every.items()}, (RANGE,), ())


BEFORE = guard({"10.7.0.0/24": GuardMark.MESH})
AFTER = guard({"10.8.0.64/27": GuardMark.NOTHING, "10.8.0.70/32": GuardMark.MESH})
LAN, HERE = "192.0.2.7", "192.0.2.1"
NEVER = [ip4("10.8.0.9", HERE, UDP), ip4("10.8.0.70", HERE, UDP), ip4(LAN, "10.8.0.1", UDP)]
"""What both drop."""
ALWAYS = [ip4(LAN, HERE, UDP), ip4(LAN, "10.8.0.9", UDP)]
"""What both let pass."""
BY_BEFORE = [ip4("10.7.0.9", HERE, UDP), ip4("10.8.0.80", HERE, UDP)]
"""What the first drops, and the second no more: a range that goes, and a subnet behind the node."""


@dataclass
class Host:
    """Some interfaces, and what agents leave for each other."""

    pins: Path
    kind: AttachKind
    edited: bool = False
    on: bool = True
    cost: dict[str, Cost] = field(default_factory=dict)

    @property
    def wanted(self) -> Guard | None:
        if not self.on:
            return None
        return AFTER if self.edited else BEFORE

    def reconcile(self) -> None:
        """One agent that lives until all is as it should be."""
        guarding = Guarding("v0", Guards(self.pins, "v0", self.kind), observe_links)
        guarding.keep(self.wanted)
        while guarding.is_unfinished:
            guarding.keep(self.wanted)

    def meet(self, event: str) -> None:
        """What happens before an agent starts."""
        load = self.pins / f"guard-{GUARD_VERSION}"
        if event == "edit":
            self.edited, self.on = not self.edited, True
        elif event == "switch":
            self.on = not self.on
        elif event == "kind":
            self.kind, self.on = KINDS[(KINDS.index(self.kind) + 1) % len(KINDS)], True
        elif event == "upgrade" and load.exists():
            load.rename(self.pins / f"guard-{GUARD_VERSION - 1}")
        elif event == "pins" and load.exists():
            shutil.rmtree(load)
        elif event == "half" and load.exists():
            (load / "marks6").unlink()
        elif event == "device":
            ip("link del w0")
            ip("link add w0 type veth peer name w1")

    def devices(self) -> dict[str, int]:
        return {name: at for at, name in socket.if_nameindex() if name[0] in "ew"}

    def programs(self, ifindex: int) -> list[int]:
        """Ids of what runs on ingress, asked of the kernel alone."""
        tcx = tcx_query(ifindex, Hook.INGRESS) if AttachKind.TCX in KINDS else ()
        filters = clsact.query(ifindex, Hook.INGRESS, name="krait_guard_v0")
        return [each.program_id for each in tcx] + [f.program_id for f in filters if f.ours]

    def passes(self, ifindex: int, packet: bytes) -> bool:
        """Whether every program there lets a packet go on."""
        return all(verdict(each, packet) == GO_ON for each in self.programs(ifindex))


EVENTS = ("edit", "edit", "switch", "nothing", "upgrade", "pins", "half", "kind", "device")


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


@pytest.fixture(params=KINDS, ids=[each.value for each in KINDS])
def host(
    request: pytest.FixtureRequest,
    folder: Path,
    netns: None,  # noqa: ARG001 - its effect is the namespace
) -> Iterator[Host]:
    for name in "ew":
        ip(f"link add {name}0 type veth peer name {name}1")
    found = Host(folder / "bpf" / "krait" / "v0", request.param)
    found.reconcile()
    yield found
    Guards(found.pins, "v0", found.kind).clear()
    assert not any(map(found.programs, found.devices().values()))


def test_whoever_is_killed_leaves_each_interface_guarded_as_before_or_as_after(
    host: Host,
) -> None:
    chance = random.Random(f"{SEED} {host.kind}")  # noqa: S311 - no secret
    died: Counter[str] = Counter()
    began_s = time.monotonic()
    try:
        while died["killed"] < KILLS:
            event = chance.choice(EVENTS)
            had = {at for at in host.devices().values() if host.programs(at)}
            host.meet(event)
            if (key := f"{event} {host.on}") not in host.cost:
                host.cost[key] = rehearse(host.reconcile)
                continue
            place = f"KRAIT_SEED={SEED}, {host.kind.value}, after {died}, {event}, {host.on}"
            died[kill(host.reconcile, host.cost[key], chance)] += 1
            assert_shut(host, had, place)
            host.reconcile()
            assert_settled(host, place)
    finally:
        took_s = time.monotonic() - began_s
        print(f"KRAIT_SEED={SEED}: {dict(died)} in {took_s:.0f} s, calls {host.cost}")  # noqa: T201


def test_whoever_is_killed_at_any_step_of_an_edit_leaves_each_mark_as_before_or_as_after(
    host: Host,
) -> None:
    for call in count(1):
        ends = set()
        for _ in "to", "fro":
            host.meet("edit")
            ends.add(kill_before(host.reconcile, call))
            assert_shut(host, set(host.devices().values()), f"before call {call}, {host.edited}")
            host.reconcile()
            assert_settled(host, f"call {call}")
        if ends == {"lived"}:
            return


def test_whoever_is_killed_while_all_goes_leaves_what_the_next_one_takes_away(host: Host) -> None:
    chance = random.Random(f"{SEED} {host.kind}")  # noqa: S311 - no secret
    guards = Guards(host.pins, "v0", host.kind)
    cost, died = rehearse(guards.clear), Counter[str]()
    while died["killed"] < KILLS // 4:
        host.reconcile()
        died[kill(guards.clear, cost, chance)] += 1
        assert_shut(host, set(), f"KRAIT_SEED={SEED}, {host.kind.value}, {died}")
        guards.clear()
        assert not any(map(host.programs, host.devices().values()))
        assert not [each for each in host.pins.iterdir() if "netns" not in each.name]


def assert_shut(host: Host, had: set[int], place: str) -> None:
    for name, at in host.devices().items():
        if host.programs(at):
            assert not any(host.passes(at, each) for each in NEVER), f"{place}: {name} is open"
        else:
            assert at not in had or not host.on, f"{place}: {name} is bare"
        assert all(host.passes(at, each) for each in ALWAYS), f"{place}: {name} is cut"


def assert_settled(host: Host, place: str) -> None:
    devices = host.devices()
    links = [f"guard_{at}" for at in sorted(devices.values())]
    names = {each.name for each in host.pins.iterdir() if "netns" not in each.name}
    if not host.on:
        assert not any(map(host.programs, devices.values())), place
        assert not names, place
        return
    assert_shut(host, set(devices.values()), place)
    for at in devices.values():
        assert len(host.programs(at)) == 1, place
        assert {host.passes(at, each) for each in BY_BEFORE} == {host.edited}, place
    is_tcx = host.kind is AttachKind.TCX
    assert names == {f"guard-{GUARD_VERSION}", *(links if is_tcx else ())}, place
