# SPDX-License-Identifier: Apache-2.0
"""A keeper whose machine is played in memory: what it takes, leaves, and says."""

import threading
from ipaddress import ip_network
from pathlib import Path

import pytest

from krait.agent import source
from krait.agent.desired import Source
from krait.agent.lookout import Sight
from krait.agent.managed.diff import (
    SetMtu,
    Stage,
)
from krait.agent.managed.endpoints import Answer, Endpoints
from krait.agent.managed.keeper import LOOK_S, Clocks, Keeper, NoIpv6, NotOurs
from krait.agent.managed.ports import Lead
from krait.agent.managed.sessions import Sessions
from krait.agent.subject import Subject
from krait.common.errors import KraitError, SystemRefused, UsageError
from krait.kernel.udp import PortInUse
from tests.patience import PATIENCE_S
from tests.unit.agent.managed.machine import DOCUMENT, FOREIGN, Machine


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def keeper(machine: Machine) -> Keeper:
    return Keeper(machine, machine.want, Endpoints(lambda: None), Sessions())


def called(endpoint: str) -> str:
    """The document, with an endpoint for the peer."""
    return DOCUMENT.replace("you: {", f'you: {{endpoint: "{endpoint}", ')


def read(folder: Path, text: str = DOCUMENT) -> Source:
    path = folder / "wg0.yaml"
    path.write_text(text)
    return source.read(path, "wg0")


def reach(keeper: Keeper, machine: Machine, now_s: float = 0.0) -> bool:
    """All stages, with a look before each; whether anything was done."""
    done = [keeper.reach(each, look(machine), now_s) for each in Stage]
    return any(done)


def look(machine: Machine) -> Sight:
    link = machine.link()
    return Sight(link.ifindex if link else None, link=link)


def test_a_device_is_made_once(keeper: Keeper, machine: Machine, tmp_path: Path) -> None:
    keeper.adopt(read(tmp_path))
    assert reach(keeper, machine)
    assert machine.bench.link
    assert machine.bench.link.up
    assert len(machine.device().peers) == 1
    assert not reach(keeper, machine)
    assert keeper.node == "me"


