# SPDX-License-Identifier: Apache-2.0
"""A document for a live interface that changes nothing: everyone on it is allowed everything.

What `krait init` prints. To change nothing, each address that passes the interface today needs an
owner with an identity: the peers' allowed IPs, and what is behind this machine.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from krait.common.errors import UsageError
from krait.policy import values
from krait.policy.formatted import formatted, written
from krait.policy.model import Address, Network
from krait.policy.reserved import never_passes
from krait.policy.view import Interface, InterfaceAddress, Peer

MESH, ROUTED, LAN, INTERNET = "mesh", "routed", "lan", "internet"
"""The tags of a draft: nodes; subnets behind a peer, behind this machine, and all the rest."""

INTERNET_BITS = 3
"""An exit's prefix is no longer: 0.0.0.0/0, its halves as wg-quick writes them, and 2000::/3."""

_BEFORE_UP = {
    LAN: (
        "Before `krait up`, take each `lan` out, and the test that names it,",
        "unless peers shall reach this network through the tunnel.",
    ),
    INTERNET: (
        "`krait up` makes no exit node: before it, take each `internet` out,",
        "and the test that names it.",
    ),
}
"""What a document for an interface that is there has, and one that makes it seldom or never."""

_DEFAULT = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_NO_KEY = bytes(32)
_NAME_CHARACTERS = 63
_TAKEN = re.compile(rf"peer[0-9]+|{MESH}|{ROUTED}|{LAN}|{INTERNET}|all|any|self")


@dataclass(frozen=True, slots=True)
class Scene:
    """A machine and its WireGuard interface, as far as a draft tells of them."""

    name: str
    """Of the interface."""
    interface: Interface
    host_name: str
    endpoints: Mapping[bytes, str]
    """Where peers were last heard from, by public key."""
    elsewhere: tuple[InterfaceAddress, ...]
    """This machine's addresses on its other interfaces."""
    forwards: frozenset[int]
    """The IP versions, of 4 and 6, whose packets this machine passes on for others."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A node as it will be written; routes are (prefix, tag)."""

    name: str
    remark: str
    public_key: bytes
    addresses: tuple[Address, ...]
    """Inside of the mesh."""
    routes: tuple[tuple[Network, str], ...]
    unlisted: tuple[Network, ...]
    """What no document can have as a route: nothing of it passes."""
    transit: bool = False


def draft(scene: Scene) -> str:
    """The text of the document in the form of `krait fmt`, with comments that teach the next step.

    Raises UsageError for an interface that a document cannot name or that has no key yet.
    """
    values.interface(scene.name)
    if scene.interface.public_key == _NO_KEY:
        raise UsageError(
            f"{scene.name} has no private key yet", hint="configure it, then run this again"
        )
    entries = (_own(scene), *_peers(scene))
    text = "\n".join((*_opening(scene, entries), *_nodes(entries), *_policy(entries), ""))
    try:
        return formatted(text.encode(), "the draft").decode()
    except UsageError:  # an interface that no document can be right about: `check` tells why
        return text


def mesh(interface: Interface) -> tuple[Network, ...]:
    """The interface's own prefixes, without those that lie inside another."""
    prefixes = dict.fromkeys(
        each.network
        for each in interface.addresses
        if each.network.prefixlen < each.max_prefixlen and not each.is_link_local
    )
    return tuple(
        each for each in prefixes if not any(o != each and _holds(o, each) for o in prefixes)
    )


def own_name(host_name: str) -> str:
    """The host's name as a node may be called, and as nothing else in a draft is."""
    first = re.sub(r"[^a-z0-9-]+", "-", host_name.lower().partition(".")[0]).strip("-")
    name = first[:_NAME_CHARACTERS] or "host"
    return f"{name}-host" if _TAKEN.fullmatch(name) else name


def _own(scene: Scene) -> _Entry:
    routes = dict.fromkeys(_behind(scene), LAN)
    for version in sorted(scene.forwards):
        if (everything := _DEFAULT[version]) not in _allowed(scene):
            routes.setdefault(everything, INTERNET)
    return _Entry(
        own_name(scene.host_name),
        "this machine",
        scene.interface.public_key,
        tuple(_own_addresses(scene)),
        *_passing(routes.items()),
        transit=bool(scene.forwards),
    )


def _own_addresses(scene: Scene) -> Iterator[Address]:
    """Without those that WireGuard ties to a peer all the same."""
    of_peers, ranges = _allowed(scene), mesh(scene.interface)
    for address in dict.fromkeys(each.ip for each in scene.interface.addresses):
        alone = ip_network(address)
        if alone not in of_peers and _is_of_mesh(alone, ranges):
            yield address


def _is_of_mesh(alone: Network, ranges: tuple[Network, ...]) -> bool:
    return not alone.is_link_local and any(_holds(each, alone) for each in ranges)


def _behind(scene: Scene) -> Iterator[Network]:
    """The networks of the machine's other interfaces, where its own addresses are found too.

    No prefix that a peer has may be listed twice; and where a peer has a longer one, it would take
    this machine's own address along, so that is listed by itself.
    """
    of_peers = _allowed(scene)
    on_interface = {each.ip for each in scene.interface.addresses}
    for each in scene.elsewhere:
        own = ip_network(each.ip)
        if each.ip in on_interface:
            continue
        if each.network not in of_peers:
            yield each.network
        longest = max((p.prefixlen for p in of_peers if _holds(p, own)), default=-1)
        if longest >= each.network.prefixlen and own not in of_peers:
            yield own


