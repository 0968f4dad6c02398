# SPDX-License-Identifier: Apache-2.0
"""What Krait on an interface does not cover, as far as this machine is open to it.

The threat model has the whole list; see docs/threat-model.md.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from krait.agent.guarded import Guarded
from krait.cli.doctor.finding import Answer, Checks, note, ok, warn
from krait.cli.doctor.interface import Subject
from krait.common.guard import GuardReason
from krait.common.words import plural
from krait.kernel.facts import packet_sockets, reverse_path_filter
from krait.kernel.link import Link
from krait.kernel.surroundings import LOOPBACK
from krait.policy.model import Address

_WHERE = "in a netfilter input chain (neither arp_ignore nor rp_filter drops it):"
_STRICT = 1
_SHOWN = 3
_TO, _FROM = GuardReason.DESTINATION, GuardReason.SOURCE


def checks(subject: Subject, guard: Callable[[], Guarded | None]) -> Checks:
    """The group's registry; `lo` is no other interface, for its packets meet no remote peer.

    `guard` tells where the guard is, if there is one.
    """
    others = tuple(each for each in subject.others if each.ifindex != LOOPBACK)
    found = cache(guard)
    return {
        "weak-host": lambda: weak_host(subject.link, others, found()),
        "spoofing": lambda: spoofing(
            {each.name: _filter(each) for each in _bare(others, found())}, found()
        ),
        "lo": lambda: loopback(subject.link),
        "packet-sockets": lambda: sniffers(packet_sockets(subject.link.ifindex)),
    }


def weak_host(link: Link, others: tuple[Link, ...], guard: Guarded | None = None) -> Answer:
    """Linux takes a packet for any of its addresses on any interface (RFC 1122, 3.3.4.2)."""
    if not others:
        return ok("no other interface is up")
    others = _bare(others, guard)
    if not others:
        return ok(f"guarded: what comes to it through other interfaces drops{_dropped(guard, _TO)}")
    reachable = [each.ip for each in link.addresses if not each.is_link_local]
    if not reachable:
        return ok("no address that other interfaces could be reached by")
    names = _names([each.name for each in others])
    shown = _names(list(map(str, reachable)))
    return warn(
        f"{shown} {'is' if len(reachable) == 1 else 'are'} reachable through {names} too, and "
        "unjudged there; doctor cannot see whether a firewall drops that",
        _mend(link, guard, reachable),
    )


def _mend(link: Link, guard: Guarded | None, reachable: list[Address]) -> str:
    if guard is not None:
        return f"The guard should be there: krait status {link.name} says why it is not."
    rules = "\n".join((_WHERE, *_drops(link.name, reachable)))
    return f"say `guard: true` in the document's `policy`; or drop it\n{rules}"


def _bare(others: tuple[Link, ...], guard: Guarded | None) -> tuple[Link, ...]:
    """Those that nothing of Krait's is on."""
    if guard is None:
        return others
    return tuple(each for each in others if each.name in guard.missing)


def _dropped(guard: Guarded | None, reason: GuardReason) -> str:
    count = guard.drops.get(reason) if guard else None
    return f"; {plural(count.packets, 'packet')} so far" if count else ""


def _drops(name: str, addresses: list[Address]) -> Iterator[str]:
    """A rule of nftables for each family; a link-local address is each interface's own."""
    for version, family in ((4, "ip"), (6, "ip6")):
        own = ", ".join(str(each) for each in addresses if each.version == version)
        if own:
            yield f'iifname != {{ lo, "{name}" }} {family} daddr {{ {own} }} drop'


def spoofing(filters: Mapping[str, int | None], guard: Guarded | None = None) -> Answer:
    """`filters` is rp_filter by interface that is not guarded; None where it is gone meanwhile."""
    loose = [name for name, value in filters.items() if value not in (_STRICT, None)]
    if loose:
        return warn(
            f"{_names(loose)} {'takes' if len(loose) == 1 else 'take'} packets whose IPv4 source "
            "is a mesh address",
            f"sysctl -w net.ipv4.conf.{loose[0].replace('.', '/')}.rp_filter={_STRICT}\n"
            "(strict; each path must be symmetric. Loose, 2, lets them in: the mesh has a route)",
        )
    if guard is not None:
        return ok(f"guarded: what poses as a node elsewhere drops{_dropped(guard, _FROM)}")
    return ok("no other interface takes IPv4 packets from mesh addresses")


def loopback(link: Link) -> Answer:
    """What never leaves the machine: nothing to look at, and good to know."""
    return note(f"what this machine sends to itself passes lo, not {link.name}: not judged")


def sniffers(open_now: int) -> Answer:
    """`open_now` packet sockets see the interface, or all."""
    count = f"; {open_now} {'is' if open_now == 1 else 'are'} open now" if open_now else ""
    return note(
        "a packet socket (tcpdump; CAP_NET_RAW) sees packets before they drop, and may send past "
        f"the queue{count}"
    )


def _filter(link: Link) -> int | None:
    return reverse_path_filter(link.name)


def _names(names: list[str]) -> str:
    more = len(names) - _SHOWN
    shown = [*names[:_SHOWN], *([f"{more} more"] if more > 0 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
