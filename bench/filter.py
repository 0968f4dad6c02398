# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds a packet, by BPF_PROG_TEST_RUN, above an empty program measured in the same rounds.

`python -m bench.filter [hot] [cold]`. Hot: one packet again and again. Cold: random addresses or
ports, each packet waiting for the verdict of the one before.
"""

import statistics
import sys

from bench.world import TCP, UDP, Spec, World, ipv4, ipv6, rule, selector
from krait.policy.model import PortSpan, Rule

ROUNDS = 9
RUNS = 1_000_000
PASS, DROP = -1, 2
SYN, ACK, SYN_ACK = 2, 16, 18

ALLOWED, DENIED, STATEFUL = 1, 2, 3  # nodes by their tag, seen from node 0


def measure(
    world: World,
    label: str,
    packet: bytes,
    want: int | None = PASS,
    program: str = "krait_ingress",
    *,
    base: str = "empty",
) -> None:
    empty, full = [], []
    for _ in range(ROUNDS):
        empty.append(world.run(packet, base, RUNS)[1])
        verdict, ns = world.run(packet, program, RUNS)
        full.append(ns)
        if want is not None and verdict != want:
            raise SystemExit(f"{label}: verdict {verdict}, not {want}: not the path to measure")
    low, median = min(full) - min(empty), statistics.median(full) - statistics.median(empty)
    print(f"{label:48s} {low:5.0f} {median:7.0f}   {min(empty):3d} empty", flush=True)


def services(ports: int = 2) -> tuple[PortSpan, ...]:
    """Port 443 of TCP and UDP, and more intervals up to the number asked for."""
    more = (PortSpan(UDP, 1000 + 4 * i, 1001 + 4 * i) for i in range(ports - 2))
    return (PortSpan(TCP, 443, 443), PortSpan(UDP, 443, 443), *more)


def policy(ports: int = 2) -> tuple[Rule, ...]:
    """t1 may all with t0, both ways; t2 nothing; the others ports, one way."""
    return (
        rule(1, selector(0), selector(1)),
        rule(2, selector(1), selector(0)),
        rule(3, selector(2), selector(0), allow=False),
        rule(4, selector(3), selector(0), services(ports)),
    )


def hot() -> None:
    world = World(Spec(nodes=16, tags=16, rules=policy()))
    for name, info in sorted(world.verified.items()):
        print(
            f"{name}: verifier {info.verified_instructions}, "
            f"{info.translated_bytes // 8} instructions, {info.jited_bytes} bytes of machine code"
        )
    print(f"{'ns a packet above an empty program':48s} {'min':>5s} {'median':>7s}")
    measure(world, "pair allowed", ipv4(ALLOWED, 0))
    measure(world, "pair allowed, IPv6", ipv6(ALLOWED, 0))
    measure(world, "pair allowed, egress", ipv4(0, ALLOWED), program="krait_egress")
    measure(world, "pair denied", ipv4(DENIED, 0), DROP)
    measure(world, "unknown source", ipv4(4000, 0), DROP)
    for packet, program in (
        (ipv4(STATEFUL, 0, flags=SYN), "krait_ingress"),
        (ipv4(0, STATEFUL, sport=443, dport=1000, flags=SYN_ACK), "krait_egress"),
        (ipv4(STATEFUL, 0, UDP), "krait_ingress"),
    ):
        if world.run(packet, program)[0] != PASS:
            raise SystemExit("the flow was not opened")
    measure(world, "flow hit, TCP established", ipv4(STATEFUL, 0, flags=ACK))
    measure(world, "flow hit, UDP", ipv4(STATEFUL, 0, UDP))
    for ports in (2, 250):
        world = World(Spec(nodes=16, tags=16, rules=policy(ports)))
        closed = ipv4(STATEFUL, 0, dport=444, flags=SYN)
        measure(world, f"port denied, list of {ports}", closed, DROP)
    everyone = (rule(1, selector(), selector()),)
    world = World(Spec(nodes=16, tags=16, rules=everyone, hub=True))
    measure(world, "hub, both addresses looked up", ipv4(1, 2))


def cold() -> None:
    print(f"{'cold, ns a packet above rewriting it':48s} {'min':>5s} {'median':>7s}")
    everyone = (rule(1, selector(), selector()),)
    for nodes, tags in ((16, 16), (65536, 1000)):
        world = World(Spec(nodes=nodes, tags=tags, rules=everyone, vary=1))
        measure(
            world,
            f"leaf, random of {nodes} sources, {tags} pairs",
            ipv4(1, 0),
            None,
            "cold",
            base="cold_empty",
        )
    world = World(Spec(nodes=65536, tags=1414, rules=everyone, vary=3, hub=True))
    measure(world, "hub, both random, 1 M pairs", ipv4(1, 2), None, "cold", base="cold_empty")
    opens = (rule(1, selector(), selector(0), services()),)
    world = World(Spec(nodes=65536, tags=1000, rules=opens, vary=5, flows=1 << 21))
    world.run(ipv4(1, 0, UDP), "cold", 4_000_000)
    measure(
        world, "flow hit, random of 512 k flows", ipv4(1, 0, UDP), None, "cold", base="cold_empty"
    )
    world = World(Spec(nodes=65536, tags=1000, rules=opens, vary=9))
    world.run(ipv4(1, 0, UDP), "cold", 1_000_000)
    measure(world, "new flow, with an eviction", ipv4(1, 0, UDP), None, "cold", base="cold_empty")


def main() -> None:
    chosen = sys.argv[1:] or ["hot", "cold"]
    for name in chosen:
        {"hot": hot, "cold": cold}[name]()


if __name__ == "__main__":
    main()
