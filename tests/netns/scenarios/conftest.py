# SPDX-License-Identifier: Apache-2.0
"""Krait on machines of a mesh, and the two things a scenario says: what passes, and what drops.

A drop is proven by counters, for silence alone has many causes: `fail` names the machines at which
packets drop and for which reason, and no counter but these may move anywhere.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from krait.agent.paths import Paths
from krait.agent.state import read_records
from krait.agent.steps import Attach
from krait.common.reason import Reason
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from krait.lab.cable import End
from krait.lab.machine import Machine, Process
from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import FlowReport, Protocol, Target, ask, serve
from tests.netns.agent.conftest import Agent, drops_on
from tests.patience import PATIENCE_S, wait_until
from tests.requirements import KINDS

CONFIG = "/run/wg/wg0.yaml"
PACKETS, PAIRS = (
    [sys.executable, "-I", "-S", str(Path(__file__).with_name(name))]
    for name in ("packets.py", "pairs.py")
)
"""Commands of the programs that send and see packets; they stand on the standard library alone."""
_SILENCE_S = 0.3  # a probe in vain; that it dropped, the counters say
_UNASKED = (Reason.MULTICAST, Reason.LINK_LOCAL, Reason.REDIRECT)
"""What a kernel sends of its own accord, whenever it likes."""


class Warden:
    """Krait on wg0 of one machine."""

    def __init__(self, machine: NamespaceMachine, kind: AttachKind) -> None:
        self.machine = machine
        self.options: list[str] = []
        """Of the agent, besides those that it needs."""
        self._kind = kind
        self._agent: Agent | None = None
        self._is_attached = False
        self._awaited = ["commit"]
        self._mark = 0

    def take(self, text: str) -> None:
        """Hand it a document; an agent is started for the first, and for the first after `kill`,
        which the dead one must not have seen.
        """
        self.machine.write(f"{CONFIG}.new", text)
        if self._agent is not None:
            self._mark, self._awaited = self._agent.mark(), ["commit"]
        self.machine.succeed(["mv", f"{CONFIG}.new", CONFIG])
        if self._agent is None:
            self._agent, self._mark, self._awaited = self._started(), 0, ["commit"]
            if not self._is_attached:
                self._awaited += [str(Attach(hook)) for hook in Hook]
            self._is_attached = True

    def wait_until_enforced(self) -> int:
        """Until the document last taken is in force; when it was, in CLOCK_MONOTONIC ns."""
        assert self._agent is not None
        commit, *others = self._awaited
        stored_ns = self._agent.wait_for(commit, after=self._mark)["stored_ns"]
        self.wait_for(*others)
        return int(stored_ns)

    def enforce(self, text: str) -> int:
        """Put a document in force; when it was, in CLOCK_MONOTONIC nanoseconds."""
        self.take(text)
        return self.wait_until_enforced()

    def kill(self) -> None:
        """End the agent as a fault would; what it put in force stays."""
        assert self._agent is not None
        self._agent.process.kill()
        self._agent.process.wait()
        self._agent = None

    def wait_for(self, *events: str) -> None:
        """Until the agent has logged them, since it took the last document."""
        assert self._agent is not None
        for event in events:
            self._agent.wait_for(event, after=self._mark)

    def _started(self) -> Agent:
        command = ["krait", "--iface", "wg0", "--config", CONFIG, "--attach", self._kind.value]
        return Agent(self.machine.spawn([*command, *self.options]))

    def drops(self) -> dict[str, int]:
        """Packets dropped so far, by reason, but for what nobody asked for."""
        every = drops_on(self.machine)
        return {why.label: count for why, count in every.items() if why not in _UNASKED}

    def counted(self, *, hushed: bool = False) -> Counter[str]:
        """Packets so far under each reason (`denied`) and each rule (`rule web`).

        Without those for multicast, which a kernel sends of its own accord, nor, unless it was
        `hushed`, its questions for routers.
        """
        unasked = {Reason.MULTICAST} if hushed else {Reason.MULTICAST, Reason.REDIRECT}
        root = Path(f"/proc/{self.machine.pid}/root")
        here = Paths(pins=root / "sys/fs/bpf/krait", state=root / "var/lib/krait")
        with closing(Generations(here.pins_of("wg0"))) as generations:
            tables = generations.open(generations.found()[-1])
            revision, drops, rules = (
                tables.in_force.revision,
                tables.drops(),
                tables.counts("rules"),
            )
        records = read_records(here.state_of("wg0"))
        (numbers,) = (each.numbers for each in records if each.revision == revision)
        names = [f"rule {name}" for name in ("default", *numbers.rules)]
        found = {name: each.packets for name, each in zip(names, rules, strict=False)}
        found |= {why.label: each.packets for why, each in drops.items() if why not in unasked}
        return Counter(found)

    def passed(self, rule: str) -> int:
        """Packets counted under a rule so far, as `krait status` tells it."""
        return int(self.status()["rules"][rule]["packets"])

    def rehearsed(self) -> dict[str, dict[str, int]]:
        """Packets by the shadow's rule and what it would have done; none left out is 0."""
        return {
            rule: {word: count["packets"] for word, count in each.items() if count["packets"]}
            for rule, each in self.status()["shadow"]["rules"].items()
        }

    def status(self) -> dict[str, Any]:
        """As `krait status --json` tells it."""
        (status,) = json.loads(self.machine.succeed("krait status wg0 --json"))["interfaces"]
        return dict(status)


