# SPDX-License-Identifier: Apache-2.0
"""A policy that outgrows what the kernel gives: it changes nothing, and `status` says why.

A whole agent without its loop, on real tables; WireGuard is played.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from krait.agent.apply import Enforcement
from krait.agent.notify import Notifier
from krait.agent.ports import Eyes
from krait.agent.rounds import Rounds
from krait.agent.setup import Setup
from krait.agent.state import Live, read_live
from krait.common.abi import MAX_LIST_LENGTH
from krait.kernel.bpf.errors import BpfRefused, MapFull
from krait.kernel.datapath import Datapath
from krait.kernel.filter import InterfaceFilter
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.link_watch import LinkEvent, Resync
from krait.kernel.wireguard import Device, Fingerprint, Peer
from krait.policy.capacity import SMALLEST
from tests.kernel.agent.test_apply import folder, ifindex
from tests.requirements import KINDS
from tests.unit.policy.bench import AUDIT_RULE, DOCUMENT, INTERFACE

__all__ = ["folder", "ifindex"]  # fixtures

SMALL = DOCUMENT.replace(
    "    routes: [{cidr: 10.30.0.0/24, tags: [lan]}, 10.31.0.0/24]\n", ""
).replace(f"    {AUDIT_RULE}\n", "")
SMALL = SMALL.replace("to: lan", "to: db")
MANY_PORTS = ", ".join(f"tcp/{port}" for port in range(2, 4 * MAX_LIST_LENGTH, 2))


class Stage:
    """The agent, its document, and what WireGuard would say."""

    def __init__(self, folder: Path, ifindex: int) -> None:
        self.ifindex = ifindex
        self.routed = 0
        self.generations = Generations(folder / "bpf" / "krait" / "v0")
        self.hooks = InterfaceFilter(self.generations.folder, KINDS[0])
        self.enforcement = Enforcement(self.generations, self.hooks, folder / "v0.json")
        self.document, self.live_path = folder / "v0.yaml", folder / "live.json"
        self.document.write_text(SMALL)
        eyes = Eyes(self.link, self.fingerprint, self.device, self.events)
        self.agent = Rounds(
            Setup(
                interface="v0",
                document=self.document,
                shadow=folder / "shadow.yaml",
                kept=folder / "kept.yaml",
                live=self.live_path,
                eyes=eyes,
                enforcement=self.enforcement,
                notifier=Notifier(""),
            )
        )
        self.agent.start()

    def edit(self, old: str, new: str) -> None:
        text = self.document.read_text()
        assert old in text
        self.document.write_text(text.replace(old, new, 1))
        self.agent.read_again()
        self.agent.play()

    @property
    def tables(self) -> Datapath:
        (generation,) = self.generations.found()
        return self.generations.open(generation)

    @property
    def live(self) -> Live:
        found = read_live(self.live_path)
        assert found
        return found

    def in_force(self) -> tuple[object, ...]:
        """What packets are judged by, byte for byte."""
        tables = self.tables
        seats = tuple(self.hooks.observe(self.ifindex, hook) for hook in Hook)
        slot, maps = tables.in_force.slot, tables.maps
        size = tables.capacity.pair * maps["pair"].info.value_bytes
        pairs = b"".join(values for _, values in maps["pair"].items())
        ports = tables.lists(slot)
        return tables.in_force, seats, pairs[slot * size :][:size], ports

    def link(self) -> Link:
        return Link(self.ifindex, "v0", "wireguard", 1420, up=True, addresses=INTERFACE.addresses)

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(bytes((self.routed,)), self.device)

    def device(self) -> Device:
        more = tuple(ip_network(f"10.99.{number}.0/24") for number in range(self.routed))
        peers = tuple(
            Peer(each.public_key, None, each.allowed_ips + (more if i == 0 else ()), 0, 0, 0, 0)
            for i, each in enumerate(INTERFACE.peers)
        )
        key = INTERFACE.public_key
        return Device("v0", self.ifindex, key, 51820, userspace=False, peers=peers)

    @staticmethod
    async def events() -> AsyncGenerator[LinkEvent | Resync, None]:
        yield Resync()
        await asyncio.Event().wait()


@pytest.fixture
def stage(folder: Path, ifindex: int) -> Iterator[Stage]:
    found = Stage(folder, ifindex)
    assert (found.live.enforcing, found.live.faults) == (True, ())
    yield found
    found.enforcement.close()
    found.generations.close()


def test_a_policy_that_no_table_could_hold_leaves_the_one_in_force(stage: Stage) -> None:
    before = stage.in_force()
    stage.edit("ports: [tcp/80, udp/53, icmp]", f"ports: [{MANY_PORTS}]")
    (fault,) = stage.live.faults
    assert "port intervals for one pair of identities" in fault.message
    assert fault.hint
    assert stage.in_force() == before
    assert stage.live.enforcing


def test_a_map_that_is_full_against_all_reckoning_leaves_the_policy_in_force(stage: Stage) -> None:
    tables = stage.tables
    before, idle = stage.in_force(), tables.in_force.idle
    prefixes = tables.maps["prefix4"]
    for number in range(prefixes.info.max_entries + 1):  # of no slot: nobody looks for these
        key = (32 + 8).to_bytes(4, "little") + bytes((9,)) + number.to_bytes(4, "big")
        try:
            prefixes.update(key, bytes(prefixes.info.value_bytes))
        except MapFull:
            break
    else:
        pytest.fail("the table took more than it holds")
    stage.routed = 3
    stage.agent.play()
    (fault,) = stage.live.faults
    assert "is full" in fault.message
    assert "policy in force stays" in fault.hint
    assert stage.in_force() == before
    assert stage.tables.in_force.idle == idle
    stage.agent.play()  # it is put off: what is in force goes on, and the fault is not forgotten
    assert [each.message for each in stage.live.faults] == [fault.message]
    assert stage.live.enforcing


def test_what_does_not_fit_beside_the_old_gets_larger_tables(stage: Stage) -> None:
    ports = ", ".join(f"tcp/{2 * port}" for port in range(1, 100))
    stage.edit("ports: [tcp/80, udp/53, icmp]", f"ports: [{ports}]")
    assert stage.tables.capacity.ports == SMALLEST.ports
    stage.edit(ports, ports.replace("tcp", "udp"))
    assert stage.tables.capacity.ports > SMALLEST.ports
    assert (stage.live.faults, stage.live.enforcing, stage.live.revision) == ((), True, 3)


def test_tables_that_the_kernel_does_not_give_leave_the_policy_in_force(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's memory is played: a refusal in the middle of loading."""

    def refuse(*_: object, **__: object) -> None:
        raise BpfRefused("map pair: create: Cannot allocate memory (ENOMEM)", errno=12)

    before = stage.in_force()
    monkeypatch.setattr(Datapath, "load", refuse)
    stage.routed = 250
    many = "".join(f"  n{i}: {{via: web1, tags: [t{i}]}}\n" for i in range(40))
    stage.edit("policy:\n", f"{many}policy:\n")
    text = stage.document.read_text().replace("tags: [web]", "tags: [web]\n    transit: true", 1)
    stage.document.write_text(text)
    stage.agent.read_again()
    stage.agent.play()
    (fault,) = stage.live.faults
    assert "ENOMEM" in fault.message
    assert stage.in_force() == before
    assert stage.live.enforcing
