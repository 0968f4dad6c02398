# SPDX-License-Identifier: Apache-2.0
"""What a large mesh costs the agent and `krait check`: curves, and a whole agent with its peers.

`python -m bench.scale >>bench/RESULTS.md`. The curves are of one process, each step the least of
some rounds by the wall clock. The agent is a process of its own in a machine of namespaces with
wireguard-go, and its figures are medians.
"""

import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench import document
from bench.agent import Host, LivingAgent, host
from bench.filter import processor
from krait.agent.desired import Desired, Source, desire
from krait.kernel.datapath import Datapath
from krait.policy.capacity import SMALLEST
from krait.policy.compile import compile_policy
from krait.policy.document import load
from krait.policy.image import draw
from krait.policy.model import Document
from krait.policy.numbering import Numbers
from krait.policy.reread import reread
from krait.policy.view import resolve

NODES = (10, 100, 1_000, 10_000)
RULES = (100, 1_000, 10_000, 100_000)
FEW_RULES, FEW_NODES = 100, 100
ROUNDS = 5
CHANGES = 9
IDLE_S = 60.0
PAUSE_S = 2.0

T = TypeVar("T")


def least_ms(work: Callable[[], T], rounds: int = ROUNDS) -> tuple[T, float]:
    """What it gave, and the least of its times."""
    times = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began_s)
    return result, min(times) * 1e3


