# SPDX-License-Identifier: Apache-2.0
"""Rounds of an agent that makes its device, on a kernel and a machine in memory."""

from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.backoff import FIRST_S
from krait.agent.managed.endpoints import Endpoints
from krait.agent.managed.keeper import LOOK_S, Keeper
from krait.agent.managed.ports import Lead
from krait.agent.managed.sessions import Sessions
from krait.agent.ports import Eyes
from krait.agent.rounds import Rounds
from krait.agent.setup import Setup
from krait.agent.subject import Subject
from krait.common.errors import SystemRefused
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.wireguard import Fingerprint, NotWireguard
from tests.unit.agent.clock import Clock
from tests.unit.agent.managed.machine import DOCUMENT, Machine
from tests.unit.agent.ports import Refused, Stage

THIRD = b64encode(b"c" * 32).decode()
MORE = f"""  third: {{public_key: "{THIRD}", tags: a, address: 10.8.0.3}}
policy:"""


class Fenced(Machine):
    """No device of it may be up that a filter is not on."""

    def __init__(self, stage: "Managed") -> None:
        super().__init__()
        self.stage = stage
        self.fails_to_delete = False

    def set_up(self, ifindex: int) -> None:
        assert all(self.stage.kernel.seats[hook] for hook in Hook), "bare"
        assert self.bench.routes[Lead.REFUSAL], "no fence"
        super().set_up(ifindex)

    def delete(self) -> None:
        if self.fails_to_delete:
            raise SystemRefused("it does not go")
        super().delete()
        self.stage.kernel.seats = dict.fromkeys(Hook, ())