def _peers(scene: Scene) -> Iterator[_Entry]:
    ranges = mesh(scene.interface)
    for number, peer in enumerate(scene.interface.peers, start=1):
        own, routed = _sorted_out(peer, ranges)
        where = scene.endpoints.get(peer.public_key)
        remark = ", ".join((*(str(each.network_address) for each in own), *_at(where)))
        routes = _passing((cidr, _tag(cidr)) for cidr in routed)
        addresses = tuple(each.network_address for each in own if _is_of_mesh(each, ranges))
        yield _Entry(f"peer{number}", remark, peer.public_key, addresses, *routes)


def _sorted_out(peer: Peer, ranges: tuple[Network, ...]) -> tuple[list[Network], list[Network]]:
    """A peer's own addresses and the subnets behind it: full-length inside the mesh, or not.

    What is link-local is never behind anybody.
    """
    own = [
        cidr
        for cidr in peer.allowed_ips
        if cidr.prefixlen == cidr.max_prefixlen
        and (cidr.is_link_local or any(_holds(each, cidr) for each in ranges))
    ]
    return own, [cidr for cidr in peer.allowed_ips if cidr not in own]


def _passing(
    routes: Iterable[tuple[Network, str]],
) -> tuple[tuple[tuple[Network, str], ...], tuple[Network, ...]]:
    """Those of which something passes, and the others."""
    known = tuple(routes)
    passing = tuple(each for each in known if not never_passes(each[0]))
    return passing, tuple(cidr for cidr, _ in known if never_passes(cidr))


def _at(endpoint: str | None) -> tuple[str, ...]:
    return (f"at {endpoint}",) if endpoint else ()


def _tag(cidr: Network) -> str:
    return INTERNET if cidr.prefixlen <= INTERNET_BITS else ROUTED


def _allowed(scene: Scene) -> frozenset[Network]:
    return frozenset(cidr for peer in scene.interface.peers for cidr in peer.allowed_ips)


def _holds(wide: Network, narrow: Network) -> bool:
    return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]


def _opening(scene: Scene, entries: tuple[_Entry, ...]) -> Iterator[str]:
    file = f"{scene.name}.yaml"
    host, *peers = (entry.name for entry in entries)
    yield f"# What {scene.name} of {host} does today, as a policy for Krait."
    yield "# Everyone on it may reach everyone: adopted as it is, it changes nothing."
    yield "#"
    yield "# Next: give the nodes names and tags that say what they are (db, web, admin),"
    yield "# and put rules that name them in the place of allow-all. Then ask, and run it:"
    yield "#"
    yield f"#   krait check {file}"
    if peers:
        yield f"#   krait explain {file} {peers[0]} {host} tcp/22"
    yield f"#   sudo krait --iface {scene.name} --config {file}"
    yield "#"
    yield f"# A peer of {scene.name} that is not listed here gets nothing through."
    yield "version: 1"
    yield f"interface: {written(scene.name)}"
    if ranges := mesh(scene.interface):
        yield "mesh:"
        yield f"  cidr: [{', '.join(written(str(each)) for each in ranges)}]"


def _nodes(entries: tuple[_Entry, ...]) -> Iterator[str]:
    yield ""
    yield "nodes:"
    for entry in entries:
        yield f"  {written(entry.name)}:"
        if entry.remark:  # inside, so that a node has a line for each key, to be edited
            yield f"    # {entry.remark}"
        yield f"    public_key: {written(b64encode(entry.public_key).decode())}"
        if entry.addresses:
            yield f"    address: [{', '.join(written(str(each)) for each in entry.addresses)}]"
        yield f"    tags: [{MESH}]"
        if entry.transit:
            yield "    # IP forwarding is on, so peers may reach each other through this machine."
            yield "    # Without this line they could not."
            yield "    transit: true"
        if entry.routes:
            yield "    routes:"
            remarks = dict(_BEFORE_UP)
            for cidr, tag in entry.routes:
                yield from (f"      # {each}" for each in remarks.pop(tag, ()))
                yield f"      {_route(cidr, tag)}"
        for cidr in entry.unlisted:
            yield f"    # Not {cidr}: link-local or multicast, it never passes."


def _route(cidr: Network, tag: str) -> str:
    return f"- {{cidr: {written(str(cidr))}, tags: [{tag}]}}"


def _policy(entries: tuple[_Entry, ...]) -> Iterator[str]:
    yield ""
    yield "policy:"
    yield "  default: deny  # what no rule names"
    yield "  rules:"
    yield '    - {name: allow-all, from: ["*"], to: ["*"]}'
    subnets = dict.fromkeys(tag for entry in entries for _, tag in entry.routes)
    tested = (MESH, *subnets) if len(entries) > 1 else ()  # alone, nobody is across the tunnel
    if tested:
        yield "  tests:  # `krait check` runs them; a document that fails one is refused"
        for tag in tested:
            yield f"    - {{from: [{MESH}], to: [{tag}], expect: allow}}"