def steps(nodes: int) -> Iterator[float]:
    """From a document to a slot, and from an edited one to the other: milliseconds each."""
    data, interface = document.text(nodes, FEW_RULES).encode(), document.interface(nodes)
    known, load_ms = least_ms(lambda: load(data, "mesh"))
    view, resolve_ms = least_ms(lambda: resolve(known, interface))
    _, compile_ms = least_ms(lambda: compile_policy(known, view))
    first = desire(_source(known, data), interface, Numbers())
    capacity = SMALLEST.grown(first.need)
    image, draw_ms = least_ms(lambda: draw(first.compiled, capacity, {}))
    yield from (load_ms, resolve_ms, compile_ms, draw_ms)

    old, new = document.node(nodes // 2), document.node(nodes // 2, tag=nodes // 2 + 1)
    edited = data.replace(old.encode(), new.encode())
    again, reread_ms = least_ms(lambda: reread(known, data, edited))
    if again is None:
        raise SystemExit("the edited document was not read in part")
    source, numbers = _source(again, edited), first.compiled.numbers

    def follow() -> Desired:
        return desire(source, interface, numbers, before=first)

    second, desire_ms = least_ms(follow)
    delta = draw(second.compiled, capacity, image.lists)
    datapath = Datapath.load(capacity)
    try:
        write = _timed(lambda: datapath.write(0, image, known=None, held={}))
        datapath.commit(0, 1)
        datapath.write(1, image, known=None, held=image.lists)
        change = _timed(lambda: datapath.write(1, delta, known=image, held=image.lists))
    finally:
        datapath.close()
    yield from (write, reread_ms, desire_ms, change)


def checks(rules: int) -> Iterator[float]:
    """`krait check` of a document of so many rules: seconds, and MiB at the most."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(document.text(FEW_NODES, rules))
        _, least = least_ms(lambda: _run(["krait", "check", str(path)]), 3)
        yield least / 1e3
        # That of the largest child so far: the documents grow, and this process is small as yet.
        yield resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def agent(nodes: int) -> Iterator[tuple[str, str]]:
    """One agent from its start to its end."""
    with host(nodes, FEW_RULES) as machine:
        machine.make_interface()
        living = LivingAgent.drop_in(machine)
        yield "from its start to the first commit", f"{living.store_s:.2f} s"
        yield "from its start to both hooks attached", f"{living.enforced_s:.2f} s"
        yield from _changes(machine, living)
        yield from _idle(machine, living)
        living.end()


def _changes(machine: Host, living: LivingAgent) -> Iterator[tuple[str, str]]:
    node = machine.nodes // 2
    own, more = f"{document.address(node)}/32", "192.0.2.1/32"
    allowed = cycle((f"{own},{more}", own))

    def median(change: Callable[[int], int], *, look: bool = False) -> str:
        took_ms = []
        for number in range(CHANGES):
            # What follows a commit is over, and the next look may be near or far.
            time.sleep(PAUSE_S + number / CHANGES)
            done_ns = change(number)
            if look:
                living.look()
            took_ms.append((living.stored_ns() - done_ns) / 1e6)
        return f"{statistics.median(took_ms):.0f} ms ({min(took_ms):.0f} to {max(took_ms):.0f})"

    def retag(number: int) -> int:
        return machine.retag(node, node + number + 1)

    def allow(_: int) -> int:
        return machine.allow(node, next(allowed))

    yield "one node's tags, from the close of the file to the store", median(retag)
    yield (
        "one peer's allowed IPs, from the end of `wg set` and a look at once to the store",
        median(allow, look=True),
    )
    yield "the same, until the agent looks by itself (every second)", median(allow)
    yield (
        "a node more at the end of the nodes, from the close of the file to the store",
        median(lambda number: machine.add(machine.nodes + number)),
    )
    yield (
        "a node more at their beginning, which moves all lines",
        median(lambda number: machine.add(2 * machine.nodes + number, first=True)),
    )


def _idle(machine: Host, living: LivingAgent) -> Iterator[tuple[str, str]]:
    time.sleep(PAUSE_S)
    wireguard = machine.pid_of(b"wireguard-go\0-f")
    before = [machine.usage(pid).cpu_s for pid in (living.pid, wireguard)]
    time.sleep(IDLE_S)
    after = [machine.usage(pid).cpu_s for pid in (living.pid, wireguard)]
    spent, answering = (now - then for now, then in zip(after, before, strict=True))
    usage = machine.usage(living.pid)
    yield "CPU of an idle minute, with a look a second", f"{spent:.2f} s"
    yield "CPU of wireguard-go in that minute, to answer", f"{answering:.2f} s"
    yield "resident memory", f"{usage.resident_mib:.0f} MiB"
    yield "resident memory at its most", f"{usage.peak_mib:.0f} MiB"


def _source(read: Document, data: bytes) -> Source:
    return Source(read, "mesh", str(len(data)), data)


def _timed(work: Callable[[], object]) -> float:
    return least_ms(work, 1)[1]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def main() -> None:
    print("## Scale\n")
    is_first = os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
    load = f"load {os.getloadavg()[0]:.0f} at the start{', run before the others' * is_first}"
    print(
        f"Printed by `python -m bench.scale` on {datetime.now(UTC):%Y-%m-%d}: Linux "
        f"{platform.release().split('-')[0]}, {processor()}, {os.cpu_count()} CPUs,\n{load}.\n"
    )
    print(f"### By rules\n\n`krait check`, a process of its own; {FEW_NODES} nodes.\n")
    rows = ((n, *checks(n)) for n in RULES)
    table(
        ("rules", "seconds", "MiB at the most"),
        ((f"{n:,}", f"{s:.2f}", f"{mib:.0f}") for n, s, mib in rows),
    )
    print(
        f"### By nodes\n\nMilliseconds, the least of {ROUNDS} rounds (a write: of one); "
        f"{FEW_RULES} rules. `again`: after one node's\ntags changed in the file.\n"
    )
    first = ("read", "resolve", "compile", "lay out", "write")
    again = ("read again", "desire again", "write again")
    table(("nodes", *first, *again), ((f"{n:,}", *(f"{ms:.1f}" for ms in steps(n))) for n in NODES))
    print(
        f"### An agent with {max(NODES) - 1:,} peers\n\n"
        f"A whole process, and wireguard-go; {FEW_RULES} rules. Changes: the median of {CHANGES} "
        "(least to most). Its state is on a tmpfs:\na disk adds an fsync to each commit.\n"
    )
    table(("", "measured"), agent(max(NODES)))


if __name__ == "__main__":
    main()
