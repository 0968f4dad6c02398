# SPDX-License-Identifier: Apache-2.0
"""A policy document after it was read and checked: plain values, nothing left to doubt.

`policy.document` makes these from YAML; identities, evaluation, compilation and explanation all
stand on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from math import inf
from types import MappingProxyType
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

EVERYTHING_BITS = 1
"""So short a prefix is everything, or one half of it: a default route, as VPNs make it."""

Labels: TypeAlias = frozenset[str]
"""What an identity stands for: its tags, and its own name where a rule names it."""

ICMP4, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
"""IANA protocol numbers."""

LAST_PORT: Mapping[int, int] = MappingProxyType(
    {TCP: 0xFFFF, UDP: 0xFFFF, SCTP: 0xFFFF, ICMP4: 0xFF, ICMP6: 0xFF}
)
"""The highest port of each protocol that has any. A type of ICMP is its port; all protocols that
are not here have the one port 0.
"""

ECHO_REQUEST: Mapping[int, int] = MappingProxyType({ICMP4: 8, ICMP6: 128})
"""The port that an ICMP echo opens, be the packet a request or a reply."""


def is_within(narrow: Network, wide: Network) -> bool:
    """Whether all of `narrow` is in `wide`; what is of another IP version is not."""
    return narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the document; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Selector:
    """Which identities a rule's side means: those that hold every label of any one term.

    `web` is the term {web}, `{all: [web, prod]}` is {web, prod}, and `*` is the empty term, which
    every identity holds. Identity 0 has no labels to hold and is never meant.
    """

    terms: tuple[Labels, ...]
    text: str  # as the document wrote it, for people

    def selects(self, identity: Labels) -> bool:
        """Whether the identity holds every label of a term."""
        return any(term <= identity for term in self.terms)


@dataclass(frozen=True, slots=True)
class PortSpan:
    """An inclusive range of destination ports of one IP protocol, as LAST_PORT has them."""

    protocol: int
    low: int
    high: int

    def holds(self, protocol: int, port: int) -> bool:
        """`port` is the destination port; for ICMP, the type."""
        return protocol == self.protocol and self.low <= port <= self.high


@dataclass(frozen=True, slots=True)
class PortGroup:
    """Ports under one name. Rules and tests that name it have its spans, as if written out."""

    name: str  # without the @ that stands before it where it is used
    ports: tuple[PortSpan, ...]
    used: bool  # whether a rule or a test names it
    mark: Mark


class Action(StrEnum):
    """What becomes of an open, by a rule or by the default: the words of `action` and `default`."""

    ALLOW = "allow"
    DENY = "deny"
    REJECT = "reject"
    """A deny of which the sender is told."""

    def __init__(self, word: str) -> None:
        # Kept and not worked out: compiling asks it of each of 10,000 rules many times.
        self.allows = word == "allow"
        self.rejects = word == "reject"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may, or may not, open a flow to whom."""

    number: int  # its place in the file, from 1; 0 means the policy's default
    name: str
    sources: Selector
    destinations: Selector
    ports: tuple[PortSpan, ...]  # empty: every protocol
    action: Action
    audit: bool  # never enforces
    mark: Mark
    until: int | None = None
    """When it ends by itself, in seconds since 1970 (UTC); None: never."""

    @property
    def allows(self) -> bool:
        """Whether it opens; otherwise it denies."""
        return self.action.allows

    @property
    def strength(self) -> tuple[bool, float, int]:
        """By this order the first of the rules that match an open decides.

        Denies come before allows and, of those, what lasts longer before what ends sooner: when a
        rule that opens ends, no other opens the same any more. Then it goes by the file's order.
        """
        lasts_s = -inf if self.until is None else -self.until
        allows = self.action.allows
        return allows, lasts_s if allows else 0, self.number

    def has_ended(self, now_s: float) -> bool:
        """`now_s` is the wall clock, in seconds since 1970."""
        return self.until is not None and self.until <= now_s

    def concerns(self, source: Labels, destination: Labels) -> bool:
        """Whether it speaks of opens from one identity to the other, whatever the port."""
        return self.sources.selects(source) and self.destinations.selects(destination)

    def covers(self, protocol: int, port: int) -> bool:
        """Whether its ports hold this destination port; a rule without ports covers all."""
        return not self.ports or any(span.holds(protocol, port) for span in self.ports)


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """What the document expects of itself for one open."""

    sources: Selector
    destinations: Selector
    ports: tuple[PortSpan, ...]  # empty: every protocol; `icmp` is two spans
    port_text: str  # as written; "" without a port
    allows: bool  # whether that is what it expects
    mark: Mark


@dataclass(frozen=True, slots=True)
class Route:
    """A subnet behind a node. Without tags it has identity 0; it never inherits the node's."""

    cidr: Network
    tags: Labels
    mark: Mark


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of the document."""

    name: str
    public_key: bytes | None  # 32 bytes, X25519; only a node with `via` may lack one
    tags: Labels
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    endpoint: str | None
    preshared_key_file: str | None  # of each pair that it is in; `{pair}` stands for their names
    transit: bool
    via: str | None
    mark: Mark
    listen_port: int | None = None  # these three: None where the mesh's, if any, holds
    mtu: int | None = None
    keepalive_s: int | None = None  # 0: none are sent
    guard: bool | None = None  # None: as the policy says


@dataclass(frozen=True, slots=True)
class MulticastGroup:
    """Multicast addresses under one name: a destination for rules, and nobody's source."""

    name: str
    cidrs: tuple[Network, ...]  # each a part of the multicast ranges; no group has another's
    tags: Labels
    mark: Mark = field(compare=False)


Named: TypeAlias = Node | MulticastGroup
"""What rules may call by a name of its own."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """The address range of the mesh and what `krait up` needs to make it."""

    cidrs: tuple[Network, ...]
    listen_port: int | None
    mtu: int | None = None
    keepalive_s: int | None = None
    preshared_key_file: str | None = None  # of every pair for which no node says another


@dataclass(frozen=True, slots=True)
class Limits:
    """What each peer may open: a token bucket of `burst` opens that fills at `opens_per_s`."""

    opens_per_s: int | None  # None: as many as it likes
    burst: int


DEFAULT_LIMITS = Limits(opens_per_s=1000, burst=4000)


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in the order of the file; deny beats allow whatever the order."""

    default: Action  # where no rule matches
    strict: bool
    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...]
    limits: Limits = DEFAULT_LIMITS
    groups: tuple[PortGroup, ...] = ()
    guard: bool = False  # other interfaces drop what only the tunnel may bring in
    default_mark: Mark | None = field(default=None, compare=False)  # where `default` is written
    reject_ingress: bool = False  # peers are told too

    def rejects(self, rule: Rule | None) -> bool:
        """Whether who is denied under a rule, or under the default, is told of it.

        An allow denies once it has ended, and then the default answers for it.
        """
        return (self.default if rule is None or rule.allows else rule.action).rejects


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file."""

    source: str  # the file's name, for messages
    interface: str | None
    node: str | None  # which node this machine is; the public key chooses where it is not said
    mesh: Mesh | None
    nodes: tuple[Node, ...]
    policy: Policy
    multicast: tuple[MulticastGroup, ...] = ()

    @property
    def named(self) -> tuple[Named, ...]:
        """All that have a name of their own."""
        return (*self.nodes, *self.multicast)
