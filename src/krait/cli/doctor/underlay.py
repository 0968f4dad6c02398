# SPDX-License-Identifier: Apache-2.0
"""Checks of what is around the tunnel: the ways to its peers, and who has its addresses already."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from krait.agent import source
from krait.cli.doctor import documents
from krait.cli.doctor.finding import Answer, Checks, note, ok, warn
from krait.cli.doctor.interface import Subject
from krait.common.errors import UsageError
from krait.kernel import clsact
from krait.kernel.bpf.link import tcx_query
from krait.kernel.facts import reverse_path_filter
from krait.kernel.filter import supported_kind
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.seat import AttachKind
from krait.kernel.underlay import Conflict, conflicts, occupants, ways, xdp_programs
from krait.policy.draft import INTERNET_BITS
from krait.policy.model import Network

_CALICOS_PORT = 51820
_STRICT = 1
_SHOWN = 3


def checks(subject: Subject, places: Sequence[Path]) -> Checks:
    """The group's registry; `places` is where the document may be."""
    link, device = subject.link, subject.device
    found = cache(lambda: {way.name: tuple(_programs(way.ifindex)) for way in subject.ways})
    prefixes = [cidr for peer in device.peers for cidr in peer.allowed_ips]
    return {
        "programs": lambda: programs(found()),
        "range": lambda: overlaps(conflicts(mesh(link, places), occupants(), ifindex=link.ifindex)),
        "replies": lambda: replies(
            link.name, _astray(link, prefixes), strict=reverse_path_filter(link.name) == _STRICT
        ),
        "calico": lambda: calico(
            device.listen_port, [each.name for each in subject.others], found()
        ),
    }


def programs(found: Mapping[str, Sequence[str]]) -> Answer:
    """Who else sees WireGuard's packets, by interface that leads to a peer."""
    if not found:
        return ok("no way to a peer is known yet")
    seen = [f"{each} of {name}" for name, programs in found.items() for each in programs]
    if not seen:
        return ok(f"no other program on {_names(list(found))}")
    devices = "\n".join(f"bpftool net show dev {name}" for name, those in found.items() if those)
    return note(
        f"{_names(seen)}: it may drop or redirect WireGuard's packets",
        f"where handshakes fail, look there:\n{devices}",
    )


def overlaps(found: Sequence[Conflict]) -> Answer:
    """Whether something else on this machine has addresses of the mesh's range."""
    if not found:
        return ok("nothing else here has addresses of the mesh")
    about, (worst, *_) = (
        [f"{each.occupant}, and {each.range} is the mesh's" for each in found],
        found,
    )
    which = "address" if worst.occupant.address is not None else "route"
    what = worst.occupant.address or worst.occupant.cidr
    answer = warn(
        f"{about[0]}: one of the two is not reached",
        f"Give the mesh a range that nothing here uses (`mesh: {{cidr: …}}`), or take the {which} "
        f"away (ip {which} show to {what}).",
    )
    return replace(answer, details=tuple(about[1:]))


def replies(name: str, astray: Sequence[tuple[Network, str]], *, strict: bool) -> Answer:
    """Whether what peers send is answered through the tunnel; `astray` goes by another interface.

    `strict` is its reverse path filter, which drops what would not be (IPv4 alone).
    """
    if not astray:
        return ok("what peers send is answered through the tunnel")
    cidr, other = astray[0]
    dropped = strict and cidr.version == 4
    fate = "and rp_filter drops what it sends" if dropped else "outside the tunnel"
    more = f"; {len(astray) - 1:,} more such" if len(astray) > 1 else ""
    return warn(
        f"{cidr} of a peer is answered through {other}, {fate}{more}",
        f"ip route add {cidr} dev {name}",
    )


def calico(port: int, interfaces: Iterable[str], found: Mapping[str, Sequence[str]]) -> Answer:
    """Whether Calico may take this interface's packets for its own WireGuard's."""
    traces = [name for name in interfaces if name.startswith("cali") or ".cali" in name]
    attached = [name for name, those in found.items() if any("cali_" in each for each in those)]
    if not traces and not attached:
        return ok("no trace of Calico")
    if port != _CALICOS_PORT:
        return ok(f"Calico is here, and leaves port {port} alone")
    words = f"Calico is here, and port {port} is its WireGuard's"
    fate = "in eBPF mode, 3.32 drops what comes there from others (calico#12900)"
    mend = "Update Calico, or use another port, in every peer's endpoint too: `listen-port 51821`."
    if attached:
        return warn(f"{words}, with programs on {_names(attached)}: {fate}", mend)
    return note(f"{words}: {fate}", mend)


def mesh(link: Link, places: Sequence[Path]) -> tuple[Network, ...]:
    """The mesh's ranges: the document's, else the interface's own prefixes."""
    if (found := documents.first(places)) is not None:
        with suppress(UsageError):  # what is wrong is the answer of `document`
            written = source.read(found, link.name).document
            if written.mesh is not None and written.mesh.cidrs:
                return written.mesh.cidrs
    own = (each.network for each in link.addresses if not each.is_link_local)
    return tuple(cidr for cidr in own if cidr.num_addresses > 1)


def _astray(link: Link, prefixes: Iterable[Network]) -> tuple[tuple[Network, str], ...]:
    """Allowed IPs that this machine's packets do not reach by the tunnel, and by what instead.

    Exits are left out: what is meant to go there is a matter of rules and marks.
    """
    if not link.up:
        return ()
    asked = [cidr for cidr in prefixes if cidr.prefixlen > INTERNET_BITS]
    found = zip(asked, ways(map(_member, asked)), strict=True)
    return tuple(
        (cidr, way.name) for cidr, way in found if way is not None and way.ifindex != link.ifindex
    )


def _member(cidr: Network) -> IPv4Address | IPv6Address:
    """An address in a prefix, one that a host can have."""
    return cidr[min(1, cidr.num_addresses - 1)]


def _programs(ifindex: int) -> Iterator[str]:
    yield from (f"XDP program {number}" for number in xdp_programs(ifindex))
    for hook in Hook:
        attached = tcx_query(ifindex, hook) if supported_kind() is AttachKind.TCX else ()
        yield from (f"{each} on {hook.value}" for each in attached)
        yield from (f"{each} on {hook.value}" for each in clsact.query(ifindex, hook))


def _names(names: Sequence[str]) -> str:
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    *others, last = [*names[:_SHOWN], *more]
    return f"{', '.join(others)} and {last}" if others else last
