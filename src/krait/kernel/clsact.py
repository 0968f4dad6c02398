# SPDX-License-Identifier: Apache-2.0
"""The older way to a TC hook: a clsact qdisc and a direct-action filter at the head of each side.

For kernels without TCX links. A filter lives as long as its device and the qdisc, not as long as
a file descriptor, and any tool may delete it. Nothing is remembered here: what is on the interface
is asked each time.

Sources: include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h, net/sched/{cls_api,cls_bpf}.c.
"""

from dataclasses import dataclass
from errno import EEXIST, EINVAL, ENOENT
from socket import htons
from struct import Struct

from krait.common.errors import SystemRefused
from krait.kernel.hook import Hook
from krait.kernel.netlink import (
    CREATE,
    DUMP,
    EXCLUSIVE,
    U32,
    Netlink,
    attribute,
    attributes,
    consistent,
    nested,
    refused,
    string,
    text,
    whole,
)

HEAD = 1
"""The pref (priority) that runs first; 0 means "choose one for me"."""

_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWTFILTER, _DELTFILTER, _GETTFILTER = 44, 45, 46

_HEADER = Struct("=BxxxiIII")  # tcmsg: family, ifindex, handle, parent, info
_KIND, _OPTIONS, _CHAIN = 1, 2, 11  # TCA_*
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _BPF_ID = 6, 7, 8, 11  # TCA_BPF_*
_DIRECT_ACTION = 1

_QDISC_PARENT, _QDISC_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_PARENT = {Hook.INGRESS: 0xFFFFFFF2, Hook.EGRESS: 0xFFFFFFF3}
_EVERY_PROTOCOL = htons(0x0003)  # ETH_P_ALL
_HANDLE = 1


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter on one side of an interface.

    `ours` goes by kind and name, which anybody may give: where it matters, compare `program_id`
    with the pinned program's. Those of a chain other than 0 run only if one of chain 0 goes there.
    """

    pref: int
    handle: int
    kind: str
    name: str
    program_id: int
    ours: bool
    chain: int = 0

    def __str__(self) -> str:
        """For people: `bpf other`, or the kind alone of a filter without a name."""
        return f"{self.kind} {self.name}".strip()


class Occupied(SystemRefused):
    """The place asked for is taken by `filters`; nothing was changed."""

    def __init__(self, ifindex: int, hook: Hook, filters: tuple[Filter, ...]) -> None:
        self.filters = filters
        names = ", ".join(map(str, filters))
        super().__init__(
            f"pref {filters[0].pref} of {hook.value} on interface {ifindex} is taken: {names}",
            hint="Move that filter to a higher pref (tc filter show), so that Krait runs first.",
        )


def filter_name(hook: Hook) -> str:
    """What our filter is called, in the kernel's lists too."""
    return f"krait_{hook.value}"


def ensure_qdisc(ifindex: int, *, ingress_alone: bool = False) -> bool:
    """Make sure the clsact qdisc is there; True if it was made now.

    The older `ingress` qdisc in its place will do for `ingress_alone`; else raises SystemRefused.
    """
    fitting = ("clsact", "ingress") if ingress_alone else ("clsact",)
    with Netlink() as netlink:
        try:
            netlink.tell(_NEWQDISC, _qdisc(ifindex) + text(_KIND, "clsact"), CREATE | EXCLUSIVE)
        except OSError as error:
            if error.errno == EEXIST and _qdisc_kind(netlink, ifindex) in fitting:
                return False
            raise _qdisc_refused(ifindex, error) from error
    return True


def remove_qdisc(ifindex: int) -> bool:
    """Take the clsact qdisc away if no filter of anybody is left on it; True if it was taken.

    A filter that another tool adds between the look and the removal is lost with it: call this
    only where the user asked to leave nothing behind.
    """
    with Netlink() as netlink:
        if _qdisc_kind(netlink, ifindex) != "clsact" or any(query(ifindex, hook) for hook in Hook):
            return False
        try:
            netlink.tell(_DELQDISC, _qdisc(ifindex))
        except OSError as error:
            if error.errno in _MISSING:
                return False
            raise _qdisc_refused(ifindex, error) from error
    return True


def attach(ifindex: int, hook: Hook, program_fd: int, *, pref: int = HEAD, name: str = "") -> None:
    """Put the program on a side that does not have it yet; the qdisc must be there.

    Here and below, `name` is that of our filter where it is not `filter_name`. Raises Occupied,
    with who is there, if the place is taken, be it by an earlier filter of ours.
    """
    place = _place(ifindex, hook, pref)
    try:
        with Netlink() as netlink:
            netlink.tell(
                _NEWTFILTER, place + _bpf(name or filter_name(hook), program_fd), CREATE | EXCLUSIVE
            )
    except OSError as error:
        there = tuple(f for f in query(ifindex, hook, name=name) if f.pref == pref and f.chain == 0)
        if there and error.errno in (EEXIST, EINVAL):  # EINVAL: of another kind or protocol
            raise Occupied(ifindex, hook, there) from error
        raise _filter_refused("attach to", ifindex, hook, error) from error


