# SPDX-License-Identifier: Apache-2.0
"""What packets that are dropped cost, and what they cost others: `python -m bench.flood`.

First the filter alone, by BPF_PROG_TEST_RUN. Then whole machines of namespaces: Alice floods Bob,
who runs Krait, and Carol talks with him all the while. Where WireGuard is wireguard-go, its
cryptography and its system calls are most of what a packet costs: that part says what a flood does
to such a machine, not what the filter does.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.filter import DROP, STATEFUL, Row, measure, policy, processor, services
from bench.scale import table
from bench.world import UDP, Spec, World, ipv4, rule, selector
from krait.lab.machine import Process
from krait.lab.mesh import Lab, MeshPeer, full_mesh
from krait.lab.traffic import Flow, Protocol, Target
from krait.policy.model import Limits

TORRENT = [sys.executable, str(Path(__file__).with_name("torrent.py"))]
SECONDS, ROUNDS = 2, 3
ALICE, BOB, NOBODY = "10.8.0.1", "10.8.0.2", "10.8.77.1"
TCP_PORT, PACED_PORT, SHUT_PORT, OPEN_PORT = 5001, 5002, 81, 80
PACE_S = 0.001
_CONFIG = "/run/mesh.yaml"


def alone() -> Iterator[Row]:
    """Packets that drop, each another where it matters."""
    world = World(Spec(nodes=16, tags=16, rules=policy()))
    yield measure(world, "unknown source", ipv4(4000, 0), DROP)
    closed = ipv4(STATEFUL, 0, UDP, dport=444)
    yield measure(world, "denied port", closed, DROP)
    opens = (rule(1, selector(), selector(0), services()),)
    world = World(Spec(65536, 1000, opens, vary=9, limits=Limits(1, 1)))
    world.run(ipv4(1, 0, UDP), "cold", 1_000_000)
    label = "over the limit of opens, of 65,536 peers"
    yield measure(world, label, ipv4(1, 0, UDP), None, program="cold")


@dataclass(frozen=True, slots=True)
class Attack:
    """What Alice sends, and the reason it drops for; no reason: Krait is not there yet."""

    label: str
    source: str = ALICE
    port: int = SHUT_PORT
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What was seen; of packets, those of the flood."""

    sent: int
    arrived: int
    dropped: int
    cpu_s: float
    lost: float
    mbit_s: float


NONE = Attack("no flood", port=0)
ATTACKS = (
    Attack("no identity", source=NOBODY, reason="no-identity"),
    Attack("denied port", reason="denied"),
    Attack("over the limit of opens", port=OPEN_PORT, reason="open-limit"),
)


