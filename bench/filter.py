# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds a packet, by BPF_PROG_TEST_RUN, above an empty program measured in the same rounds.

`python -m bench.filter >bench/RESULTS.md`. Hot: one packet again and again. Cold: random addresses
or ports, each packet waiting for the rule of the one before.
"""

import platform
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.world import TCP, UDP, Spec, World, ipv4, ipv6, rule, selector
from krait.kernel.bpf.clock import ticks_per_second
from krait.policy.model import Action, Limits, PortSpan, Rule

ROUNDS = 9
RUNS = 1_000_000
PASS, DROP = -1, 2
SYN, ACK, SYN_ACK = 2, 16, 18

ALLOWED, DENIED, STATEFUL = 1, 2, 3  # nodes by their tag, seen from node 0

EVERYONE = (rule(1, selector(), selector()),)
CLOSED = ipv4(STATEFUL, 0, dport=444, flags=SYN)


@dataclass(frozen=True, slots=True)
class Row:
    """One path: nanoseconds above the empty program, the least and the median of all rounds."""

    label: str
    least_ns: float
    median_ns: float
    empty_ns: float


def measure(
    world: World,
    label: str,
    packet: bytes,
    want: int | None = PASS,
    *,
    program: str = "krait_ingress",
) -> Row:
    """Rounds of the program and of the empty one in turn. `want` None: any verdict will do."""
    empty, full = [], []
    base = "cold_empty" if program == "cold" else "empty"
    for _ in range(ROUNDS):
        empty.append(world.run(packet, base, RUNS)[1])
        verdict, ns = world.run(packet, program, RUNS)
        full.append(ns)
        if want is not None and verdict != want:
            raise SystemExit(f"{label}: verdict {verdict}, not {want}: not the path to measure")
    print(f"  {label}", file=sys.stderr, flush=True)
    median = statistics.median(full) - statistics.median(empty)
    return Row(label, min(full) - min(empty), median, min(empty))


def services(intervals: int = 2) -> tuple[PortSpan, ...]:
    """Port 443 of TCP and UDP, and more intervals up to the number asked for."""
    more = (PortSpan(UDP, 1000 + 4 * i, 1001 + 4 * i) for i in range(intervals - 2))
    return (PortSpan(TCP, 443, 443), PortSpan(UDP, 443, 443), *more)


def policy(intervals: int = 2) -> tuple[Rule, ...]:
    """t1 may all with t0, both ways; t2 nothing; t3 some ports, one way."""
    return (
        rule(1, selector(0), selector(1)),
        rule(2, selector(1), selector(0)),
        rule(3, selector(2), selector(0), action=Action.DENY),
        rule(4, selector(3), selector(0), services(intervals)),
    )


def hot() -> Iterator[Row]:
    world = World(Spec(nodes=16, tags=16, rules=policy()))
    yield measure(world, "pair allowed", ipv4(ALLOWED, 0))
    yield measure(world, "pair allowed, IPv6", ipv6(ALLOWED, 0))
    yield measure(world, "pair allowed, egress", ipv4(0, ALLOWED), program="krait_egress")
    yield measure(world, "pair denied", ipv4(DENIED, 0), DROP)
    yield measure(world, "unknown source, not in the trie", ipv4(4000, 0), DROP)
    _open_flows(world)
    yield measure(world, "flow hit, TCP established", ipv4(STATEFUL, 0, flags=ACK))
    yield measure(world, "flow hit, UDP, unanswered", ipv4(STATEFUL, 0, UDP))
    for intervals in (2, 250):
        world = World(Spec(nodes=16, tags=16, rules=policy(intervals)))
        yield measure(world, f"port denied, list of {intervals} intervals", CLOSED, DROP)
    world = World(Spec(nodes=16, tags=16, rules=EVERYONE, hub=True))
    yield measure(world, "hub, both addresses looked up", ipv4(1, 2))


def beside_a_shadow() -> Iterator[Row]:
    """The same with an audit rule, which makes a shadow, about one port of the open pair."""
    trial = rule(
        5,
        selector(ALLOWED),
        selector(0),
        (PortSpan(TCP, 22, 22),),
        action=Action.DENY,
        audit=True,
    )
    world = World(Spec(nodes=16, tags=16, rules=(*policy(), trial)))
    yield measure(world, "pair allowed", ipv4(ALLOWED, 0))
    yield measure(world, "pair denied", ipv4(DENIED, 0), DROP)
    _open_flows(world)
    yield measure(world, "flow hit, TCP established", ipv4(STATEFUL, 0, flags=ACK))
    yield measure(world, "port denied, list of 2 intervals", CLOSED, DROP)


def _open_flows(world: World) -> None:
    for packet, program in (
        (ipv4(STATEFUL, 0, flags=SYN), "krait_ingress"),
        (ipv4(0, STATEFUL, sport=443, dport=1000, flags=SYN_ACK), "krait_egress"),
        (ipv4(STATEFUL, 0, UDP), "krait_ingress"),
    ):
        if world.run(packet, program)[0] != PASS:
            raise SystemExit("the flow was not opened")


def cold() -> Iterator[Row]:
    def varied(
        label: str, spec: Spec, packet: bytes, warm_up: int = 0, *, answered: bool = False
    ) -> Row:
        world = World(spec)
        world.run(packet, "cold", max(warm_up, 1))
        if answered:
            world.answer_all()
        return measure(world, label, packet, None, program="cold")

    nobody = (rule(1, selector(), selector(), action=Action.DENY),)
    yield varied("leaf, 16 sources", Spec(16, 16, EVERYONE, vary=1), ipv4(1, 0))
    for tags in (1000, 65536):
        label = f"leaf, random of 65,536 sources, {tags:,} pairs"
        yield varied(label, Spec(65536, tags, EVERYONE, vary=1), ipv4(1, 0))
    spec = Spec(65536, 1000, nobody, vary=1)
    yield varied("leaf, denied, random of 65,536 sources", spec, ipv4(1, 0))
    spec = Spec(65536, 1414, EVERYONE, vary=3, hub=True)
    yield varied("hub, both random, 1,000,405 pairs", spec, ipv4(1, 2))
    opens = (rule(1, selector(), selector(0), services()),)
    spec = Spec(65536, 1000, opens, vary=5, flows=1 << 21, unanswered=1 << 21)
    hit = "flow hit, random of 524,288 flows"
    yield varied(f"{hit}, answered", spec, ipv4(1, 0, UDP), 4_000_000, answered=True)
    yield varied(f"{hit}, unanswered", spec, ipv4(1, 0, UDP), 4_000_000)
    spec = Spec(65536, 1000, opens, vary=9, unanswered=1 << 24)
    yield varied("new flow, room left", spec, ipv4(1, 0, UDP))
    spec = Spec(65536, 1000, opens, vary=9)
    yield varied("new flow, with an eviction", spec, ipv4(1, 0, UDP), 1_000_000)
    spec = Spec(65536, 1000, opens, vary=9, limits=Limits(1, 1))
    yield varied("new flow, over its peer's limit", spec, ipv4(1, 0, UDP), 1_000_000)


def verifier() -> Iterator[str]:
    for name, info in sorted(World(Spec(16, 16, policy())).verified.items()):
        if name.startswith("krait"):
            yield (
                f"| {name} | {info.translated_bytes // 8:,} | {info.verified_instructions:,} "
                f"| {info.jited_bytes:,} |"
            )


def table(title: str, rows: Iterator[Row]) -> None:
    print(f"\n## {title}\n\n| path | least | median | empty program |\n|---|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row.label} | {row.least_ns:.0f} | {row.median_ns:.0f} | {row.empty_ns:.0f} |",
            flush=True,
        )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")


def main() -> None:
    print("# What the filter costs\n")
    print(
        f"Printed by `python -m bench.filter` on {datetime.now(UTC):%Y-%m-%d}: Linux "
        f"{platform.release().split('-')[0]}, HZ {ticks_per_second()}, {processor()}."
    )
    print(
        f"Nanoseconds a packet above an empty program that takes turns with it, "
        f"{ROUNDS} rounds of {RUNS:,}\npackets of BPF_PROG_TEST_RUN each."
    )
    table("Hot: one packet again and again", hot())
    table("Hot, beside a shadow", beside_a_shadow())
    table("Cold: each packet is another, and waits for the one before", cold())
    print(
        "\n## Verifier\n\n| program | instructions | walked by the verifier, of 1,000,000 "
        "| bytes of machine code |\n|---|---:|---:|---:|"
    )
    for line in verifier():
        print(line)


if __name__ == "__main__":
    main()
