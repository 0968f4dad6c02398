# SPDX-License-Identifier: Apache-2.0
"""What `krait up` costs in a mesh of 10,000: the command, the agent it leaves, and changes.

`python -m bench.up >>bench/RESULTS.md`. In a machine of namespaces, with wireguard-go beneath.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from bench.agent import LivingAgent, host
from bench.filter import processor
from bench.scale import CHANGES, FEW_RULES, IDLE_S, PAUSE_S, table

NODES = (10, 100, 1_000, 10_000)


def start(nodes: int) -> Iterator[float]:
    """Seconds from the command's start: to the commit, to both hooks attached, to its end."""
    with host(nodes, FEW_RULES) as machine:
        began_s = time.monotonic()
        agent = LivingAgent.up(machine)
        agent.wait()
        ended_s = time.monotonic() - began_s
        yield from (agent.store_s, agent.enforced_s, ended_s)
        yield machine.usage(agent.pid).peak_mib
        agent.end()


def life(nodes: int) -> Iterator[tuple[str, str]]:
    """Of one agent: changes, and an idle minute."""
    with host(nodes, FEW_RULES) as machine:
        agent = LivingAgent.up(machine)
        agent.wait()
        middle = nodes // 2
        yield (
            "one node's tags, from the close of the file to the store",
            _changes(agent, lambda number: machine.retag(middle, middle + number + 1)),
        )
        yield (
            "one peer more, from the close of the file to the store",
            _changes(agent, lambda number: machine.add(nodes + number)),
        )
        time.sleep(PAUSE_S)
        before_s = machine.usage(agent.pid).cpu_s
        time.sleep(IDLE_S)
        usage = machine.usage(agent.pid)
        yield "CPU of an idle minute, with a look a second", f"{usage.cpu_s - before_s:.2f} s"
        yield "resident memory", f"{usage.resident_mib:.0f} MiB"
        agent.end()


def _changes(agent: LivingAgent, change: Callable[[int], int]) -> str:
    took_ms = []
    for number in range(CHANGES):
        time.sleep(PAUSE_S + number / CHANGES)  # what follows a commit is over
        agent.skip()
        done_ns = change(number)
        took_ms.append((agent.stored_ns() - done_ns) / 1e6)
    return f"{statistics.median(took_ms):.0f} ms ({min(took_ms):.0f} to {max(took_ms):.0f})"


def main() -> None:
    print("## `krait up`\n")
    print(
        f"Printed by `python -m bench.up` on {datetime.now(UTC):%Y-%m-%d}: Linux "
        f"{platform.release().split('-')[0]}, {processor()}, {os.cpu_count()} CPUs,\nload "
        f"{os.getloadavg()[0]:.0f} at the start. {FEW_RULES} rules; seconds from the command's "
        "start, of one run each.\n"
    )
    head = ("nodes", "policy stored", "enforced", "command ends", "MiB of the agent at its most")
    rows = ((n, *start(n)) for n in NODES)
    table(
        head,
        ((f"{n:,}", *(f"{s:.2f}" for s in times), f"{mib:.0f}") for n, *times, mib in rows),
    )
    print(f"With {max(NODES) - 1:,} peers; the median of {CHANGES} (least to most).\n")
    table(("", "measured"), life(max(NODES)))


if __name__ == "__main__":
    main()