def replace(ifindex: int, hook: Hook, program_fd: int, *, name: str = "") -> None:
    """Swap the program of our filter for this one: each packet meets the one or the other.

    Pref, handle and place in the order stay. Raises SystemRefused if there is no filter of ours.
    """
    name = name or filter_name(hook)
    ours = [each for each in query(ifindex, hook, name=name) if each.ours]
    if not ours:
        raise SystemRefused(
            f"interface {ifindex} has no {name} to replace",
            hint="Attach it first; another tool may have deleted it.",
        )
    place = _place(ifindex, hook, ours[0].pref)
    try:
        with Netlink() as netlink:
            netlink.tell(_NEWTFILTER, place + _bpf(name, program_fd))
    except OSError as error:
        raise _filter_refused("replace the filter at", ifindex, hook, error) from error


def detach(ifindex: int, hook: Hook, *, name: str = "") -> None:
    """Take every filter of ours off; that there is none, or no interface, is no error."""
    with Netlink() as netlink:
        for each in query(ifindex, hook, name=name):
            if not each.ours:
                continue
            try:
                netlink.tell(_DELTFILTER, _place(ifindex, hook, each.pref) + text(_KIND, "bpf"))
            except OSError as error:
                if error.errno not in _MISSING:
                    raise _filter_refused("detach from", ifindex, hook, error) from error


def query(ifindex: int, hook: Hook, *, name: str = "") -> tuple[Filter, ...]:
    """The filters of a side in the order in which they run; none without a qdisc or interface."""
    question = _HEADER.pack(0, ifindex, 0, _PARENT[hook], 0)

    def look() -> tuple[Filter, ...]:
        with Netlink() as netlink:
            replies = netlink.ask(_GETTFILTER, question, DUMP)
            found = [decode(reply.body, name or filter_name(hook)) for reply in replies]
        return tuple(each for each in found if each is not None)

    try:
        return consistent(look)
    except (OSError, ValueError) as error:
        raise _filter_refused("list", ifindex, hook, error) from error


_MISSING = (ENOENT, EINVAL)


@whole("a filter")
def decode(body: memoryview, ours: str) -> Filter | None:
    """The filter of a message; `ours` is what ours are called there. None for what is none.

    Raises ValueError if it lacks a part.
    """
    _, _, handle, _, info = _HEADER.unpack_from(body)
    if handle == 0:
        return None  # the head of a pref
    fields = dict(attributes(body, _HEADER.size))
    kind = string(fields[_KIND])
    options = dict(attributes(fields[_OPTIONS])) if kind == "bpf" else {}
    name = string(options[_BPF_NAME]) if _BPF_NAME in options else ""
    chain = U32.unpack(fields[_CHAIN])[0] if _CHAIN in fields else 0
    return Filter(
        pref=info >> 16,
        handle=handle,
        kind=kind,
        name=name,
        program_id=U32.unpack(options[_BPF_ID])[0] if _BPF_ID in options else 0,
        ours=(name, handle, chain) == (ours, _HANDLE, 0),
        chain=chain,
    )


def _place(ifindex: int, hook: Hook, pref: int) -> bytes:
    return _HEADER.pack(0, ifindex, _HANDLE, _PARENT[hook], pref << 16 | _EVERY_PROTOCOL)


def _bpf(name: str, program_fd: int) -> bytes:
    return text(_KIND, "bpf") + nested(
        _OPTIONS,
        attribute(_BPF_FD, U32.pack(program_fd)),
        text(_BPF_NAME, name),
        attribute(_BPF_FLAGS, U32.pack(_DIRECT_ACTION)),
    )


def _qdisc(ifindex: int) -> bytes:
    return _HEADER.pack(0, ifindex, _QDISC_HANDLE, _QDISC_PARENT, 0)


def _qdisc_kind(netlink: Netlink, ifindex: int) -> str:
    """`clsact`, or `ingress` that shares its place, or nothing."""
    kind = ""
    for reply in netlink.ask(_GETQDISC, _HEADER.pack(0, ifindex, 0, 0, 0), DUMP):
        kind = decode_qdisc(reply.body, ifindex) or kind
    return kind


@whole("a qdisc")
def decode_qdisc(body: memoryview, ifindex: int) -> str:
    """The kind of a qdisc, if it is that of an interface's ingress.

    Raises ValueError if the message lacks a part.
    """
    _, index, _, parent, _ = _HEADER.unpack_from(body)
    if index != ifindex or parent != _QDISC_PARENT:
        return ""
    return string(dict(attributes(body, _HEADER.size))[_KIND])


def _qdisc_refused(ifindex: int, error: OSError) -> SystemRefused:
    if error.errno == EEXIST:
        return SystemRefused(
            f"interface {ifindex} has an ingress qdisc where clsact should be",
            hint="Delete it (tc qdisc del dev DEVICE ingress); clsact does what it did.",
        )
    return refused(f"cannot change the clsact qdisc of interface {ifindex}", error)


def _filter_refused(
    doing: str, ifindex: int, hook: Hook, error: OSError | ValueError
) -> SystemRefused:
    return refused(f"cannot {doing} {hook.value} of interface {ifindex}", error)
