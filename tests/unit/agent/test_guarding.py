# SPDX-License-Identifier: Apache-2.0
"""The guard on interfaces that come, go, and refuse it; the kernel is in memory."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from krait.agent.guard import Discard, Load, Observed, Post, Relieve, SetMarks, plan
from krait.agent.guarding import Guarding, Unguarded
from krait.agent.loop import Agent
from krait.agent.rounds import Rounds
from krait.common import guard as abi
from krait.common.errors import SystemRefused
from krait.common.guard import GuardReason
from krait.kernel.generation import Count
from krait.kernel.link import Link
from krait.kernel.link_watch import Change, LinkEvent, Resync
from krait.kernel.seat import AttachKind, Posts, Seat
from krait.policy.guard import Guard
from krait.policy.model import Network
from tests.patience import PATIENCE_S
from tests.unit.agent.ports import Stage

TCX, CLSACT = AttachKind.TCX, AttachKind.CLSACT
RANGE = ip_network("10.8.0.0/24")
GUARD = Guard({RANGE: abi.GuardMark.MESH}, (RANGE,), ())
OTHER = Guard({}, (ip_network("10.9.0.0/24"),), ())
LO, WG0, ETH0, ETH1 = (
    Link(number, name, "", 1500, up=True)
    for number, name in enumerate(("lo", "wg0", "eth0", "eth1"), 1)
)


@dataclass
class Kernel:
    """Where the guard is; as the port, it refuses what it is told to."""

    kind: AttachKind = TCX
    links: list[Link] = field(default_factory=lambda: [LO, WG0, ETH0])
    loaded: int | None = None
    old: bool = False
    marks: Mapping[Network, abi.GuardMark] | None = None
    seats: dict[int, list[Seat]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    refuses: set[int] = field(default_factory=set)
    looked: int = 0
    loads: int = 0

    def program_id(self) -> int | None:
        return self.loaded

    def outdated(self) -> bool:
        return self.old

    def load(self, marks: Mapping[Network, abi.GuardMark]) -> None:
        self.loads += 1
        self.loaded, self.marks = 100 + self.loads, marks

    def mark(self, marks: Mapping[Network, abi.GuardMark]) -> None:
        assert self.loaded
        self.marks = marks

    def observe(self, devices: Iterable[int], *, filters: bool) -> Posts:
        self.looked += 1
        kinds = set(AttachKind) if filters else {TCX}
        seats = {
            at: tuple(each for each in those if each.kind in kinds)
            for at, those in self.seats.items()
        }
        assert set(devices) <= {each.ifindex for each in self.links}
        return Posts({at: those for at, those in seats.items() if those}, frozenset(self.lost))

    def attach(self, ifindex: int) -> None:
        if ifindex in self.refuses:
            raise SystemRefused(f"interface {ifindex}: no")
        assert self.loaded
        others = [each for each in self.seats.get(ifindex, ()) if each.kind is not self.kind]
        self.seats[ifindex] = [*others, Seat(self.kind, self.loaded)]

    def detach(self, ifindex: int, kind: AttachKind) -> None:
        self.lost.discard(ifindex)
        left = [each for each in self.seats.pop(ifindex, ()) if each.kind is not kind]
        if left:
            self.seats[ifindex] = left

    def drop(self, *, outdated: bool) -> None:
        self.old = False
        if not outdated:
            self.loaded = None

    def drops(self) -> Mapping[GuardReason, Count]:
        return {}

    def clear(self) -> bool:
        raise NotImplementedError

    def guarding(self) -> Guarding:
        return Guarding("wg0", self, lambda: tuple(self.links))

    def on(self) -> set[int]:
        """The interfaces that run the load."""
        return {
            at for at, those in self.seats.items() if Seat(self.kind, self.loaded or 0) in those
        }


def test_a_guard_is_marked_before_it_is_put_anywhere() -> None:
    nothing = Observed(
        None, outdated=False, marked=None, posts=Posts({}, frozenset()), devices={3: "eth0"}
    )
    assert plan(GUARD, nothing, TCX) == (Load(GUARD),)


def test_every_interface_but_lo_and_the_tunnel_gets_it_and_then_nothing_is_left_to_do() -> None:
    kernel = Kernel()
    guarding = kernel.guarding()
    guarding.keep(GUARD)
    assert kernel.on() == {ETH0.ifindex}
    assert kernel.marks == GUARD.marks
    before = kernel.loads
    kernel.looked = 0
    guarding.keep(GUARD)
    assert (kernel.loads, kernel.looked) == (before, 1)


def test_a_vrf_is_its_own_lo() -> None:
    kernel = Kernel(links=[ETH0, Link(9, "red", "vrf", 1500, up=True)])
    kernel.guarding().keep(GUARD)
    assert kernel.on() == {ETH0.ifindex}


def test_one_that_comes_gets_it_and_one_that_goes_is_forgotten() -> None:
    kernel = Kernel()
    guarding = kernel.guarding()
    guarding.keep(GUARD)
    kernel.links = [LO, WG0, ETH1]
    kernel.seats.clear()
    kernel.lost = {ETH0.ifindex}
    guarding.keep(GUARD)
    assert kernel.on() == {ETH1.ifindex}
    assert not kernel.lost


def test_one_that_another_policy_judges_from_now_on_loses_it() -> None:
    kernel = Kernel(links=[ETH0, ETH1])
    guarding = kernel.guarding()
    guarding.keep(GUARD)
    kernel.links = [ETH0]
    guarding.keep(GUARD)
    assert kernel.seats.keys() == {ETH0.ifindex}


def test_what_another_tool_took_off_is_put_back() -> None:
    kernel = Kernel()
    guarding = kernel.guarding()
    guarding.keep(GUARD)
    kernel.seats.clear()
    guarding.keep(GUARD)
    assert kernel.on() == {ETH0.ifindex}


def test_without_it_all_goes_and_nobody_looks_again() -> None:
    kernel = Kernel()
    guarding = kernel.guarding()
    guarding.keep(GUARD)
    guarding.keep(None)
    assert (kernel.seats, kernel.loaded) == ({}, None)
    kernel.looked = 0
    guarding.keep(None)
    assert kernel.looked == 0


@pytest.mark.parametrize("kind", list(AttachKind))
def test_what_an_earlier_agent_left_either_way_goes_where_it_is_not_wanted(
    kind: AttachKind,
) -> None:
    kernel = Kernel(seats={ETH0.ifindex: [Seat(kind, 7)]}, loaded=7, old=True)
    kernel.guarding().keep(None)
    assert (kernel.seats, kernel.loaded, kernel.old) == ({}, None, False)


@pytest.mark.parametrize(("kind", "before"), [(TCX, CLSACT), (CLSACT, TCX), (TCX, TCX)])
def test_an_agent_goes_on_with_what_it_finds_in_its_own_way(
    kind: AttachKind, before: AttachKind
) -> None:
    kernel = Kernel(kind=kind, seats={ETH0.ifindex: [Seat(before, 7)]}, loaded=7, marks=OTHER.marks)
    kernel.guarding().keep(GUARD)
    assert kernel.seats == {ETH0.ifindex: [Seat(kind, 7)]}
    assert (kernel.loads, kernel.marks) == (0, GUARD.marks)


def test_a_load_of_another_version_is_replaced_where_it_runs_and_then_removed() -> None:
    kernel = Kernel(seats={ETH0.ifindex: [Seat(TCX, 7)]}, old=True)
    kernel.guarding().keep(GUARD)
    assert kernel.seats == {ETH0.ifindex: [Seat(TCX, 101)]}
    assert not kernel.old


def test_no_interface_is_without_one_while_the_way_to_attach_changes() -> None:
    seen = Observed(
        7,
        outdated=True,
        marked=GUARD,
        posts=Posts({3: (Seat(CLSACT, 7),)}, frozenset()),
        devices={3: "eth0"},
    )
    assert plan(GUARD, seen, TCX) == (
        Post(3, "eth0"), Relieve(3, CLSACT), Discard(outdated=True),
    )  # fmt: skip


def test_other_ranges_are_marked_in_place() -> None:
    kernel = Kernel()
    guarding = kernel.guarding()
    guarding.keep(GUARD)
    guarding.keep(OTHER)
    assert (kernel.loads, kernel.marks) == (1, OTHER.marks)
    seen = Observed(7, outdated=False, marked=GUARD, posts=Posts({}, frozenset()), devices={})
    assert plan(OTHER, seen, TCX) == (SetMarks(OTHER),)


def test_one_that_refuses_it_is_named_and_the_others_have_it() -> None:
    kernel = Kernel(links=[ETH0, ETH1], refuses={ETH0.ifindex})
    guarding = kernel.guarding()
    with pytest.raises(Unguarded, match="no guard on eth0: interface 3: no"):
        guarding.keep(GUARD)
    assert kernel.on() == {ETH1.ifindex}
    kernel.refuses.clear()
    assert guarding.keep(GUARD) is None
    assert kernel.on() == {ETH0.ifindex, ETH1.ifindex}


def test_each_interface_that_refuses_it_has_its_own_reason_and_one_of_many_is_told_once() -> None:
    full = SystemRefused("no room for a filter", hint="Make room.")
    held = SystemRefused("another tool holds it", hint="End that tool.")
    told = Unguarded({"eth0": full, "eth1": held, "eth2": full})
    assert told.message == (
        "degraded: no guard on eth0, eth2: no room for a filter; "
        "no guard on eth1: another tool holds it"
    )
    assert told.hint == "Make room. End that tool."


def test_many_interfaces_take_several_rounds_that_follow_at_once_and_so_does_the_end() -> None:
    links = [Link(number, f"veth{number}", "veth", 1500, up=True) for number in range(10, 50)]
    kernel = Kernel(links=links)
    guarding = kernel.guarding()
    rounds = 0
    while not rounds or guarding.is_unfinished:
        guarding.keep(GUARD)
        rounds += 1
    assert (rounds, kernel.on()) == (3, {each.ifindex for each in links})
    rounds = 0
    while not rounds or guarding.is_unfinished:
        guarding.keep(None)
        rounds += 1
    assert (rounds, kernel.seats, kernel.loaded) == (3, {}, None)


def test_interfaces_that_refuse_it_do_not_hold_up_the_others() -> None:
    links = [Link(number, f"veth{number}", "veth", 1500, up=True) for number in range(10, 50)]
    kernel = Kernel(links=links, refuses=set(range(10, 40)))
    with pytest.raises(Unguarded):
        kernel.guarding().keep(GUARD)
    assert kernel.on() == set(range(40, 50))


def test_one_that_is_gone_before_it_gets_it_is_no_fault() -> None:
    kernel = Kernel(links=[ETH0, ETH1], refuses={ETH1.ifindex})
    looks = [(ETH0, ETH1)]

    def links() -> tuple[Link, ...]:
        return looks.pop() if looks else (ETH0,)

    Guarding("wg0", kernel, links).keep(GUARD)
    assert kernel.on() == {ETH0.ifindex}


def test_a_network_of_the_host_that_is_cut_off_is_told_unless_it_is_behind_the_node() -> None:
    inside, beside = ip_interface("10.8.0.65/27"), ip_interface("10.9.0.1/24")
    bridge = Link(5, "br0", "bridge", 1500, up=True, addresses=(beside, inside))
    mine = Link(2, "wg0", "wireguard", 1500, up=True, addresses=(ip_interface("10.8.0.1/24"),))
    guarding = Kernel(links=[mine, bridge]).guarding()
    told = guarding.keep(GUARD)
    assert told
    assert "br0 has 10.8.0.65/27" in told.message
    assert "wg0" not in told.message
    assert "10.9.0.1" not in told.message
    assert guarding.keep(Guard(GUARD.marks, GUARD.mesh, (inside.network,))) is None


def test_a_start_holds_though_an_interface_refuses_it_and_the_document_switches_it(
    tmp_path: Path,
) -> None:
    stage, kernel = Stage(tmp_path), Kernel(refuses={ETH0.ifindex})
    stage.edit("policy:\n", "policy:\n  guard: true\n")
    rounds = Rounds(replace(stage.setup(), guarding=kernel.guarding()))
    rounds.start()
    assert stage.live.enforcing
    assert ["no guard on eth0" in each for each in stage.faults] == [True]
    kernel.refuses.clear()
    rounds.play()
    assert not stage.faults
    assert rounds.is_guarding
    assert kernel.on() == {ETH0.ifindex}
    stage.edit("guard: true", "guard: false")
    rounds.read_again()
    rounds.play()
    assert (kernel.seats, kernel.loaded) == ({}, None)


def test_while_no_document_is_in_force_the_guard_stays_as_it_is(tmp_path: Path) -> None:
    stage, kernel = Stage(tmp_path), Kernel(loaded=7, seats={ETH0.ifindex: [Seat(TCX, 7)]})
    stage.kernel.link = None
    Rounds(replace(stage.setup(), guarding=kernel.guarding())).start()
    assert kernel.on() == {ETH0.ifindex}


def test_an_interface_that_comes_wakes_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("rounds", "lookout"):
        monkeypatch.setattr(f"krait.agent.{module}.INTERVAL_S", 2 * PATIENCE_S)
    stage, kernel = Stage(tmp_path), Kernel()
    stage.edit("policy:\n", "policy:\n  guard: true\n")

    async def comes() -> AsyncGenerator[LinkEvent | Resync, None]:
        yield Resync()
        rounds = 0
        while rounds != kernel.looked:  # those of its start are over
            rounds = kernel.looked
            await asyncio.sleep(0.3)
        kernel.links.append(ETH1)
        yield LinkEvent(Change.PRESENT, ETH1.ifindex, ETH1.name)
        await asyncio.Event().wait()

    async def go() -> None:
        stage.events = [comes]
        made = Agent(replace(stage.setup(), guarding=kernel.guarding()))
        agent = asyncio.create_task(made.run())
        async with asyncio.timeout(PATIENCE_S):
            while kernel.on() != {ETH0.ifindex, ETH1.ifindex} and not agent.done():
                await asyncio.sleep(0.005)
            os.kill(os.getpid(), signal.SIGTERM)
            await agent

    asyncio.run(go())
    assert kernel.on() == {ETH0.ifindex, ETH1.ifindex}
