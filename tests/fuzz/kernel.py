# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of links, addresses, routes, rules and filters, and what its tables hold."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct

from krait.common import abi, structs
from krait.kernel import clsact, device, flows, link, link_watch, netlink, route, rule, underlay
from krait.kernel.route import Table
from krait.policy.model import Network
from tests.fuzz.target import Refused, Target

_RECORDED = Path(__file__).parent / "recorded" / "linux-6.18.messages"
_FILTER = "krait_ingress"
_NOW, _HZ = 1000, 250
_NAMES = {3: "v0"}
_VERSION = {2: 4, 10: 6}  # AF_INET, AF_INET6
_UNICAST = 1  # RTN_UNICAST
_RTA_DST, _RTA_OIF, _RTA_METRIC, _RTA_METRICS, _RTA_MULTIPATH, _RTA_TABLE = 1, 4, 6, 8, 9, 15
_RTAX_MTU, _IFLA_XDP, _TCA_KIND = 2, 43, 1
_NEXT_HOP = Struct("=HBBi")
_FILTER_HEADER = Struct("=BxxxiIII")


def recorded(kind: str) -> tuple[bytes, ...]:
    """Messages of a real kernel: their bodies, but whole ones where they are events or answers."""
    lines = (line.split() for line in _RECORDED.read_text().splitlines())
    return tuple(bytes.fromhex(text) for name, text in lines if name == kind)


# The head of what a kernel said, for what no encoder of ours says.
_ROUTE_HEAD, _LINK_HEAD = recorded("leaving")[0][:12], recorded("xdp")[0][:16]
_INGRESS_HEAD = recorded("qdisc")[3][:20]


def read_messages(data: bytes) -> None:
    """Netlink's own two layers, of which nothing is passed over: written anew they are the same."""
    found = [(each, bytes(each.body)) for each in netlink.messages(memoryview(data))]
    written = b"".join(_written(each, body) for each, body in found)
    assert len(data) - len(written) < netlink.HEADER.size
    again = [(each, bytes(each.body)) for each in netlink.messages(memoryview(written))]
    assert again == found
    for _, body in found:
        parts = [(kind, bytes(part)) for kind, part in netlink.attributes(memoryview(body))]
        written = b"".join(netlink.attribute(*part) for part in parts)
        assert len(body) - len(written) < netlink.ATTRIBUTE.size
        assert [(k, bytes(part)) for k, part in netlink.attributes(memoryview(written))] == parts
        for kind, part in parts:
            said = netlink.string(memoryview(part))
            assert _parts(netlink.text(kind, said)) == {kind: part.partition(b"\0")[0] + b"\0"}


def _written(message: netlink.Message, body: bytes) -> bytes:
    length = netlink.HEADER.size + len(body)
    header = netlink.HEADER.pack(length, message.kind, message.flags, message.sequence, 0)
    return header + body + bytes(-length % 4)


