# SPDX-License-Identifier: Apache-2.0
"""The three acts of the demo: the policy holds; it is revoked under traffic; its agents are killed.

Each returns what was found; whether it held is the finding's to say.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from difflib import unified_diff

from krait.common.errors import KraitError
from krait.lab.demo.document import SUSPECT
from krait.lab.demo.findings import Act, Cut, Enforced, Kept, Orphaned, Revoked, Wire
from krait.lab.demo.stage import Stage
from krait.lab.machine import patient, unhurried
from krait.lab.traffic import Flow, FlowReport, Protocol, Target

_WAIT_S = patient(20.0)
_LOOK_S = unhurried(0.00005, 0.005)
_WATCH_S = patient(0.8)  # how long a revoked flow is given to be heard again
_WARM = 50  # ticks that make a flow alive


def perform(stage: Stage) -> Iterator[Act]:
    """The acts, one after the other; each rests on those before it."""
    yield enforce(stage)
    yield revoke(stage)
    yield orphan(stage)


def enforce(stage: Stage) -> Enforced:
    """Try every pair without Krait and with it."""
    document = stage.document()
    open_before = stage.count_open()
    stage.replace_policy(stage.policy())
    stage.start_agents()
    matrix = stage.try_all(document)
    return Enforced(open_before, matrix, stage.drops())


def revoke(stage: Stage) -> Revoked:
    """Put a host in quarantine while it talks to another, and a third to that one."""
    before, after = stage.policy(), stage.policy(quarantine=True)
    revoked = (
        Wire(SUSPECT, "web2", Protocol.TCP, 8081, 4),
        Wire(SUSPECT, "web2", Protocol.UDP, 8081, 6),
    )
    allowed = Wire("ops1", "web2", Protocol.UDP, 8082, 4)
    with _flowing(stage, (*revoked, allowed)) as flows:
        renamed_ns, commits = _commit(stage, after)
        time.sleep(_WATCH_S)
        reports = {wire: flows[wire].report() for wire in revoked}
        kept = _kept(allowed, flows[allowed])
    first = min((commits[end] for end in (SUSPECT, "web2")), key=lambda each: each.latest_ns)
    cuts = (cut for wire in revoked for cut in _cuts(wire, reports[wire], first))
    return Revoked(_changed(before, after), first.latest_ns - renamed_ns, tuple(cuts), kept)


def orphan(stage: Stage) -> Orphaned:
    """Kill every agent while allowed flows run and everything is tried; then start new ones."""
    wires = (Wire("ops1", "db1", Protocol.TCP, 9000, 4), Wire("ops1", "db1", Protocol.UDP, 9000, 6))
    with _flowing(stage, wires) as flows:
        stage.kill_agents()
        matrix = stage.try_all(stage.document(quarantine=True))
        orphaned = {wire: _kept(wire, flow) for wire, flow in flows.items()}
        stage.start_agents()
        adopted = {wire: _kept(wire, flow) for wire, flow in flows.items()}
    return Orphaned(matrix, tuple(_worse(orphaned[wire], adopted[wire]) for wire in wires))


@contextmanager
def _flowing(stage: Stage, wires: tuple[Wire, ...]) -> Iterator[dict[Wire, Flow]]:
    """Live flows, each with traffic in both directions."""
    with ExitStack() as stack:
        flows = {wire: stack.enter_context(_flow(stage, wire)) for wire in wires}
        for wire, flow in flows.items():
            if not _carries(flow):
                raise KraitError(f"{wire} from {wire.source} to {wire.destination} does not flow")
        yield flows


def _flow(stage: Stage, wire: Wire) -> Flow:
    target = Target(wire.protocol, stage.address(wire.destination, wire.family), wire.port)
    return Flow(stage[wire.source], stage[wire.destination], target)


def _carries(flow: Flow) -> bool:
    """Whether both directions carry something from now on, within a time that is long enough."""
    begun = flow.report()
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        now = flow.report()
        forward = now.forward.received - begun.forward.received
        if min(forward, now.backward.received - begun.backward.received) >= _WARM:
            return True
        time.sleep(0.01)
    return False


def _kept(wire: Wire, flow: Flow) -> Kept:
    """The account of a flow that should be whole, once it has shown that it is."""
    silent = "" if _carries(flow) else "silent"
    report = flow.report()
    gap_ns = max(report.forward.longest_gap_ns, report.backward.longest_gap_ns)
    return Kept(wire, gap_ns, report.error or silent)


def _worse(before: Kept, after: Kept) -> Kept:
    """The account of both; a gap is the longest since the flow began."""
    return before if before.fault else after


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


def _cuts(wire: Wire, report: FlowReport, commit: _Commit) -> Iterator[Cut]:
    """Both directions, the opener's first."""
    ends = (wire.source, wire.destination)
    for way, heard in ((ends, report.forward), (ends[::-1], report.backward)):
        yield Cut(
            wire,
            *way,
            sent_after_ns=heard.last_sent_ns - commit.latest_ns,
            heard_after_ns=heard.last_ns - commit.earliest_ns,
            in_vain=heard.sent - heard.received,
        )


def _changed(before: str, after: str) -> tuple[str, ...]:
    """The lines that differ, with + or - before them."""
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))
