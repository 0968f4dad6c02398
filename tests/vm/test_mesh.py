# SPDX-License-Identifier: Apache-2.0
"""Three machines on a segment, each with a kernel of its own: the verbs and the words of the netns
tier's scenarios, and what only machines with power and kernels of their own can show.

Alice and Carol run Linux 6.12, where Krait attaches by TCX, Bob 6.1, where it is a clsact filter.
"""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.machine import CommandFailed, Machine
from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import Flow
from krait.lab.virtual.kernels import Kernel
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.qemu import Board
from tests.netns.agent.conftest import Agent
from tests.netns.flows import is_silent
from tests.netns.scenarios.conftest import Mesh, Warden, received, target
from tests.patience import wait_until
from tests.vm.bulk import BULK_PORT, throughput_mbit_s
from tests.vm.conftest import KIND, Figures, booted

RUNS = {"alice": "6.12", "bob": "6.1", "carol": "6.12"}
NODES = {name: f"tags: [{name[0]}]" for name in RUNS}
ADDRESSES = {"alice": "10.8.0.1", "bob": "10.8.0.2"}

PING = 'name: ping, from: "*", to: "*", ports: icmp'
WEB = f"name: web, from: a, to: b, ports: [tcp/80, udp/80, tcp/{BULK_PORT}]"
LIVE = "name: live, from: a, to: b, ports: [tcp/90, udp/90]"
BACK = "name: back, from: b, to: a, ports: [tcp/91, udp/91]"
CAROL = "name: carol, from: c, to: b, ports: tcp/81"

# Asked often, and to start Python is slow there: a line of JSON for each SIGUSR1.
_DROPS = """
import json
import signal
from itertools import count
from krait.agent.inspect import inspect
from krait.agent.paths import Paths
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
for number in count(1):
    signal.sigwait({signal.SIGUSR1})
    drops = inspect("wg0", Paths()).tables.drops
    drops = {reason.label: count.packets for reason, count in drops.items()}
    print(json.dumps({"report": number, "drops": drops}), flush=True)
"""
_UNASKED = {"multicast", "link-local", "redirect"}


class GuestAgent(Agent):
    """An agent in a guest, which is waited for longer."""

    def wait_for(self, event: str, *, after: int = 0) -> dict[str, Any]:
        for _ in range(9):
            with suppress(CommandFailed):
                return super().wait_for(event, after=after)
        return super().wait_for(event, after=after)


class GuestWarden(Warden):
    """Krait in a guest, whose tables are read from inside."""

    def __init__(self, machine: NamespaceMachine, kind: AttachKind) -> None:
        super().__init__(machine, kind)
        self._reader = machine.spawn(["python", "-c", _DROPS])
        self._reports = 0

    def _started(self) -> Agent:
        return GuestAgent(super()._started().process)

    def drops(self) -> dict[str, int]:
        self._reports += 1
        self._reader.wait_for_output("ready")
        self._reader.kill(signal.SIGUSR1)
        told = self._reader.wait_for_line(f'{{"report": {self._reports},')
        every = json.loads(told)["drops"]
        return {why: count for why, count in every.items() if why not in _UNASKED}


class GuestMesh(Mesh):
    """A mesh of guests, each with its kernel's way to attach."""

    def warden(self, name: str) -> GuestWarden:
        found = self.wardens.setdefault(name, GuestWarden(self.lab[name], KIND[RUNS[name]]))
        assert isinstance(found, GuestWarden)
        return found


@pytest.fixture(scope="module")
def mesh(kernels: Mapping[str, Kernel], figures: Figures) -> Iterator[GuestMesh]:
    """Everybody a peer of everybody; Bob answers on TCP and UDP ports 80 and 81."""
    machines = {
        name: VirtualMachine(name, kernels[series], board=Board(memory_mib=384), report=figures)
        for name, series in RUNS.items()
    }
    with (
        booted(machines, figures),
        Lab(full_mesh(*RUNS), make=machines.__getitem__, report=figures) as lab,
    ):
        mesh = GuestMesh(lab, KIND["6.12"])
        mesh.serve("bob", 80, 81)
        yield mesh