def _parts(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes of a message, behind its header."""
    return {kind: bytes(part) for kind, part in netlink.attributes(memoryview(data), at)}


def read_family(data: bytes) -> None:
    """The number of a family, none of the kinds of messages that are netlink's own."""
    number = netlink.decode_family(memoryview(data))
    assert 0x10 <= number < 1 << 16
    assert netlink.decode_family(memoryview(_family_message(number))) == number


def read_answer(data: bytes) -> None:
    """That something was done, or why it was not."""
    for each in netlink.messages(memoryview(data)):
        error = netlink.refusal(each)
        assert error is None or 0 < (error.errno or 0) < 4096


def read_link(data: bytes) -> None:
    """An interface."""
    found = link.decode(memoryview(data))
    assert found.ifindex > 0
    assert 0 < len(found.name.encode(errors="surrogateescape")) < 16


def read_address(data: bytes) -> None:
    """An address of an interface: we would give it the same."""
    found = link.decode_address(memoryview(data))
    if found is not None:
        assert found[1].network.prefixlen == data[1]
        assert link.decode_address(memoryview(device.packed_address(*found))) == found


def read_events(data: bytes) -> None:
    """Word of a change, from a kernel that may have told of others."""
    names = {7: "wg0", 8: "eth0"}
    for each in netlink.messages(memoryview(data)):
        for event in link_watch.events(each, names):
            assert event.name
    assert all(number > 0 and name for number, name in names.items())


def read_route(data: bytes) -> None:
    """A route of ours, or not: one that we would find again, to take it away."""
    for table in Table:
        found = route.decode(memoryview(data), table)
        if found is not None:
            assert found.table == table
            written = route.packed(found)
            assert route.decode(memoryview(written), table) == found
            unsaid = {_RTA_DST: bytes(found.destination.max_prefixlen // 8), _RTA_METRIC: bytes(4)}
            assert _parts(written, 12).items() <= (unsaid | _parts(data, 12)).items()
            assert (data[:2], data[5], data[7]) == (written[:2], written[5], written[7])


def read_rule(data: bytes) -> None:
    """A routing rule of ours, or not: one that we would find again, to take it away."""
    found = rule.decode(memoryview(data))
    if found is not None:
        written = rule.packed(found)
        assert rule.decode(memoryview(written)) == found
        # By all of these the kernel knows which one is to go (fib_nl_delrule()).
        assert _parts(written, 12).items() <= _parts(data, 12).items()
        assert (data[:4], data[7]) == (written[:4], written[7])


def read_occupants(data: bytes) -> None:
    """A route of anybody's; of one of ours, the same as who looks for ours reads."""
    found = underlay.decode_occupants(memoryview(data), _NAMES)
    with suppress(ValueError):  # it wants more of a route than a range and who has it
        if ours := route.decode(memoryview(data), Table.MAIN):
            expected = _occupant(ours.destination, ours.ifindex, route.PROTOCOL, ours.metric)
            assert expected in found
    for each in found:
        assert (each.cidr.version, each.cidr.prefixlen) == (_VERSION[data[0]], data[1])
        assert 0 <= each.ifindex < 1 << 31
        ifindex = each.ifindex if data[7] == _UNICAST else None
        assert each == _occupant(found[0].cidr, ifindex, data[5], found[0].metric)
    hops = b"".join(_NEXT_HOP.pack(_NEXT_HOP.size, 0, 0, each.ifindex) for each in found)
    if found:
        to = netlink.attribute(_RTA_DST, found[0].cidr.network_address.packed)
        to += netlink.attribute(_RTA_TABLE, netlink.U32.pack(Table.MAIN))
        to += netlink.attribute(_RTA_METRIC, netlink.U32.pack(found[0].metric))
        written = data[:12] + to + netlink.nested(_RTA_MULTIPATH, hops)
        assert underlay.decode_occupants(memoryview(written), _NAMES) == found


def _occupant(cidr: Network, ifindex: int | None, protocol: int, metric: int) -> underlay.Occupant:
    """None is by no interface: a route that refuses."""
    if ifindex is None:
        return underlay.Occupant(cidr, "", protocol=protocol, metric=metric)
    name = _NAMES.get(ifindex, f"interface {ifindex}")
    return underlay.Occupant(cidr, name, ifindex, protocol, metric=metric)


def read_leaving(data: bytes) -> None:
    """The way to somebody: by the interface that who lists the routes reads."""
    kind, ifindex, mtu = found = underlay.decode_leaving(memoryview(data))
    metrics = netlink.attribute(_RTAX_MTU, netlink.U32.pack(mtu))
    written = _ROUTE_HEAD[:7] + bytes([kind]) + _ROUTE_HEAD[8:]
    written += netlink.attribute(_RTA_OIF, netlink.U32.pack(ifindex))
    written += netlink.nested(_RTA_METRICS, metrics)
    assert underlay.decode_leaving(memoryview(written)) == found
    with suppress(ValueError):  # it looks at the range, too
        listed = underlay.decode_occupants(memoryview(data), _NAMES)
        assert not (listed and listed[0].interface and ifindex) or listed[0].ifindex == ifindex


def read_xdp(data: bytes) -> None:
    """The programs on an interface, each once."""
    found = underlay.decode_xdp(memoryview(data))
    assert len(set(found)) == len(found) <= 4
    assert all(0 < number < 1 << 32 for number in found)
    programs = (netlink.attribute(4 + n, netlink.U32.pack(id_)) for n, id_ in enumerate(found))
    written = _LINK_HEAD + netlink.nested(_IFLA_XDP, *programs)
    assert underlay.decode_xdp(memoryview(written)) == found


def read_filter(data: bytes) -> None:
    """A filter of clsact: ours only at the place and by the name that ours have."""
    found = clsact.decode(memoryview(data), _FILTER)
    if found is not None:
        said = (found.kind, found.name, found.handle, found.chain)
        assert found.ours == (said == ("bpf", _FILTER, 1, 0))
        identity = netlink.attribute(11, netlink.U32.pack(found.program_id))  # TCA_BPF_ID
        written = _FILTER_HEADER.pack(0, 3, found.handle, 0, found.pref << 16)
        written += netlink.text(_TCA_KIND, found.kind)
        written += netlink.nested(2, netlink.text(7, found.name), identity)  # TCA_BPF_NAME
        written += netlink.attribute(11, netlink.U32.pack(found.chain))  # TCA_CHAIN
        assert clsact.decode(memoryview(written), _FILTER) == found


def read_qdisc(data: bytes) -> None:
    """The kind of what is at an interface's ingress, and at no other's."""
    found = clsact.decode_qdisc(memoryview(data), 3)
    assert "\0" not in found
    if found:
        assert clsact.decode_qdisc(memoryview(data), 4) == ""
        written = _INGRESS_HEAD + netlink.text(_TCA_KIND, found)
        assert clsact.decode_qdisc(memoryview(written), 3) == found


def read_flow(data: bytes) -> None:
    """An entry of the flow table, behind its key."""
    key, value = data[: structs.FLOW_KEY.size_bytes], data[structs.FLOW_KEY.size_bytes :]
    if len(value) != structs.FLOW.size_bytes:
        raise Refused("the kernel gives entries of one length")
    unpacked = structs.FLOW_KEY.codec.unpack(key), structs.FLOW.codec.unpack(value)
    found = flows.decode(*unpacked, _NOW, _HZ)
    if found is not None:
        assert 0 <= found.left_s <= abi.FLOW_TIMEOUT_S[found.state]
        assert not found.marks & ~abi.FLOW_MARKS
        assert found.opener.source[0].version == found.opener.destination[0].version
        assert flows.decode(*_entry(found), _NOW, _HZ) == found


def _entry(flow: flows.LiveFlow) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Key and value of a flow, its opener first."""
    (a, port_a), (b, port_b) = flow.opener.source, flow.opener.destination
    ends = (*divmod(int(a), 1 << 64), *divmod(int(b), 1 << 64))
    seen = (_NOW - round(flow.age_s * _HZ)) % (1 << 32)
    word = flow.revision << 32 | flow.allowed << 31
    return (
        (*ends, port_a, port_b, flow.opener.protocol, a.version, 0),
        (word, seen, flow.rule, flow.state | flow.marks, 0),
    )


def _netlink_message() -> bytes:
    body = netlink.text(3, "wg0") + netlink.nested(18, netlink.text(1, "wireguard"))
    body += netlink.attribute(4, bytes(5))
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), 16, 2, 1, 0) + body


def _family_message(number: int) -> bytes:
    body = netlink.text(2, "wireguard") + netlink.attribute(1, netlink.U16.pack(number))
    return netlink.GENERIC_HEADER.pack(1, 2, 0) + body


def _flow(family: int, a: tuple[int, int], b: tuple[int, int]) -> bytes:
    key = structs.FLOW_KEY.codec.pack(*a, *b, 40000, 443, 6, family, 0)
    return key + structs.FLOW.codec.pack(7 << 32 | 1 << 31 | 5, _NOW - 5, 3, 1 | abi.FIN_OPENER, 0)


_FLOWS = (
    _flow(4, (0, 0x0A080001), (0, 0x0A080002)),
    _flow(6, (0xFD7A << 48, 1), (0xFD7A << 48, 2)),
)

TARGETS: Mapping[str, Target] = {
    "netlink": Target(read_messages, (ValueError,), (_netlink_message(), _netlink_message() * 3)),
    "family": Target(read_family, (ValueError,), (_family_message(0x1C),)),
    "answer": Target(read_answer, (ValueError,), recorded("answer")),
    "link": Target(read_link, (ValueError,), recorded("link")),
    "address": Target(read_address, (ValueError,), recorded("address")),
    "event": Target(read_events, (ValueError,), recorded("event")),
    "route": Target(read_route, (ValueError,), recorded("route")),
    "rule": Target(read_rule, (ValueError,), recorded("rule")),
    "occupants": Target(read_occupants, (ValueError,), recorded("occupants")),
    "leaving": Target(read_leaving, (ValueError,), recorded("leaving")),
    "xdp": Target(read_xdp, (ValueError,), recorded("xdp")),
    "filter": Target(read_filter, (ValueError,), recorded("filter")),
    "qdisc": Target(read_qdisc, (ValueError,), recorded("qdisc")),
    "flow": Target(read_flow, (Refused,), _FLOWS),
}
