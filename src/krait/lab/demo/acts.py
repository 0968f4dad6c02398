# SPDX-License-Identifier: Apache-2.0
"""The three acts of the demo: the policy holds; it is revoked under traffic; its agents are killed.

Each returns what was seen, and whether it held. Times are CLOCK_MONOTONIC nanoseconds, which all
machines of namespaces have in common.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import unified_diff

from krait.common.errors import KraitError
from krait.common.reason import Reason
from krait.lab.demo.document import SUSPECT
from krait.lab.demo.matrix import Matrix, wrong
from krait.lab.demo.stage import Stage
from krait.lab.traffic import Flow, FlowReport, Protocol, Target

CUT_NS = 10_000_000
"""The longest that a revoked flow may still be heard after the commit."""
GAP_NS = 1_000_000_000
"""A gap that no scheduling explains: an allowed flow with one has been broken."""

_COMMIT_S = 10.0
_POLL_S = 0.00005
_SETTLE_S = 0.4
_WARM = 50  # ticks in both directions before anything is done to a flow


@dataclass(frozen=True, slots=True)
class Enforced:
    """Act 1. `open` counts the probes that came back before Krait was there."""

    open: int
    matrix: Matrix
    drops: Mapping[str, Mapping[Reason, int]]  # packets, by host

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Hosts that dropped fewer packets as denied than probes of theirs are to be denied.

        Silence alone could be anything; each denied probe is dropped where it leaves.
        """
        denied = dict.fromkeys(self.drops, 0)
        for outcome in self.matrix:
            denied[outcome.cell.source] += not outcome.decision.allow
        return tuple(
            host for host, drops in self.drops.items() if drops.get(Reason.DENIED, 0) < denied[host]
        )

    @property
    def held(self) -> bool:
        return self.open == len(self.matrix) and not self.suspects

    @property
    def suspects(self) -> tuple[str, ...]:
        """The hosts to look at: both ends of the first thing that is wrong."""
        return _ends_of_wrong(self.matrix) or self.uncounted


@dataclass(frozen=True, slots=True)
class Wire:
    """A live flow: who opened it to whom."""

    source: str
    destination: str
    protocol: Protocol
    port: int
    family: int

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Cut:
    """One direction of a revoked flow."""

    wire: Wire
    source: str
    destination: str
    after_commit_ns: int  # the last packet that its receiver read; 0 or less: none after
    late: int  # packets that arrived when it should long have been cut

    @property
    def held(self) -> bool:
        return self.after_commit_ns <= CUT_NS and not self.late


@dataclass(frozen=True, slots=True)
class Revoked:
    """Act 2. The commit is the first at either end of the flows; the rename that of the file."""

    diff: tuple[str, ...]
    rename_to_commit_ns: int
    cuts: tuple[Cut, ...]

    @property
    def held(self) -> bool:
        return all(cut.held for cut in self.cuts)

    @property
    def suspects(self) -> tuple[str, ...]:
        """The hosts to look at: both ends of the first thing that is wrong."""
        return next(((cut.source, cut.destination) for cut in self.cuts if not cut.held), ())


