# SPDX-License-Identifier: Apache-2.0
"""The stage of the demo: four hosts in a full WireGuard mesh, one policy file, an agent on each.

What the kernel enforces is read from the maps that the agents pinned, never from what an agent
says of itself.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from krait.agent.ourselves import ourselves
from krait.agent.paths import Paths
from krait.agent.state import read_live
from krait.common.errors import KraitError
from krait.common.reason import Reason
from krait.kernel.datapath import Datapath
from krait.kernel.filter import supported_kind
from krait.kernel.generations import Generations
from krait.kernel.seat import AttachKind
from krait.lab.demo.document import TAGS, write
from krait.lab.demo.matrix import FAMILIES, PROBES, Cell, Matrix, cells, compare, expect
from krait.lab.machine import (
    TIMEOUT_S,
    Machine,
    Outcome,
    Process,
    Report,
    patient,
    silent,
    unhurried,
)
from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import SILENCE_S, Answer, Target, ask, serve
from krait.policy.document import load
from krait.policy.model import Document

INTERFACE = "wg0"
POLICY = "/run/demo/krait.yaml"  # not in /etc, which a machine has in common with the host
_READY_S = patient(45.0)  # the verifier may take seconds on a busy machine
_POLL_S = unhurried(0.02, 0.5)


class NotReady(KraitError):
    """An agent did not get as far as enforcing the policy."""


@dataclass(frozen=True, slots=True)
class Host:
    """One of the four, as it is reached from outside."""

    name: str
    pid: int  # of its first process

    @property
    def prefix(self) -> tuple[str, ...]:
        """The command that runs another one in it."""
        return ("nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p")


class Stage:
    """A context manager; leaving it ends all machines, unless `keep` was called."""

    def __init__(self, kind: AttachKind | None = None, *, report: Report = silent) -> None:
        """`kind` is how agents attach, None the kernel's best; `report` gets a line a step."""
        self._kind = kind
        self._report = report
        self._lab = Lab(full_mesh(*TAGS), report=report)
        self._agents: dict[str, Process] = {}

    def __enter__(self) -> Self:
        self._lab.__enter__()
        try:
            ports = sorted({probe.port for probe in PROBES if probe.port})
            for name in TAGS:
                serve(self._lab[name], self._lab.nodes[name].hosts, ports)
        except BaseException:
            self._lab.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lab.close()

    def __getitem__(self, name: str) -> NamespaceMachine:
        return self._lab[name]

    @property
    def userspace(self) -> bool:
        """Whether WireGuard is wireguard-go."""
        return self._lab.userspace

    @property
    def kind(self) -> AttachKind:
        """How the agents attach."""
        return self._kind or supported_kind()

    @property
    def hosts(self) -> tuple[Host, ...]:
        """In the order of the document."""
        return tuple(Host(name, self[name].init_pid) for name in TAGS)

    def address(self, name: str, family: int) -> str:
        """A host's mesh address; `family` is 4 or 6."""
        return self._lab.nodes[name].hosts[FAMILIES.index(family)]

    def policy(self, *, quarantine: bool = False) -> str:
        """The text of the policy file."""
        keys = {name: self._lab.public_key(name) for name in TAGS}
        return write(keys, quarantine=quarantine)

    def document(self, *, quarantine: bool = False) -> Document:
        """The policy file as Krait reads it."""
        return load(self.policy(quarantine=quarantine).encode(), POLICY)

    def replace_policy(self, text: str) -> int:
        """Put a new policy file on every host; when the first was renamed, in monotonic ns."""
        places = [_root(machine) / POLICY.lstrip("/") for machine in self._lab.machines.values()]
        fresh = [place.with_suffix(".new") for place in places]
        for path in fresh:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(text)
        started_ns = time.monotonic_ns()
        for path, place in zip(fresh, places, strict=True):
            path.rename(place)
        return started_ns

    def start_agents(self) -> None:
        """An agent on every host; returns when all of them enforce. Raises NotReady."""
        options = ["--config", POLICY, "--attach", self.kind.value]
        command = [*ourselves(), "agent", "--iface", INTERFACE, *options]
        self._report("an agent starts on every host")
        since_s = time.time()
        self._agents = {name: self[name].spawn(command) for name in TAGS}
        deadline = time.monotonic() + _READY_S
        for name in TAGS:
            while not self._enforces(name, since_s):
                ended = not self._agents[name].is_running()
                if ended or time.monotonic() > deadline:
                    raise NotReady(_not_ready(name, self._agents[name], ended=ended))
                time.sleep(_POLL_S)

    def kill_agents(self) -> None:
        """SIGKILL, to all of them."""
        for agent in self._agents.values():
            agent.kill()
        for agent in self._agents.values():
            agent.wait()

    def tables(self, name: str) -> Datapath:
        """What a host's packets are judged by; the caller closes it. Raises NotReady."""
        generations = Generations(_paths(self[name]).pins_of(INTERFACE))
        if not (found := generations.found()):
            raise NotReady(f"{name}: no filter is pinned")
        return generations.open(found[-1])

    def drops(self) -> dict[str, dict[Reason, int]]:
        """Dropped packets by reason, for each host that has a filter."""
        return {name: drops for name in TAGS if (drops := self._drops(name)) is not None}

    def try_all(self, document: Document, *, silence_s: float = SILENCE_S) -> Matrix:
        """Send every probe between every two hosts, and hold the answers against the document.

        What should answer is waited for; what should not is listened for a while.
        """
        expected = expect(document, cells(tuple(TAGS)))
        allowed = [cell for cell, decision in expected.items() if decision.allows]
        denied = [cell for cell, decision in expected.items() if not decision.allows]
        self._report(f"{len(expected)} probes: TCP, UDP and ICMP, IPv4 and IPv6, every pair")
        return compare(expected, self._ask(allowed, TIMEOUT_S) | self._ask(denied, silence_s))

    def count_open(self) -> int:
        """How many of these probes are answered, when none should be denied."""
        every = cells(tuple(TAGS))
        self._report(f"{len(every)} probes with nothing in their way")
        return sum(answer.ok for answer in self._ask(every, TIMEOUT_S).values())

    def status(self, name: str) -> Outcome:
        """`krait status` on a host."""
        return self[name].run([*ourselves(), "status", INTERFACE])

    def keep(self) -> int:
        """Leave everything up when the stage is left; the PID whose end takes it down."""
        return self._lab.keep()

    def _drops(self, name: str) -> dict[Reason, int] | None:
        try:
            tables = self.tables(name)
        except NotReady:
            return None
        with closing(tables):
            return {reason: count.packets for reason, count in tables.drops().items()}

    def _ask(self, asked: Sequence[Cell], timeout_s: float) -> dict[Cell, Answer]:
        by_host: dict[Machine, list[Cell]] = {}
        for cell in asked:
            by_host.setdefault(self[cell.source], []).append(cell)
        questions = {host: [self._target(cell) for cell in some] for host, some in by_host.items()}
        return {
            cell: answer
            for host, answers in ask(questions, timeout_s).items()
            for cell, answer in zip(by_host[host], answers, strict=True)
        }

    def _target(self, cell: Cell) -> Target:
        probe = cell.probe
        return Target(probe.protocol, self.address(cell.destination, cell.family), probe.port)

    def _enforces(self, name: str, since_s: float) -> bool:
        """By word of an agent that started later than `since_s`, a wall clock's."""
        live = read_live(_paths(self[name]).live_of(INTERFACE))
        return live is not None and live.enforcing and live.since_s >= since_s


def _root(machine: NamespaceMachine) -> Path:
    return Path(f"/proc/{machine.pid}/root")


def _paths(machine: NamespaceMachine) -> Paths:
    """An agent's folders in a machine, as seen from outside."""
    root, default = _root(machine), Paths()
    return Paths(
        pins=root / default.pins.relative_to("/"),
        state=root / default.state.relative_to("/"),
        run=root / default.run.relative_to("/"),
    )


def _not_ready(name: str, agent: Process, *, ended: bool) -> str:
    what = "ended" if ended else "enforces nothing yet"
    return f"the agent of {name} {what}: {agent.stderr.strip() or agent.stdout.strip()}"
