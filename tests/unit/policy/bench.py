# SPDX-License-Identifier: Apache-2.0
"""A small mesh, a judge of it at node db1, and the words in which its tests speak."""

from ipaddress import ip_interface, ip_network

from krait.policy.case import Side, Verdict
from krait.policy.document import load
from krait.policy.judge import Judge
from krait.policy.model import Document
from krait.policy.view import Interface, Peer, resolve
from tests.strategies.packets import SYN, echo, ethertype, ip, tcp, udp

AUDIT_RULE = "- {name: trial, from: web, to: db, ports: tcp/80, action: deny, audit: true}"

DOCUMENT = f"""
mesh: {{cidr: [10.8.0.0/24, "fd00:8::/64"]}}
nodes:
  db1:
    public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    tags: [db]
    routes: [{{cidr: 10.30.0.0/24, tags: [lan]}}, 10.31.0.0/24]
  web1:
    public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
    tags: [web]
    routes: [{{cidr: 10.20.0.0/24, tags: [branch]}}, 10.21.0.0/24]
  app1:
    public_key: "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="
    tags: [app]
policy:
  rules:
    - {{name: web-db, from: web, to: db, ports: [tcp/80, udp/53, icmp]}}
    - {{name: web-db-gre, from: web, to: lan}}
    - {{name: app-in, from: app, to: db}}
    - {{name: app-out, from: db, to: app}}
    - {{name: no-telnet, from: branch, to: db, ports: tcp/23, action: deny}}
    - {{name: peers, from: web, to: app}}
    {AUDIT_RULE}
"""

ME, WEB, APP = "10.8.0.1", "10.8.0.2", "10.8.0.3"
ME6, WEB6 = "fd00:8::1", "fd00:8::2"
LAN, LAN_UNTAGGED, BRANCH, BRANCH_UNTAGGED = "10.30.0.9", "10.31.0.9", "10.20.0.9", "10.21.0.9"
STRANGE, NOBODY = "10.8.0.66", "10.8.0.77"

INTERFACE = Interface(
    bytes((1,)) * 32,
    (ip_interface(f"{ME}/24"), ip_interface(f"{ME6}/64")),
    (
        Peer(
            bytes((2,)) * 32,
            tuple(map(ip_network, (WEB, WEB6, "10.20.0.0/24", "10.21.0.0/24"))),
        ),
        Peer(bytes((3,)) * 32, (ip_network(APP),)),
        Peer(bytes((9,)) * 32, (ip_network(STRANGE),)),
    ),
)
WEB_PEER, APP_PEER, STRANGE_PEER = 1, 2, 3


def document(*changes: tuple[str, str]) -> Document:
    text = DOCUMENT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load(text.encode(), "test.yaml")


class Bench:
    """A judge, and the words in which tests speak to it."""

    def __init__(self, *changes: tuple[str, str]) -> None:
        self.judge = Judge()
        self._revision = 0
        self.rules: dict[int, str] = {}
        self.commit(*changes)

    def commit(self, *changes: tuple[str, str]) -> None:
        found = document(*changes)
        self._revision += 1
        self.judge.commit(found.policy, resolve(found, INTERFACE), self._revision)
        self.rules = {0: "default", **{rule.number: rule.name for rule in found.policy.rules}}

    def verdict(
        self, frame: bytes, side: Side, now_s: float = 0, *, came_in: bool = False
    ) -> Verdict:
        return self.judge.judge(frame, ethertype(frame), side, now_s, came_in=came_in)

    def outcome(self, frame: bytes, side: Side, now_s: float = 0, *, came_in: bool = False) -> str:
        """`pass web-db`, `denied default`, or only a drop reason."""
        verdict = self.verdict(frame, side, now_s, came_in=came_in)
        if verdict.rule is None:
            return verdict.reason.label
        return f"{verdict.reason.label} {self.rules[verdict.rule]}"


def of_tcp(source: str, destination: str, flags: int, port: int = 80, own: int = 40000) -> bytes:
    """To `port`; of_tcp(…) with negative port is the reply from it."""
    ends = (own, port) if port > 0 else (-port, own)
    return ip(source, destination, 6, tcp(*ends, flags))


def of_udp(source: str, destination: str, port: int = 53, own: int = 40000) -> bytes:
    ends = (own, port) if port > 0 else (-port, own)
    return ip(source, destination, 17, udp(*ends))


def ping(source: str, destination: str, kind: int, identifier: int = 7) -> bytes:
    return ip(source, destination, 58 if ":" in source else 1, echo(kind, identifier))


SYN_IN = of_tcp(WEB, ME, SYN)
