# SPDX-License-Identifier: Apache-2.0
"""What reads bytes of others, each with valid ones to begin from and the errors it may raise."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from struct import pack

from krait.common.errors import KraitError
from krait.kernel.link import Link
from krait.kernel.wireguard import Device, module, userspace
from krait.policy import packet
from krait.policy.document import load
from krait.policy.model import Document, Mark
from krait.policy.reread import reread
from tests.fuzz import files, kernel
from tests.fuzz.target import Target
from tests.strategies.packets import Extension, echo, error, ip4, ip6, tcp, udp
from tests.strategies.text import document_as_yaml
from tests.unit.kernel.wireguard.dump import Told, message

EXAMPLES = Path(__file__).parents[2] / "examples"


def read_document(data: bytes) -> None:
    """What loads means the same once it was written anew."""
    document = load(data, "fuzz.yaml")
    again = load(document_as_yaml(document), "fuzz.yaml")
    assert essence_of(again) == essence_of(document)


def read_edited(data: bytes) -> None:
    """An edited document that is read in part is the one that is read as a whole."""
    for text in _BEFORE:
        after = reread(load(text, "fuzz.yaml"), text, data)
        assert after is None or after == load(data, "fuzz.yaml")


def essence_of(document: Document) -> object:
    """All that `document_as_yaml` writes."""
    nowhere = Mark(1, 1)
    nodes = [
        (
            *(node.name, node.public_key, node.tags, node.addresses, node.transit, node.via),
            [(route.cidr, route.tags) for route in node.routes],
        )
        for node in document.nodes
    ]
    rules = [
        replace(
            rule,
            mark=nowhere,
            sources=replace(rule.sources, text=""),
            destinations=replace(rule.destinations, text=""),
        )
        for rule in document.policy.rules
    ]
    cidrs = document.mesh.cidrs if document.mesh else None
    return cidrs, nodes, document.policy.default, document.policy.strict, rules


def read_wireguard(data: bytes) -> None:
    """One message of a dump."""
    require_possible(module.decode([memoryview(data)]))


def read_essence(data: bytes) -> None:
    """The same, as far as the policy wants it."""
    found = module.essence([memoryview(data)])
    assert len(found.digest) == 16
    require_possible(found.device())


def read_userspace(data: bytes) -> None:
    """What a process says of its device, behind the end of a line."""
    pairs = [pair for pair in userspace.told([memoryview(b"\n" + data)]) if pair[0] != "errno"]
    require_possible(userspace.decode(_LINK, pairs))


def require_possible(device: Device) -> None:
    """What is decoded is in the range of its field."""
    assert device.ifindex > 0
    assert 0 <= device.listen_port < 1 << 16
    assert 0 <= device.fwmark < 1 << 32
    assert len(device.public_key) == 32
    for peer in device.peers:
        assert len(peer.public_key) == 32
        assert 0 <= peer.keepalive_s < 1 << 16
        counts = (peer.latest_handshake_s, peer.rx_bytes, peer.tx_bytes)
        assert all(0 <= each < 1 << 64 for each in counts)


def read_packet(data: bytes) -> None:
    """Both of the frame's protocols, whatever the packet is."""
    for kind in packet.ETHERTYPE.values():
        packet.parse(data, kind)


_DUMP = bytes(
    message(
        Told(b"\2" * 32, ("10.8.0.2/32", "fd00::2/128"), ("192.0.2.1", 51820), keepalive_s=25),
        Told(b"\3" * 32, ("10.9.0.0/16",), ("2001:db8::1", 51820), scope=2),
    )
)
_LINK = Link(7, "wg0", "tun", 1420, up=True)
_SAID = b"\n".join(
    (
        b"private_key=" + b"77" * 32,
        b"listen_port=51820\nfwmark=0x1",
        b"public_key=" + b"aa" * 32,
        b"preshared_key=" + b"5a" * 32,
        b"endpoint=[2001:db8::1]:51820\nlast_handshake_time_sec=1700000000\ntx_bytes=3\nrx_bytes=4",
        b"persistent_keepalive_interval=25\nallowed_ip=10.8.0.2/32\nallowed_ip=fd00::2/128",
        b"public_key=" + b"bb" * 32,
        b"allowed_ip=10.9.0.0/16\n",
    )
)
_FOUR, _SIX = map(ip_address, ("10.8.0.1", "fd00:8::1"))
_PACKETS = (
    ip4(_FOUR, "10.8.0.2", 6, tcp(40000, 80, 2), options=bytes(4)),
    ip4(_FOUR, "10.8.0.2", 17, udp(40000, 53), fragment=0x2000),
    error("10.8.0.2", _FOUR, 3, ip4(_FOUR, "10.8.0.2", 1, echo(8, 7))),
    ip6(
        _SIX, "fd00:8::2", 58, echo(128, 7), extensions=(Extension.options(0), Extension.routing())
    ),
    ip6(_SIX, "fd00:8::2", 6, pack(">HH", 1, 2), extensions=(Extension.fragment(),)),
)

_EVERYTHING = Path(__file__).with_name("everything.yaml")
_EDITED = (*(EXAMPLES / f"{name}.yaml" for name in ("exit", "routing", "small")), _EVERYTHING)
_BEFORE = tuple(path.read_bytes() for path in _EDITED)

TARGETS: Mapping[str, Target] = {
    "document": Target(
        *(read_document, (KraitError,)),
        tuple(path.read_bytes() for path in (*sorted(EXAMPLES.glob("*.yaml")), _EVERYTHING)),
        runs=4_000,
    ),
    "edit": Target(read_edited, (), _BEFORE, runs=500),
    "wireguard": Target(read_wireguard, (ValueError,), (_DUMP,)),
    "essence": Target(read_essence, (ValueError,), (_DUMP,)),
    "userspace": Target(read_userspace, (ValueError,), (_SAID,), runs=4_000),
    "packet": Target(read_packet, (), _PACKETS),
    **kernel.TARGETS,
    **files.TARGETS,
}