class Mesh:
    """The machines of a lab, those that run Krait, and everybody's addresses by name."""

    def __init__(self, lab: Lab, kind: AttachKind) -> None:
        self.lab = lab
        self.wardens: dict[str, Warden] = {}
        self.hosts = {name: node.hosts for name, node in lab.nodes.items()}
        self._kind = kind

    def __getitem__(self, name: str) -> Machine:
        return self.lab[name]

    def wire(self, gate: str, name: str, *networks: str, mtu_bytes: int = 1500) -> None:
        """One more machine behind another, its router, which has the first address of each
        network; the interface is called after the other end.
        """
        subnets = [ip_network(network) for network in networks]
        near, far = (tuple(f"{net[n]}/{net.prefixlen}" for net in subnets) for n in (1, 2))
        machine = self.lab.add(name)
        self.lab.wire(
            End(self.lab[gate], name, near, mtu_bytes), End(machine, gate, far, mtu_bytes)
        )
        self.hosts[name] = tuple(str(net[2]) for net in subnets)
        routes = [f"ip -{net.version} route add default via {net[1]}" for net in subnets]
        machine.succeed(" && ".join(routes))

    def document(self, nodes: Mapping[str, str], rules: Sequence[str]) -> str:
        """`nodes`: the fields of each but its key and addresses; `rules`: their fields."""
        lines = ['mesh: {cidr: [10.8.0.0/24, "fd7a:6b72::/64"]}', "nodes:"]
        for name, fields in nodes.items():
            key, addresses = self.lab.public_key(name), json.dumps(self.lab.nodes[name].hosts)
            lines.append(f'  {name}: {{public_key: "{key}", address: {addresses}, {fields}}}')
        lines += ["policy:", "  rules:", *(f"    - {{{rule}}}" for rule in rules)]
        return "\n".join([*lines, ""])

    def warden(self, name: str) -> Warden:
        """Krait on a machine, which may not have it yet."""
        return self.wardens.setdefault(name, Warden(self.lab[name], self._kind))

    def enforce(self, text: str, *names: str) -> None:
        """Put one document in force on machines, whether or not they had one before."""
        wardens = [self.warden(name) for name in names]
        for warden in wardens:
            warden.take(text)
        for warden in wardens:
            warden.wait_until_enforced()

    def serve(self, name: str, *ports: int) -> Process:
        """Answer TCP and UDP on a machine."""
        return serve(self.lab[name], self.hosts[name], ports)

    def succeed(self, source: str, to: str, *probes: str) -> None:
        """Every probe is answered from all addresses of `to`; one is `icmp`, `tcp/80` or such."""
        answers = self._ask(source, to, probes, PATIENCE_S)
        assert set(answers.values()) == {"ok"}, answers

    def fail(self, source: str, to: str, *probes: str, drops: Mapping[str, str]) -> None:
        """No probe is answered from any address of `to`.

        `drops` has the reason for each machine at which packets drop: all of them there, for that
        reason and for no other. An empty one says that what drops is not Krait's doing.
        """
        before = {name: warden.drops() for name, warden in self.wardens.items()}
        answers = self._ask(source, to, probes, _SILENCE_S)
        assert "ok" not in answers.values(), answers
        least = len(answers) if drops else 0

        def have_dropped() -> bool:
            moved = self._moved(before)
            return moved.keys() == set(drops.items()) and sum(moved.values()) >= least

        wait_until(have_dropped, lambda: f"{drops} was expected; {self._moved(before)} moved")

    def _moved(self, before: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], int]:
        """By how many packets each counter of each machine went up."""
        return {
            (name, why): count - before[name].get(why, 0)
            for name, warden in self.wardens.items()
            for why, count in warden.drops().items()
            if count > before[name].get(why, 0)
        }

    def _ask(
        self, source: str, to: str, probes: Sequence[str], timeout_s: float
    ) -> dict[tuple[str, str], str]:
        tries = [(probe, address) for probe in probes for address in self.hosts[to]]
        targets = [target(probe, address) for probe, address in tries]
        answers = ask({self.lab[source]: targets}, timeout_s)[self.lab[source]]
        return {each: found.answer for each, found in zip(tries, answers, strict=True)}


def target(probe: str, address: str) -> Target:
    """`icmp`, or `tcp/80` and such, at an address."""
    protocol, _, port = probe.partition("/")
    return Target(Protocol(protocol), address, int(port or 0))


def received(report: FlowReport) -> tuple[int, int]:
    """Ticks that arrived: the server's, the client's."""
    return report.forward.received, report.backward.received


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> AttachKind:
    """The kernel's best, unless a test is marked `BOTH_KINDS`."""
    return getattr(request, "param", KINDS[0])


@pytest.fixture
def pair(kind: AttachKind) -> Iterator[Mesh]:
    """Alice and Bob, peers, who answer on TCP and UDP ports 80 and 81."""
    with Lab(full_mesh("alice", "bob")) as lab:
        mesh = Mesh(lab, kind)
        for name in lab.nodes:
            mesh.serve(name, 80, 81)
        yield mesh