def test_one_that_another_tool_makes_between_look_and_make_is_left_alone(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    machine.is_taken = True
    with pytest.raises(SystemRefused, match="there is an interface wg0 already"):
        keeper.reach(Stage.SHRINK, look(machine), 0.0)
    keeper.withdraw()
    assert machine.deleted == 0
    machine.bench.link = FOREIGN
    with pytest.raises(NotOurs):
        keeper.reach(Stage.SHRINK, look(machine), 1.0)


def test_a_start_that_fails_takes_back_what_it_made(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    keeper.reach(Stage.SHRINK, look(machine), 0.0)
    keeper.withdraw()
    assert machine.deleted == 1


def test_a_document_whose_preshared_key_is_not_there_changes_nothing(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    shared = DOCUMENT.replace("you: {", "you: {preshared_key_file: /psk, ")
    with pytest.raises(UsageError, match="/psk"):
        keeper.adopt(read(tmp_path, shared.replace("10.8.0.2", "10.8.0.3")))
    assert not reach(keeper, machine)
    machine.secrets = {"/psk": b"s" * 32}
    keeper.adopt(read(tmp_path, shared))
    assert reach(keeper, machine)
    (peer,) = machine.device().peers
    assert peer.has_preshared(b"s" * 32)


class Names:
    """A resolver that knows what it is told, and no more."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.answered = threading.Event()

    def __call__(self, text: str) -> Answer:
        if text not in self.known:
            raise OSError("not known yet")
        return (self.known[text],)

    def wait(self) -> None:
        assert self.answered.wait(PATIENCE_S)
        self.answered.clear()


def test_a_changed_endpoint_moves_a_living_peer_also_where_a_name_is_known_late(
    machine: Machine, tmp_path: Path
) -> None:
    names, clocks = Names(), Clocks(lambda: 1000.0, lambda: 5000.0)
    endpoints = Endpoints(names.answered.set, names)
    keeper = Keeper(machine, machine.want, endpoints, Sessions(), clocks)

    keeper.adopt(read(tmp_path, called("192.0.2.2:1")))
    reach(keeper, machine, 0.0)
    machine.bench.hear_from("198.51.100.7:9", handshake_s=4990)
    reach(keeper, machine, LOOK_S)
    (peer,) = machine.device().peers
    assert peer.endpoint == "198.51.100.7:9"  # it roams, and lives
    keeper.adopt(read(tmp_path, called("hub.example:1")))
    reach(keeper, machine, LOOK_S + 1.0)
    names.wait()
    reach(keeper, machine, LOOK_S + 2.0)
    names.known = {"hub.example:1": "192.0.2.77:1"}
    reach(keeper, machine, LOOK_S + 20.0)
    names.wait()
    reach(keeper, machine, LOOK_S + 21.0)
    (peer,) = machine.device().peers
    assert peer.endpoint == "192.0.2.77:1"
    machine.bench.hear_from("198.51.100.7:9", handshake_s=4999)
    reach(keeper, machine, 3 * LOOK_S)
    (peer,) = machine.device().peers
    assert peer.endpoint == "198.51.100.7:9"  # called once, and it may roam again


def test_the_mtu_is_that_of_the_underlay_and_stays_as_somebody_sets_it(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path, called("192.0.2.2:1")))
    reach(keeper, machine)
    assert machine.mtu == 1320
    machine.bench.do(SetMtu(1300))
    assert not reach(keeper, machine)
    assert machine.mtu == 1300
    said = DOCUMENT.replace("mesh: {", "mesh: {mtu: 1380, ")
    keeper.adopt(read(tmp_path, said))
    assert reach(keeper, machine)
    assert machine.mtu == 1380


def test_an_mtu_that_was_guessed_gives_way_once_an_endpoint_is_known(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    assert machine.mtu == 1420
    keeper.adopt(read(tmp_path, called("192.0.2.2:1")))
    assert reach(keeper, machine)
    assert machine.mtu == 1320
    assert not reach(keeper, machine)
    machine.bench.do(SetMtu(1300))
    assert not reach(keeper, machine)


def test_after_a_restart_an_mtu_that_was_guessed_gives_way_too(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    assert machine.mtu == 1420
    begun_again = Keeper(machine, machine.want, Endpoints(lambda: None), Sessions())
    begun_again.adopt(read(tmp_path, called("192.0.2.2:1")))
    assert reach(begun_again, machine)
    assert machine.mtu == 1320


def test_a_document_whose_range_is_somebody_elses_changes_nothing(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    machine.others = {ip_network("10.50.0.0/24")}
    with pytest.raises(UsageError, match="overlaps"):
        keeper.adopt(read(tmp_path, DOCUMENT.replace("10.8.0.", "10.50.0.")))
    assert not reach(keeper, machine)
    assert ip_network("10.8.0.0/24") in machine.bench.routes[Lead.REFUSAL]


def test_an_edit_that_leads_to_an_endpoint_through_its_own_tunnel_changes_nothing(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    with pytest.raises(UsageError, match=r"the endpoint of \w+, 10.8.0.2, is in 10.8.0.2/32"):
        keeper.adopt(read(tmp_path, called("10.8.0.2:1")))
    assert not reach(keeper, machine)


def test_an_agent_that_begins_takes_a_loop_for_a_network_that_is_not_there_yet(
    keeper: Keeper, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path, called("10.8.0.2:1")))
    assert keeper.node == "me"


def test_who_comes_into_the_range_later_is_told_and_stops_nothing(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    assert not reach(keeper, machine)
    machine.others = {ip_network("10.8.0.0/24")}
    assert not reach(keeper, machine, LOOK_S)
    assert keeper.faults[Subject.RANGE] is not None
    keeper.adopt(read(tmp_path, DOCUMENT.replace("10.8.0.2", "10.8.0.3")))
    assert reach(keeper, machine, LOOK_S)
    assert not reach(keeper, machine, LOOK_S)
    machine.others = set()
    assert not reach(keeper, machine, 2 * LOOK_S)
    assert keeper.faults[Subject.RANGE] is None


def test_a_port_that_somebody_has_holds_up_nothing_else_and_is_taken_once_it_is_free(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    port = DOCUMENT.replace("mesh: {", "mesh: {listen_port: 7, ")
    keeper.adopt(read(tmp_path, port))
    reach(keeper, machine)
    machine.used = {9}
    other = port.replace("listen_port: 7", "listen_port: 9, mtu: 1300")
    keeper.adopt(read(tmp_path, other.replace("10.8.0.2", "10.8.0.3")))
    assert reach(keeper, machine)
    (peer,) = machine.device().peers
    assert "10.8.0.3/32" in map(str, peer.allowed_ips)
    assert (machine.mtu, machine.device().listen_port) == (1300, 7)
    assert isinstance(keeper.faults[Subject.PORT], PortInUse)
    assert not reach(keeper, machine)
    machine.used = set()
    assert reach(keeper, machine, LOOK_S / 2)
    assert machine.device().listen_port == 9
    assert not reach(keeper, machine)
    assert keeper.faults[Subject.PORT] is None


def test_a_port_that_the_document_gives_up_is_no_fault_any_more(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    port = DOCUMENT.replace("mesh: {", "mesh: {listen_port: 7, ")
    keeper.adopt(read(tmp_path, port))
    reach(keeper, machine)
    machine.used = {9}
    keeper.adopt(read(tmp_path, port.replace("listen_port: 7", "listen_port: 9")))
    assert not reach(keeper, machine)
    assert keeper.faults[Subject.PORT] is not None
    keeper.adopt(read(tmp_path, port))
    assert not reach(keeper, machine)
    assert keeper.faults[Subject.PORT] is None


def test_without_ipv6_the_rest_is_made_and_it_is_said(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    machine.ipv6 = False
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    assert machine.bench.link
    assert [each.version for each in machine.bench.link.addresses] == [4]
    assert {each.version for each in machine.bench.routes[Lead.REFUSAL]} == {4, 6}
    assert isinstance(keeper.faults[Subject.IPV6], NoIpv6)
    machine.ipv6 = True
    keeper.adopt(read(tmp_path))
    assert reach(keeper, machine)
    assert [each.version for each in machine.bench.link.addresses] == [4, 6]
    assert keeper.faults[Subject.IPV6] is None


def test_whatever_a_start_fails_of_the_mesh_is_fenced(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    machine.others = {ip_network("10.8.0.0/24")}
    source = read(tmp_path)
    machine.want(source)
    keeper.fence(source)
    with pytest.raises(KraitError):
        keeper.adopt(source)
    leads = machine.bench.leads()
    for lead in (Lead.REFUSAL, Lead.OWN_REFUSAL, Lead.RULE):
        assert ip_network("10.8.0.0/24") in leads[lead]
    keeper.fence(source)  # what is there already is not made again


def test_a_fence_leaves_out_what_is_behind_this_node_where_that_is_known(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    behind = "routes: 10.8.0.0/28, address: [10.8.0.1,"
    source = read(tmp_path, DOCUMENT.replace("address: [10.8.0.1,", behind))
    machine.want(source)
    keeper.fence(source)
    assert machine.bench.routes[Lead.OWN_THROW] == {ip_network("10.8.0.0/28")}
    assert ip_network("10.8.0.2/32") in machine.bench.routes[Lead.OWN_REFUSAL]


def test_a_fence_takes_no_traffic_off_a_device_that_is_up(
    keeper: Keeper, machine: Machine, tmp_path: Path
) -> None:
    keeper.adopt(read(tmp_path))
    reach(keeper, machine)
    for lead in (Lead.RULE, Lead.OWN_THROUGH):
        machine.bench.routes[lead].clear()  # of an earlier version
    keeper.fence(read(tmp_path))
    assert not machine.bench.routes[Lead.RULE]
    reach(keeper, machine, 2 * LOOK_S)
    assert machine.bench.routes[Lead.RULE]
    assert machine.bench.routes[Lead.OWN_THROUGH]
