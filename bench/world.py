# SPDX-License-Identifier: Apache-2.0
"""A mesh to measure on: one node's tables, filled by the real compiler."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

from krait.common import structs
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import ProgramInfo, program_info
from krait.kernel.bpf.testrun import run
from krait.kernel.datapath import Datapath
from krait.kernel.shape import prepare
from krait.policy import image
from krait.policy.capacity import SMALLEST
from krait.policy.compile import compile_policy
from krait.policy.model import (
    Action,
    Document,
    Labels,
    Limits,
    Mark,
    Mesh,
    Network,
    Node,
    Policy,
    PortSpan,
    Rule,
    Selector,
)
from krait.policy.view import Interface, Peer, resolve

HERE = Path(__file__).parent
BASE4 = IPv4Address("10.64.0.0")
BASE6 = IPv6Address("fd7a:6b72::")
TCP, UDP = 6, 17
_NOWHERE = Mark(0, 0)


UNLIMITED = Limits(None, 0)


@dataclass(frozen=True, slots=True)
class Spec:
    """How large the world is, and what its rules say between the tags t0, t1, …; we are t0."""

    nodes: int
    tags: int
    rules: tuple[Rule, ...]
    hub: bool = False
    flows: int = 1 << 16
    unanswered: int = 1 << 14
    limits: Limits = UNLIMITED
    vary: int = 0
    prefixes: tuple[Network, ...] = ()  # routed to node 1 and tagged t1, outside the mesh


class World:
    """The benchmark's object, loaded and armed with the policy in slot 1."""

    def __init__(self, spec: Spec) -> None:
        document, interface = _mesh(spec)
        compiled = compile_policy(document, resolve(document, interface))
        capacity = SMALLEST.grown(image.need(compiled))
        with TemporaryDirectory() as folder, BpfObject.open(_build(Path(folder))) as program:
            prepare(program, capacity, test_ifindex=1)
            program.resize("flows", spec.flows)
            program.resize("unanswered", spec.unanswered)
            program.set_constant("vary", spec.vary)
            program.set_constant("base4", int(BASE4))
            program.set_constant("addresses", spec.nodes)
            program.load()
            self.datapath = Datapath.of(program, capacity)
            self.verified: dict[str, ProgramInfo] = {
                name: program_info(fd) for name, fd in program.programs.items()
            }
            drawn = image.draw(compiled, capacity, {})
            self.datapath.write(1, drawn, known=None, held={})
            self.datapath.commit(1, 1)
            self.programs = {name: os.dup(fd) for name, fd in program.programs.items()}

    def answer_all(self) -> None:
        """Make an answered flow of every unanswered one."""
        waiting, answered = self.datapath.maps["unanswered"], self.datapath.maps["flows"]
        for keys, values in list(waiting.items()):
            answered.update_batch(keys, values, len(values) // structs.FLOW.size_bytes)
            waiting.delete_batch(keys, len(values) // structs.FLOW.size_bytes)

    def run(
        self, packet: bytes, program: str = "krait_ingress", repeat: int = 1
    ) -> tuple[int, int]:
        """The verdict, and nanoseconds a packet."""
        result = run(self.programs[program], packet, repeat=repeat)
        return result.verdict, result.duration_ns


def tag(number: int) -> Labels:
    return frozenset({f"t{number}"})


def selector(*numbers: int) -> Selector:
    """Some tags, or everyone."""
    terms = tuple(tag(each) for each in numbers) or (frozenset[str](),)
    return Selector(terms, ",".join(map(str, numbers)) or "*")


def rule(
    number: int,
    sources: Selector,
    destinations: Selector,
    ports: Sequence[PortSpan] = (),
    *,
    action: Action = Action.ALLOW,
    audit: bool = False,
) -> Rule:
    return Rule(
        number,
        f"r{number}",
        sources,
        destinations,
        tuple(ports),
        action,
        audit=audit,
        mark=_NOWHERE,
    )


def _mesh(spec: Spec) -> tuple[Document, Interface]:
    def node(number: int) -> Node:
        return Node(
            name=f"n{number}",
            public_key=number.to_bytes(32, "big"),
            tags=tag(number % spec.tags),
            addresses=(),
            routes=(),
            endpoint=None,
            preshared_key_file=None,
            transit=spec.hub and number == 0,
            via=None,
            mark=_NOWHERE,
        )

    nodes = tuple(node(number) for number in range(spec.nodes))
    cidrs = (IPv4Network((int(BASE4), 14)), IPv6Network((int(BASE6), 64)))
    document = Document(
        source="bench",
        interface=None,
        node=None,
        mesh=Mesh(cidrs, None),
        nodes=nodes,
        policy=Policy(Action.DENY, False, spec.rules, (), spec.limits),
    )
    peers = tuple(
        Peer(
            each.public_key or b"",
            (IPv4Network(int(BASE4) + number), IPv6Network(int(BASE6) + number))
            + (spec.prefixes if number == 1 else ()),
        )
        for number, each in enumerate(nodes)
        if number
    )
    own = (IPv4Interface((int(BASE4), 14)), IPv6Interface((int(BASE6), 64)))
    return document, Interface(nodes[0].public_key or b"", own, peers)


def _build(folder: Path) -> Path:
    made = folder / "bench.o"
    recipe = (HERE.parent / "ebpf" / "build").read_text()
    flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"]
    if " ".join(flags) not in recipe:
        raise SystemExit(f"ebpf/build has other flags than {flags}: build the benchmark alike")
    include = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    source = str(HERE / "filter.bpf.c")
    subprocess.run(["clang", *flags, include, "-c", source, "-o", str(made)], check=True)
    return made


def ipv4(
    src: int, dst: int, protocol: int = TCP, *, sport: int = 1000, dport: int = 443, flags: int = 16
) -> bytes:
    """An Ethernet frame of 40 bytes of payload between two nodes by number."""
    l4 = _l4(protocol, sport, dport, flags)
    header = pack(
        ">BBHHHBBHII",
        0x45,
        0,
        20 + len(l4),
        1,
        0x4000,
        64,
        protocol,
        0,
        int(BASE4) + src,
        int(BASE4) + dst,
    )
    return bytes(12) + b"\x08\x00" + header + l4


def ipv6(
    src: int, dst: int, protocol: int = TCP, *, sport: int = 1000, dport: int = 443, flags: int = 16
) -> bytes:
    l4 = _l4(protocol, sport, dport, flags)
    header = pack(">IHBB", 6 << 28, len(l4), protocol, 64)
    addresses = (int(BASE6) + src).to_bytes(16, "big") + (int(BASE6) + dst).to_bytes(16, "big")
    return bytes(12) + b"\x86\xdd" + header + addresses + l4


def _l4(protocol: int, sport: int, dport: int, flags: int) -> bytes:
    payload = bytes(40)
    if protocol == TCP:
        return pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 1000, 0, 0) + payload
    return pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