class Victim:
    """Bob, and how Carol fares with him."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._bob = lab, lab["bob"]
        self._bob.spawn([*TORRENT, "sink", str(TCP_PORT)]).wait_for_output("ready")
        self._wireguard = self._pid_of("wireguard-go") if lab.userspace else 0

    def enforce(self) -> None:
        self._bob.write(_CONFIG, _document(self._lab))
        agent = self._bob.spawn(["krait", "--iface", "wg0", "--config", _CONFIG])
        self._bob.wait_until_succeeds("krait status wg0 --json | grep -q '\"enforcing\"'")
        if not agent.is_running():
            raise SystemExit(agent.stderr)

    def under(self, attack: Attack) -> Round:
        """One flood beside datagrams of Carol's, and one beside a TCP stream of hers."""
        to_bob = Target(Protocol.UDP, BOB, PACED_PORT)
        with Flow(self._lab["carol"], self._bob, to_bob, interval_s=PACE_S) as paced:
            time.sleep(1.0)
            dropped, arrived, cpu_s = self._dropped(attack), self._arrived(), self._cpu_s()
            start = paced.report().forward
            flood = self._flood(attack)
            flood.wait()
            end = paced.report().forward
            used_s, arrived = self._cpu_s() - cpu_s, self._arrived() - arrived
            dropped = self._dropped(attack) - dropped
        words = ["pour", BOB, str(TCP_PORT), str(SECONDS)]
        beside = self._flood(attack)
        poured = self._lab["carol"].run([*TORRENT, *words]).stdout
        beside.wait()
        print(f"  {attack.label}", file=sys.stderr, flush=True)
        return Round(
            sent=int(flood.stdout or 0),
            arrived=arrived - (end.received - start.received),
            dropped=dropped,
            cpu_s=used_s,
            lost=max(1 - (end.received - start.received) / (end.sent - start.sent), 0.0),
            mbit_s=int(poured) * 8 / SECONDS / 1e6,
        )

    def _arrived(self) -> int:
        words = ["cat", "/sys/class/net/wg0/statistics/rx_packets"]
        return int(self._bob.succeed(words))

    def _flood(self, attack: Attack) -> Process:
        alice = self._lab["alice"]
        if not attack.port:
            return alice.spawn(["sleep", str(SECONDS)])
        words = ["flood", attack.source, BOB, str(attack.port), str(SECONDS)]
        return alice.spawn([*TORRENT, *words])

    def _dropped(self, attack: Attack) -> int:
        if not attack.reason:
            return 0
        (status,) = json.loads(self._bob.succeed("krait status wg0 --json"))["interfaces"]
        return int(status["drops"].get(attack.reason, {"packets": 0})["packets"])

    def _cpu_s(self) -> float:
        """Of Bob's wireguard-go, in whose system calls the filter runs; 0: it is in the kernel."""
        if not self._wireguard:
            return 0.0
        stat = Path(f"/proc/{self._bob.pid}/root/proc/{self._wireguard}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _pid_of(self, name: str) -> int:
        return int(self._bob.succeed(["pidof", name]).split()[0])


def _document(lab: Lab) -> str:
    tags = {"alice": "[a]", "bob": "[b]", "carol": "[c]"}
    nodes = [
        f'  {name}: {{public_key: "{lab.public_key(name)}", tags: {tag}}}'
        for name, tag in tags.items()
    ]
    rules = [
        f"    - {{name: open, from: a, to: b, ports: udp/{OPEN_PORT}}}",
        f"    - {{name: carol, from: c, to: b, ports: [tcp/{TCP_PORT}, udp/{PACED_PORT}]}}",
    ]
    return "\n".join(["nodes:", *nodes, "policy:", "  rules:", *rules, ""])


def machines() -> Iterator[tuple[str, ...]]:
    alice, bob, carol = full_mesh("alice", "bob", "carol")
    to_alice, to_carol = bob.peers
    wide = MeshPeer("alice", (*to_alice.allowed_ips, "10.8.77.0/24"))
    with Lab((alice, replace(bob, peers=(wide, to_carol)), carol)) as lab:
        victim = Victim(lab)
        bare = (Attack("no flood, no Krait", port=0), Attack("a flood, no Krait"))
        yield from _rows(victim, bare)
        victim.enforce()
        yield from _rows(victim, (NONE, *ATTACKS))


def _rows(victim: Victim, attacks: Sequence[Attack]) -> Iterator[tuple[str, ...]]:
    """The first is no flood: what its rounds cost is not the others'."""
    rounds = [[victim.under(attack) for attack in attacks] for _ in range(ROUNDS)]
    idle_s = statistics.median(each[0].cpu_s for each in rounds)
    for attack, seen in zip(attacks, zip(*rounds, strict=True), strict=True):
        arrived = statistics.median(each.arrived for each in seen)
        cpu_s = statistics.median((each.cpu_s - idle_s) / max(each.arrived, 1) for each in seen)
        sent = statistics.median(each.sent for each in seen)
        share = sum(each.dropped for each in seen) / sum(max(each.arrived, 1) for each in seen)
        lost, mbit_s = [each.lost for each in seen], [each.mbit_s for each in seen]
        yield (
            attack.label,
            *((f"{n / SECONDS:,.0f}" if attack.port else "-") for n in (sent, arrived)),
            f"{share:.0%}" if attack.reason else "-",
            f"{cpu_s * 1e6:.1f}" if attack.port else "-",
            f"{statistics.median(lost):.1%} ({min(lost):.1%} to {max(lost):.1%})",
            f"{statistics.median(mbit_s):,.0f} ({min(mbit_s):,.0f} to {max(mbit_s):,.0f})",
        )


def main() -> None:
    print("## Under a flood\n")
    print(
        f"Printed by `python -m bench.flood` on {datetime.now(UTC):%Y-%m-%d}: Linux "
        f"{platform.release().split('-')[0]}, {processor()}, {os.cpu_count()} CPUs,\nload "
        f"{os.getloadavg()[0]:.1f} at the start.\n"
    )
    print("### The filter alone\n\nSeconds of CPU for a million packets that drop.\n")
    rows = (
        (row.label, f"{row.least_ns / 1e3:.3f}", f"{row.median_ns / 1e3:.3f}") for row in alone()
    )
    table(("path", "least", "median"), rows)
    print(
        "### Whole machines\n\nThree machines of namespaces with wireguard-go, all on these CPUs, "
        f"the sender of the flood\ntoo; {ROUNDS} rounds of {SECONDS} s, medians (least to most). "
        "CPU is that of the victim's wireguard-go for a\nmillion packets that arrive, beyond what "
        "it uses without a flood; the filter runs in its\nsystem calls. UDP is one datagram a "
        "millisecond.\n"
    )
    head = ("flood", "sent, 1/s", "arrived, 1/s", "dropped", "CPU s", "UDP lost", "TCP, Mbit/s")
    table(head, machines())


if __name__ == "__main__":
    main()
