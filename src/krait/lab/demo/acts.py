# SPDX-License-Identifier: Apache-2.0
"""The three acts of the demo: the policy holds; it is revoked under traffic; its agents are killed.

Each returns what was seen, and whether it held. Times are CLOCK_MONOTONIC nanoseconds, which all
machines of namespaces have in common.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from difflib import unified_diff

from krait.common.errors import KraitError
from krait.common.reason import Reason
from krait.lab.demo.document import SUSPECT
from krait.lab.demo.matrix import Matrix, wrong
from krait.lab.demo.stage import Stage
from krait.lab.traffic import Flow, FlowReport, Protocol, Target

CUT_NS = 10_000_000
"""The longest that a revoked flow may still be heard after the commit, on a machine at leisure."""
GAP_NS = 1_000_000_000
"""A gap that no scheduling explains: an allowed flow with one has been broken."""

_WAIT_S = 10.0
_LOOK_S = 0.00005
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
        denied = Counter(each.cell.source for each in self.matrix if not each.decision.allow)
        return tuple(
            host
            for host, probes in denied.items()
            if self.drops.get(host, {}).get(Reason.DENIED, 0) < probes
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
    slack_ns: int  # by how much a busy machine may have made that late; see `revoke`
    late: int  # packets that arrived when it should long have been cut
    in_vain: int  # packets that were sent and never arrived: its sender did not stop by itself

    @property
    def held(self) -> bool:
        in_time = self.after_commit_ns <= CUT_NS + self.slack_ns
        return in_time and not self.late and self.in_vain > 0


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
    """Put a host in quarantine while it talks.

    A receiver that the machine keeps waiting reads late what arrived in time: by as much as the
    longest gap while the flow was allowed. So does a look at the control word that comes late.
    """
    before, after = stage.policy(), stage.policy(quarantine=True)
    wires = (
        Wire(SUSPECT, "web2", Protocol.TCP, 8081, 4),
        Wire(SUSPECT, "web2", Protocol.UDP, 8081, 6),
    )
    with _flowing(stage, wires) as flows:
        renamed_ns, commits = _commit(stage, after)
        time.sleep(_SETTLE_S)
        settled = {wire: flow.report() for wire, flow in flows.items()}
        time.sleep(_SETTLE_S)
        ended = {wire: flow.report() for wire, flow in flows.items()}
    first = min((commits[end] for end in (SUSPECT, "web2")), key=lambda each: each.earliest_ns)
    cuts = (cut for wire in wires for cut in _cuts(wire, settled[wire], ended[wire], first))
    return Revoked(_changed(before, after), first.earliest_ns - renamed_ns, tuple(cuts))


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
    deadline = time.monotonic() + _WAIT_S
    for wire, flow in flows.items():
        while _least(_received(flow.report()), begun[wire]) < _WARM:
            if time.monotonic() > deadline:
                raise KraitError(f"{wire} from {wire.source} to {wire.destination} does not flow")
            time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class _Commit:
    """Between two looks at a control word: the last that saw the old one, and the next."""

    earliest_ns: int
    latest_ns: int


def _commit(stage: Stage, text: str) -> tuple[int, dict[str, _Commit]]:
    """Replace the policy; when the first file was renamed, and when each host's kernel took it."""
    names = [host.name for host in stage.hosts]
    with ExitStack() as stack:
        tables = {name: stack.enter_context(closing(stage.tables(name))) for name in names}
        old = {name: each.in_force for name, each in tables.items()}
        renamed_ns = stage.replace_policy(text)
        looked_ns = dict.fromkeys(names, renamed_ns)
        commits: dict[str, _Commit] = {}
        while missing := [name for name in names if name not in commits]:
            if time.monotonic_ns() > renamed_ns + _WAIT_S * 1e9:
                raise KraitError(f"no commit within {_WAIT_S:g} s on {', '.join(missing)}")
            for name in missing:
                now_ns = time.monotonic_ns()
                if tables[name].in_force == old[name]:
                    looked_ns[name] = now_ns
                else:
                    commits[name] = _Commit(looked_ns[name], time.monotonic_ns())
            time.sleep(_LOOK_S)
    return renamed_ns, commits


def _cuts(wire: Wire, settled: FlowReport, ended: FlowReport, commit: _Commit) -> Iterator[Cut]:
    """Both directions, the opener's first."""
    ends = (wire.source, wire.destination)
    for way, then, now in (
        (ends, settled.forward, ended.forward),
        (ends[::-1], settled.backward, ended.backward),
    ):
        yield Cut(
            wire,
            *way,
            after_commit_ns=now.last_ns - commit.earliest_ns,
            slack_ns=now.longest_gap_ns + commit.latest_ns - commit.earliest_ns,
            late=now.received - then.received,
            in_vain=now.sent - now.received,
        )


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
