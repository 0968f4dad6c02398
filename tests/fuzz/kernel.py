# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of links, addresses, routes, rules and filters, and what its tables hold."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from krait.common import abi, structs
from krait.kernel import clsact, flows, link, link_watch, netlink, route, rule, underlay
from krait.kernel.route import Table
from krait.policy.model import Network
from tests.fuzz.target import Target

_RECORDED = Path(__file__).parent / "recorded" / "linux-6.18.messages"
_FILTER = "krait_ingress"
_NOW, _HZ = 1000, 250


def recorded(kind: str) -> tuple[bytes, ...]:
    """Messages of a real kernel: their bodies, but whole ones where they are events or answers."""
    lines = (line.split() for line in _RECORDED.read_text().splitlines())
    return tuple(bytes.fromhex(text) for name, text in lines if name == kind)


def read_messages(data: bytes) -> None:
    """Netlink's own two layers."""
    for each in netlink.messages(memoryview(data)):
        for _, payload in netlink.attributes(each.body):
            netlink.string(payload)


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
    """An address of an interface."""
    link.decode_address(memoryview(data))


def read_events(data: bytes) -> None:
    """Word of a change, from a kernel that may have told of others."""
    names = {7: "wg0", 8: "eth0"}
    for each in netlink.messages(memoryview(data)):
        for event in link_watch.events(each, names):
            assert event.name
    assert all(number > 0 and name for number, name in names.items())


def read_route(data: bytes) -> None:
    """A route of ours, or not."""
    for table in Table:
        found = route.decode(memoryview(data), table)
        assert found is None or 0 <= found.metric < 1 << 32


def read_rule(data: bytes) -> None:
    """A routing rule of ours, or not: one that we would find again, to take it away."""
    found = rule.decode(memoryview(data))
    assert found is None or isinstance(found, Network)


def read_occupants(data: bytes) -> None:
    """A route of anybody's."""
    found = underlay.decode_occupants(memoryview(data), {3: "v0"})
    assert len(found) <= len(data)


def read_filter(data: bytes) -> None:
    """A filter of clsact."""
    found = clsact.decode(memoryview(data), _FILTER)
    assert found is None or not found.ours or found.name == _FILTER


def read_flow(data: bytes) -> None:
    """An entry of the flow table, behind its key."""
    key, value = data[: structs.FLOW_KEY.size_bytes], data[structs.FLOW_KEY.size_bytes :]
    if len(value) != structs.FLOW.size_bytes:
        return  # the kernel gives entries of one length
    unpacked = structs.FLOW_KEY.codec.unpack(key), structs.FLOW.codec.unpack(value)
    found = flows.decode(*unpacked, _NOW, _HZ)
    if found is not None:
        assert 0 <= found.left_s <= abi.FLOW_TIMEOUT_S[found.state]
        assert found.opener.source[0].version == found.opener.destination[0].version


def _netlink_message() -> bytes:
    body = netlink.text(3, "wg0") + netlink.nested(18, netlink.text(1, "wireguard"))
    body += netlink.attribute(4, bytes(5))
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), 16, 2, 1, 0) + body


def _family_message() -> bytes:
    body = netlink.text(2, "wireguard") + netlink.attribute(1, netlink.U16.pack(0x1C))
    return netlink.GENERIC_HEADER.pack(1, 2, 0) + body


def _flow(family: int, a: tuple[int, int], b: tuple[int, int]) -> bytes:
    key = structs.FLOW_KEY.codec.pack(*a, *b, 40000, 443, 6, family, 0)
    return key + structs.FLOW.codec.pack(7 << 32 | 1 << 31 | 5, _NOW - 5, 3, 1 | abi.FIN_OPENER, 0)


def _body(decode: Callable[[memoryview], object]) -> Callable[[bytes], object]:
    return lambda data: decode(memoryview(data))


_FLOWS = (
    _flow(4, (0, 0x0A080001), (0, 0x0A080002)),
    _flow(6, (0xFD7A << 48, 1), (0xFD7A << 48, 2)),
)

TARGETS: Mapping[str, Target] = {
    "netlink": Target(read_messages, (ValueError,), (_netlink_message(), _netlink_message() * 3)),
    "family": Target(_body(netlink.decode_family), (ValueError,), (_family_message(),)),
    "answer": Target(read_answer, (ValueError,), recorded("answer")),
    "link": Target(read_link, (ValueError,), recorded("link")),
    "address": Target(read_address, (ValueError,), recorded("address")),
    "event": Target(read_events, (ValueError,), recorded("event")),
    "route": Target(read_route, (ValueError,), recorded("route")),
    "rule": Target(read_rule, (ValueError,), recorded("rule")),
    "occupants": Target(read_occupants, (ValueError,), recorded("occupants")),
    "leaving": Target(_body(underlay.decode_leaving), (ValueError,), recorded("leaving")),
    "xdp": Target(_body(underlay.decode_xdp), (ValueError,), recorded("xdp")),
    "filter": Target(read_filter, (ValueError,), recorded("filter")),
    "qdisc": Target(
        _body(partial(clsact.decode_qdisc, ifindex=3)), (ValueError,), recorded("qdisc")
    ),
    "flow": Target(read_flow, (), _FLOWS),
}
