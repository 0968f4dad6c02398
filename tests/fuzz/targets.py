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
from krait.policy.formatted import formatted
from krait.policy.model import Document, Mark
from krait.policy.reread import reread
from tests.fuzz import files, kernel
from tests.fuzz.target import Refused, Target
from tests.strategies.packets import Extension, echo, error, ip, ip4, ip6, tcp, udp
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


def read_formatted(data: bytes) -> None:
    """What loads has one form, in which it means the same, and which stays as it is."""
    document = load(data, "fuzz.yaml")
    try:
        new = formatted(data, "fuzz.yaml")
        assert formatted(new, "fuzz.yaml") == new
    except KraitError as error:
        raise AssertionError("a document that loads has no form") from error
    assert essence_of(load(new, "fuzz.yaml")) == essence_of(document)


def read_packet(data: bytes) -> None:
    """As both of the frame's protocols, of which one at most is its own."""
    found = {version: packet.parse(data, kind) for version, kind in packet.ETHERTYPE.items()}
    read = {version: each for version, each in found.items() if isinstance(each, packet.Packet)}
    if not read:
        raise Refused(str(found))
    ((version, one),) = read.items()
    assert version == data[0] >> 4
    require_whole(one, data)
    require_likely(one)


def require_whole(found: packet.Packet, frame: bytes) -> None:
    """It is in its frame, and what is around its headers changes nothing."""
    version, kind = found.source.version, packet.ETHERTYPE[found.source.version]
    size, body = packet.size_bytes(frame), packet.after_ip_headers(frame)
    assert {4: 20, 6: 40}[version] + len(body) <= size <= len(frame)
    assert frame[:size].endswith(body)
    assert packet.parse(frame[:size], kind) == found
    assert packet.parse(frame[:size] + b"\xff" * 9, kind) == found
    if found.fragment:
        assert found.fragment.length == len(body)
        assert found.fragment.protocol == (found.protocol if version == 4 else 0)
    if not found.is_later_fragment:
        plain = ip(found.source, found.destination, found.protocol, body)
        assert packet.parse(plain, kind) == replace(found, fragment=None)


def require_likely(found: packet.Packet) -> None:
    """What is said of it is in range and fits together."""
    assert found.source.version == found.destination.version
    assert not found.source.is_multicast
    assert all(0 <= port < 1 << 16 for port in found.ports or ())
    if found.fragment:
        assert found.fragment.offset % 8 == 0
        assert 0 < found.fragment.length <= 0xFFFF - found.fragment.offset
    if found.is_later_fragment:
        bare = packet.Packet(found.source, found.destination, found.protocol)
        assert found == replace(bare, fragment=found.fragment)
    assert (found.message is packet.Message.ERROR) == (found.inner is not None)
    if found.inner:
        assert found.inner.source == found.destination
        assert found.inner.ports is not None
        assert found.inner.fragment is None
        assert found.inner.message not in (packet.Message.ERROR, packet.Message.STEERING)
        require_likely(found.inner)


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
    ip6(_SIX, "fd00:8::2", 6, pack(">HHI", 1, 2, 3), extensions=(Extension.fragment(),)),
)

_EVERYTHING = Path(__file__).with_name("everything.yaml")
_EDITED = (*(EXAMPLES / f"{name}.yaml" for name in ("exit", "routing", "small")), _EVERYTHING)
_BEFORE = tuple(path.read_bytes() for path in _EDITED)
# Comments in all places, words in quotes that need them and that do not: no other seed has them.
_COMMENTED = b"""\
# A mesh.

# Who is in it.
nodes:
  "10": {public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", tags: ["null", 'web', "no"]} #
  db1:         # another
    public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
    address: "fd00::2"
    tags: db # near

    # behind it
    routes: [{cidr: "10.9.0.0/16", tags: [lan]}]
  # no more
policy:
  rules: # all
  - # the first
    {to: db, # whom
     from: [web, # who
       lan], name: a} # its end
  tests: [] # none
# The end.
"""

TARGETS: Mapping[str, Target] = {
    "document": Target(
        *(read_document, (KraitError,)),
        tuple(path.read_bytes() for path in (*sorted(EXAMPLES.glob("*.yaml")), _EVERYTHING)),
        runs=4_000,
    ),
    "fmt": Target(read_formatted, (KraitError,), (*_BEFORE, _COMMENTED), runs=800),
    "edit": Target(read_edited, (), _BEFORE, runs=500),
    "wireguard": Target(read_wireguard, (ValueError,), (_DUMP,)),
    "essence": Target(read_essence, (ValueError,), (_DUMP,)),
    "userspace": Target(read_userspace, (ValueError,), (_SAID,), runs=4_000),
    "packet": Target(read_packet, (Refused,), _PACKETS, runs=12_000),
    **kernel.TARGETS,
    **files.TARGETS,
}