def test_one_policy_on_three_machines_from_boot_to_crash(mesh: GuestMesh, figures: Figures) -> None:
    lab = mesh.lab
    everyone = tuple(RUNS)
    policy = mesh.document(NODES, [PING, WEB, LIVE, BACK, CAROL])

    with lab.subtest("the kernel's WireGuard is configured, and every handshake was made"):
        assert not lab.userspace
        for name, node in lab.nodes.items():
            addresses = lab[name].succeed("ip -brief address show dev wg0")
            assert all(str(address) in addresses for address in node.addresses)
            handshakes = lab[name].succeed("wg show wg0 latest-handshakes").split()[1::2]
            assert len(handshakes) == len(node.peers)
            assert "0" not in handshakes

    with lab.subtest("the policy is in force, both ways, at each end"):
        mesh.enforce(policy, *everyone)
        for source, to in (("alice", "bob"), ("bob", "alice"), ("carol", "bob"), ("bob", "carol")):
            mesh.succeed(source, to, "icmp")
        mesh.succeed("alice", "bob", "tcp/80", "udp/80")
        mesh.fail("bob", "alice", "tcp/80", drops={"bob": "denied"})
        mesh.fail("carol", "bob", "tcp/80", "udp/80", drops={"carol": "denied"})

    with lab.subtest("throughput"):
        mbit_s = throughput_mbit_s(lab["alice"], lab["bob"], ADDRESSES["bob"])
        figures(f"alice to bob, policy on both: {mbit_s:.1f} Mbit/s of TCP")

    with lab.subtest("without its agent a machine enforces on, and the next one takes over"):
        mesh.warden("bob").kill()
        mesh.succeed("carol", "bob", "tcp/81")
        mesh.fail("bob", "carol", "tcp/80", drops={"bob": "denied"})
        mesh.warden("bob").enforce(mesh.document(NODES, [PING, WEB, LIVE, BACK]))
        mesh.fail("carol", "bob", "tcp/81", drops={"bob": "denied"})
        mesh.warden("bob").enforce(policy)
        mesh.succeed("carol", "bob", "tcp/81")

    with lab.subtest("a machine whose power is cut comes back"):
        lab["carol"].crash()
        del mesh.wardens["carol"]
        started_s = time.monotonic()
        lab.restart("carol")
        mesh.enforce(policy, "carol")
        figures(f"carol, from power to a policy in force: {time.monotonic() - started_s:.1f} s")
        mesh.succeed("carol", "bob", "icmp", "tcp/81")
        mesh.fail("carol", "bob", "tcp/80", drops={"carol": "denied"})

    with lab.subtest("without its cable a machine is alone, with it as before"):
        lab["alice"].block()
        mesh.fail("alice", "bob", "icmp", "tcp/80", drops={})
        lab["alice"].unblock()
        mesh.succeed("alice", "bob", "icmp", "tcp/80")

    # The last, for TCP whose packets are dropped on their way out tries again twice a second.
    with (
        lab.subtest("a revocation cuts live flows at once, whoever opened them"),
        ExitStack() as stack,
    ):
        flows = {
            opener: [stack.enter_context(live(mesh, opener, probe)) for probe in probes]
            for opener, probes in (("alice", ["tcp/90", "udp/90"]), ("bob", ["tcp/91", "udp/91"]))
        }
        warden = mesh.warden("alice")
        stored_ns = warden.enforce(mesh.document(NODES, [PING, WEB, CAROL]))
        at_bob_ns = monotonic_ns(mesh["bob"])
        for opener, flow in ((opener, flow) for opener, two in flows.items() for flow in two):
            wait_until(partial(is_silent, flow, 50), flow.report)  # what was on its way has come
            ways = flow.report().forward, flow.report().backward
            by_alice, by_bob = ways if opener == "alice" else reversed(ways)
            assert by_alice.last_sent_ns <= stored_ns
            assert by_bob.last_sent_ns <= at_bob_ns
        assert warden.drops().keys() == {"denied"}


def monotonic_ns(machine: Machine) -> int:
    """CLOCK_MONOTONIC of a guest that never slept, up to a hundredth of a second ahead."""
    uptime_s = machine.succeed("cut -d ' ' -f 1 /proc/uptime").strip()
    return int(uptime_s.replace(".", "") + "0" * 7) + 10**7


def live(mesh: GuestMesh, opener: str, probe: str) -> Flow:
    """A flow between Alice and Bob that has carried ticks both ways."""
    other = "bob" if opener == "alice" else "alice"
    to = target(probe, ADDRESSES[other])
    flow = Flow(mesh[opener], mesh[other], to, interval_s=0.02)
    wait_until(lambda: min(received(flow.report())) > 10, flow.report)
    return flow