@dataclass(frozen=True, slots=True)
class Kept:
    """An allowed flow, and the longest silence in either direction while agents died and came."""

    wire: Wire
    gap_dead_ns: int  # up to the last look while the agents were dead
    gap_ns: int  # in all
    error: str

    @property
    def held(self) -> bool:
        return self.gap_ns < GAP_NS and not self.error


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Act 3. The matrix was taken while every agent was dead."""

    matrix: Matrix
    kept: tuple[Kept, ...]

    @property
    def held(self) -> bool:
        return not self.suspects

    @property
    def suspects(self) -> tuple[str, ...]:
        """The hosts to look at: both ends of the first thing that is wrong."""
        broken = ((kept.wire.source, kept.wire.destination) for kept in self.kept if not kept.held)
        return _ends_of_wrong(self.matrix) or next(broken, ())


Act = Enforced | Revoked | Orphaned


def perform(stage: Stage) -> Iterator[Act]:
    """The acts, one after the other; each rests on those before it."""
    yield enforce(stage)
    yield revoke(stage)
    yield orphan(stage)


def enforce(stage: Stage) -> Enforced:
    """Try every pair without Krait and with it."""
    document = stage.document()
    open_before = sum(outcome.answer == "ok" for outcome in stage.try_all(document))
    stage.replace_policy(stage.policy())
    stage.start_agents()
    matrix = stage.try_all(document)
    return Enforced(open_before, matrix, stage.drops())


def revoke(stage: Stage) -> Revoked:
    """Put a host in quarantine while it talks."""
    before, after = stage.policy(), stage.policy(quarantine=True)
    wires = (
        Wire(SUSPECT, "web2", Protocol.TCP, 8081, 4),
        Wire(SUSPECT, "web2", Protocol.UDP, 8081, 6),
    )
    with _flowing(stage, wires) as flows:
        renamed_ns, committed_ns = _commit(stage, after)
        time.sleep(_SETTLE_S)
        settled = {wire: flow.report() for wire, flow in flows.items()}
        time.sleep(_SETTLE_S)
        ended = {wire: flow.report() for wire, flow in flows.items()}
    first_ns = min(committed_ns[end] for end in (SUSPECT, "web2"))
    return Revoked(
        _changed(before, after),
        first_ns - renamed_ns,
        tuple(cut for wire in wires for cut in _cuts(wire, settled[wire], ended[wire], first_ns)),
    )


def orphan(stage: Stage) -> Orphaned:
    """Kill every agent while allowed flows run and everything is tried; then start new ones."""
    wires = (Wire("ops1", "db1", Protocol.TCP, 9000, 4), Wire("ops1", "db1", Protocol.UDP, 9000, 6))
    with _flowing(stage, wires) as flows:
        stage.kill_agents()
        matrix = stage.try_all(stage.document(quarantine=True))
        dead = {wire: _gap_ns(flow.report()) for wire, flow in flows.items()}
        stage.start_agents()
        _wait_until_warm(flows)
        ended = {wire: flow.report() for wire, flow in flows.items()}
    kept = tuple(Kept(wire, dead[wire], _gap_ns(ended[wire]), ended[wire].error) for wire in wires)
    return Orphaned(matrix, kept)


@contextmanager
def _flowing(stage: Stage, wires: tuple[Wire, ...]) -> Iterator[dict[Wire, Flow]]:
    """Live flows, each with traffic in both directions."""
    with ExitStack() as stack:
        flows = {wire: stack.enter_context(_flow(stage, wire)) for wire in wires}
        _wait_until_warm(flows)
        yield flows


def _flow(stage: Stage, wire: Wire) -> Flow:
    target = Target(wire.protocol, stage.address(wire.destination, wire.family), wire.port)
    return Flow(stage[wire.source], stage[wire.destination], target)


def _wait_until_warm(flows: Mapping[Wire, Flow]) -> None:
    """Until each direction of each flow has carried something from now on."""
    begun = {wire: _received(flow.report()) for wire, flow in flows.items()}
    deadline = time.monotonic() + _COMMIT_S
    for wire, flow in flows.items():
        while _least(_received(flow.report()), begun[wire]) < _WARM:
            if time.monotonic() > deadline:
                raise KraitError(f"{wire} from {wire.source} to {wire.destination} does not flow")
            time.sleep(0.01)


def _commit(stage: Stage, text: str) -> tuple[int, dict[str, int]]:
    """Replace the policy; when the first file was renamed, and when each host's kernel took it.

    The pinned control words are watched, so the time of a commit is that of the last look that saw
    the old revision: too early by at most one look, which makes a cut seem slower and never faster.
    """
    names = [host.name for host in stage.hosts]
    with ExitStack() as stack:
        tables = {name: stage.tables(name) for name in names}
        for each in tables.values():
            stack.callback(each.close)
        old = {name: each.in_force for name, each in tables.items()}
        committed: dict[str, int] = {}
        renamed_ns = stage.replace_policy(text)
        deadline_ns = renamed_ns + int(_COMMIT_S * 1e9)
        seen_old_ns = dict.fromkeys(names, renamed_ns)
        while len(committed) < len(names):
            for name in names:
                now_ns = time.monotonic_ns()
                if tables[name].in_force == old[name]:
                    seen_old_ns[name] = now_ns
                else:
                    committed.setdefault(name, seen_old_ns[name])
            if now_ns > deadline_ns:
                missing = ", ".join(name for name in names if name not in committed)
                raise KraitError(f"no commit within {_COMMIT_S:g} s on {missing}")
            time.sleep(_POLL_S)
    return renamed_ns, committed


def _cuts(wire: Wire, settled: FlowReport, ended: FlowReport, commit_ns: int) -> Iterator[Cut]:
    """Both directions, the opener's first."""
    ends = (wire.source, wire.destination)
    for way, then, now in (
        (ends, settled.forward, ended.forward),
        (ends[::-1], settled.backward, ended.backward),
    ):
        yield Cut(wire, *way, now.last_ns - commit_ns, now.received - then.received)


def _least(now: tuple[int, int], before: tuple[int, int]) -> int:
    return min(now[0] - before[0], now[1] - before[1])


def _ends_of_wrong(matrix: Matrix) -> tuple[str, ...]:
    return next(((each.cell.source, each.cell.destination) for each in wrong(matrix)), ())


def _received(report: FlowReport) -> tuple[int, int]:
    return report.forward.received, report.backward.received


def _gap_ns(report: FlowReport) -> int:
    return max(report.forward.longest_gap_ns, report.backward.longest_gap_ns)


def _changed(before: str, after: str) -> tuple[str, ...]:
    """The lines that differ, with + or - before them."""
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))