class Managed(Stage):
    """A stage whose device is the agent's to make."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.document.write_text(DOCUMENT)
        self.machine = Fenced(self)
        self.machine.prepare(DOCUMENT)
        self.is_on_trial = False

    def setup(self) -> Setup:
        return replace(
            super().setup(),
            eyes=Eyes(self.look, self.marks, self.machine.device, self._next_stream),
            keeper=lambda wake: Keeper(
                self.machine, self.machine.want, Endpoints(wake), Sessions()
            ),
            is_on_trial=lambda: self.is_on_trial,
        )

    def look(self) -> Link | None:
        self.kernel.link = self.machine.link()
        return self.kernel.link

    def marks(self) -> Fingerprint:
        return Fingerprint(repr(self.machine.device()).encode(), self.machine.device)

    def lose_device(self) -> None:
        self.machine.lose()
        self.kernel.seats = dict.fromkeys(Hook, ())

    @property
    def is_up(self) -> bool:
        return self.machine.bench.link is not None and self.machine.bench.link.up

    @property
    def peers(self) -> int:
        return len(self.machine.device().peers)

    def is_fenced(self) -> bool:
        leads = self.machine.bench.leads()
        return all(leads[each] for each in (Lead.REFUSAL, Lead.OWN_REFUSAL, Lead.RULE))


@pytest.fixture
def stage(tmp_path: Path) -> Managed:
    return Managed(tmp_path)


@pytest.fixture
def agent(stage: Managed, clock: Clock) -> Rounds:  # noqa: ARG001 - to be under it
    found = stage.rounds()
    found.start()
    assert (stage.is_up, stage.live.enforcing, stage.faults) == (True, True, [])
    return found


def test_a_start_that_fails_takes_back_its_device_and_leaves_the_fence(stage: Managed) -> None:
    stage.kernel.refuses = {"attach egress"}
    with pytest.raises(Refused):
        stage.rounds().start()
    assert stage.machine.bench.link is None
    assert stage.is_fenced()


def test_a_start_that_fails_lowers_a_device_that_an_earlier_agent_left_bare(
    stage: Managed,
    agent: Rounds,  # noqa: ARG001 - the earlier one
) -> None:
    stage.kernel.seats = dict.fromkeys(Hook, ())
    stage.kernel.refuses = {"attach ingress"}
    with pytest.raises(Refused):
        stage.rounds().start()
    assert stage.machine.bench.link is not None
    assert not stage.is_up


def test_what_cannot_be_taken_back_keeps_nothing_else_from_it(stage: Managed) -> None:
    stage.machine.fails_to_delete = True
    stage.kernel.refuses = {"attach egress"}
    with pytest.raises(Refused):
        stage.rounds().start()
    assert stage.kernel.seats == dict.fromkeys(Hook, ())
    assert not stage.is_up


def test_a_device_does_not_grow_while_the_kernel_refuses_the_policy_that_it_grows_for(
    stage: Managed, agent: Rounds, clock: Clock
) -> None:
    before = stage.peers
    stage.kernel.refuses = {"write"}
    stage.edit("policy:", MORE)
    agent.read_again()
    for _ in range(3):
        agent.play()
        clock.now_s += LOOK_S
        assert stage.peers == before
    assert stage.faults == ["write: refused"]
    stage.kernel.refuses.clear()
    clock.now_s += 100 * FIRST_S
    agent.play()
    assert (stage.peers, stage.faults) == (before + 1, [])


def test_a_device_that_lost_its_filter_for_good_goes_down_until_it_has_one(
    stage: Managed, agent: Rounds
) -> None:
    stage.kernel.seats = dict.fromkeys(Hook, ())
    stage.kernel.refuses = {"attach ingress"}
    agent.play()
    assert not stage.is_up
    assert stage.faults
    stage.kernel.refuses = set()
    agent.play()
    assert (stage.is_up, stage.faults) == (True, [])


def test_an_agent_that_finds_a_bad_document_keeps_the_device_of_the_one_before(
    stage: Managed,
    agent: Rounds,  # noqa: ARG001 - the earlier one
) -> None:
    stage.document.write_text("nonsense: true\n")
    later = stage.rounds()
    later.start()
    assert stage.live.document == str(stage.kept)
    assert "nonsense" in stage.faults[0]
    stage.lose_device()
    later.play()
    assert (stage.is_up, stage.peers) == (True, 1)


def test_a_document_that_lacks_a_key_counts_once_it_is_there(
    stage: Managed, agent: Rounds, clock: Clock
) -> None:
    stage.edit("you: {", 'you: {preshared_key_file: "/psk", ')
    agent.read_again()
    agent.play()
    assert "no preshared key /psk" in stage.faults[0]
    assert agent.pause_s() <= FIRST_S
    stage.machine.secrets["/psk"] = b"k" * 32
    clock.now_s += FIRST_S
    agent.play()
    assert stage.faults == []
    assert stage.machine.device().peers[0].has_preshared(b"k" * 32)


def test_what_is_on_trial_is_not_what_a_later_start_goes_back_to(
    stage: Managed, agent: Rounds
) -> None:
    before = stage.kept.read_text()
    stage.is_on_trial = True
    stage.edit("policy:", MORE)
    agent.read_again()
    agent.play()
    assert stage.peers == 2
    assert stage.kept.read_text() == before
    stage.is_on_trial = False
    agent.play()
    assert stage.kept.read_text() == stage.document.read_text()


def test_routes_that_somebody_took_away_are_back_after_a_look(
    stage: Managed, agent: Rounds, clock: Clock
) -> None:
    for lead in Lead:
        stage.machine.bench.routes[lead].clear()
    clock.now_s += LOOK_S
    agent.play()
    wanted = {lead: stage.machine.bench.wish.routes(lead) for lead in Lead}
    assert stage.machine.bench.leads() == wanted


def test_a_device_that_took_the_filter_along_is_not_made_again(
    stage: Managed, agent: Rounds
) -> None:
    programs = next(iter(stage.kernel.loaded.values())).generation.programs
    stage.lose_device()
    stage.kernel.elsewhere = frozenset(programs.values())
    agent.play()
    assert stage.machine.bench.link is None
    assert any("renamed or moved away" in each for each in stage.faults)
    stage.kernel.elsewhere = frozenset()
    agent.play()
    assert stage.is_up


def test_it_tells_which_document_counts_and_how_often_it_was_read(
    stage: Managed, agent: Rounds
) -> None:
    assert (stage.live.document, stage.live.readings) == (str(stage.document), 1)
    stage.document.write_text("nonsense: true\n")
    agent.read_again()
    agent.play()
    assert (stage.live.document, stage.live.readings) == (str(stage.document), 2)
    fault = stage.live.fault_of(Subject.DOCUMENT)
    assert fault is not None
    assert "nonsense" in fault.message


def test_one_that_another_tool_made_is_left_alone(stage: Managed) -> None:
    stage.machine.bench.link = Link(9, "wg0", "veth", 1500, up=True)
    with pytest.raises(NotWireguard):
        stage.rounds().start()
    assert stage.machine.bench.link == Link(9, "wg0", "veth", 1500, up=True)
