# SPDX-License-Identifier: Apache-2.0
"""Reading dumps of the kernel's WireGuard: packed as the kernel packs them, and recorded.

The recording is one of Linux 6.12 (`.messages`, a body a line) and what `wg show dump` said of the
same device (`.wg`); its keys are those of RFC 7748, section 6.1, and bytes that repeat.
"""

import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from krait.kernel.netlink import attribute, nested
from krait.kernel.wireguard.device import NO_KEY, Device, Peer
from krait.kernel.wireguard.module import decode, essence
from tests.unit.kernel.wireguard.dump import PRESHARED_KEY, PRIVATE_KEY, Told, message

RECORDED = Path(__file__).parent / "recorded"

A, B, C = (bytes([letter]) * 32 for letter in b"ABC")

WHOLE = Told(
    A,
    ("10.8.0.2/32", "fd7a:6b72::2/128", "10.20.0.0/24"),
    endpoint=("192.0.2.7", 51821),
    handshake_s=1_700_000_000,
    rx_bytes=1 << 40,
    tx_bytes=3,
    keepalive_s=25,
)


def recorded() -> list[memoryview]:
    lines = (RECORDED / "linux-6.12.messages").read_text().split()
    return [memoryview(b64decode(line)) for line in lines]


def test_a_recorded_dump_reads_as_wg_shows_it() -> None:
    device = decode(recorded())
    own, *rows = (
        line.split("\t") for line in (RECORDED / "linux-6.12.wg").read_text().splitlines()
    )
    assert [b64encode(device.public_key).decode(), str(device.listen_port)] == own[1:3]
    read = [
        [
            b64encode(peer.public_key).decode(),
            peer.endpoint or "(none)",
            ",".join(map(str, peer.allowed_ips)) or "(none)",
            str(peer.latest_handshake_s),
            str(peer.rx_bytes),
            str(peer.tx_bytes),
            str(peer.keepalive_s or "off"),
        ]
        for peer in device.peers
    ]
    assert read == [[row[0], *row[2:]] for row in rows]


def test_nothing_secret_of_a_recorded_dump_is_kept() -> None:
    dump = recorded()
    private, preshared = _secrets()
    assert private in b"".join(dump)
    assert preshared in b"".join(dump)
    kept = pickle.dumps(decode(dump))
    assert private not in kept
    assert preshared not in kept


def _secrets() -> tuple[bytes, bytes]:
    own, first, *_ = (RECORDED / "linux-6.12.wg").read_text().splitlines()
    return b64decode(own.split("\t")[0]), b64decode(first.split("\t")[1])


def test_a_device_and_its_peer_are_read_whole() -> None:
    assert decode([message(WHOLE)]) == Device(
        name="wg0",
        ifindex=7,
        public_key=b"\x01" * 32,
        listen_port=51820,
        userspace=False,
        peers=(
            Peer(
                public_key=A,
                endpoint="192.0.2.7:51821",
                allowed_ips=tuple(map(ip_network, WHOLE.allowed_ips)),
                latest_handshake_s=1_700_000_000,
                rx_bytes=1 << 40,
                tx_bytes=3,
                keepalive_s=25,
            ),
        ),
    )


def test_a_mark_and_the_seal_of_a_preshared_key_are_read() -> None:
    device = decode([message(WHOLE), message(Told(B, continued=True), first=False)])
    assert device.fwmark == 0
    whole, bare = device.peers
    assert whole.has_preshared(PRESHARED_KEY)
    assert not whole.has_preshared(NO_KEY)
    assert bare.has_preshared(NO_KEY)
    assert PRESHARED_KEY not in pickle.dumps(device)


def test_a_device_without_a_key_and_a_peer_without_anything_are_read() -> None:
    device = decode([message(Told(A), public_key=None)])
    assert device.public_key == NO_KEY
    assert device.peers == (Peer(A, None, (), 0, 0, 0, 0),)


@pytest.mark.parametrize(
    ("scope", "written"), [(0, "[2001:db8::9]:51820"), (3, "[2001:db8::9%3]:51820")]
)
def test_an_ipv6_endpoint_is_written_in_brackets(scope: int, written: str) -> None:
    told = Told(A, endpoint=("2001:db8::9", 51820), scope=scope)
    assert decode([message(told)]).peers[0].endpoint == written


def test_a_peer_that_is_split_over_messages_is_merged_in_order() -> None:
    more = ("10.30.0.0/24", "10.31.0.0/24")
    parts = [
        message(Told(B, ("10.8.0.3/32",)), WHOLE),
        message(Told(A, more[:1], continued=True), first=False),
        message(Told(A, more[1:], continued=True), Told(C), first=False),
    ]
    peers = decode(parts).peers
    assert [peer.public_key for peer in peers] == [B, A, C]
    assert peers[1].allowed_ips == tuple(map(ip_network, WHOLE.allowed_ips + more))
    assert peers[1].endpoint == "192.0.2.7:51821"
    assert peers[1].rx_bytes == 1 << 40


def test_no_secret_is_in_what_was_read() -> None:
    device = decode([message(WHOLE)])
    for kept in (pickle.dumps(device), repr(device).encode()):
        for secret in (PRIVATE_KEY, PRESHARED_KEY):
            assert secret not in kept
            assert repr(secret)[2:-1].encode() not in kept
            assert secret.hex().encode() not in kept


def test_a_message_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="are left"):
        decode([message(WHOLE)[:-8]])
    with pytest.raises(ValueError, match="are left"):
        digest([message(WHOLE)[:-8]])


def test_a_dump_without_a_device_is_refused() -> None:
    with pytest.raises(ValueError, match="without a device"):
        decode([])


def digest(bodies: Iterable[memoryview]) -> bytes:
    return essence(bodies).digest


@pytest.mark.parametrize(
    "told",
    [
        replace(WHOLE, endpoint=("2001:db8::9", 1)),
        replace(WHOLE, endpoint=None),
        replace(WHOLE, handshake_s=1_700_000_120),
        replace(WHOLE, rx_bytes=0),
        replace(WHOLE, tx_bytes=1 << 50),
        replace(WHOLE, keepalive_s=0),
    ],
)
def test_the_digest_stays_when_a_peer_moves_and_speaks(told: Told) -> None:
    assert digest([message(told)]) == digest([message(WHOLE)])


def test_the_digest_stays_wherever_the_dump_is_split() -> None:
    other = Told(B, ("10.8.0.3/32",))
    whole = digest([message(WHOLE, other)])
    head = replace(WHOLE, allowed_ips=WHOLE.allowed_ips[:1])
    tail = Told(A, WHOLE.allowed_ips[1:], continued=True)
    assert digest([message(head), message(tail, other, first=False)]) == whole
    bare = replace(WHOLE, allowed_ips=())
    all_of_it = Told(A, WHOLE.allowed_ips, continued=True)
    assert digest([message(bare), message(all_of_it, other, first=False)]) == whole
    assert digest([message(WHOLE), message(other, first=False)]) == whole


_OTHERS: dict[str, Sequence[Told]] = {
    "another key": [replace(WHOLE, key=B)],
    "a prefix less": [replace(WHOLE, allowed_ips=WHOLE.allowed_ips[:2])],
    "another prefix length": [replace(WHOLE, allowed_ips=(*WHOLE.allowed_ips[:2], "10.20.0.0/25"))],
    "a peer more": [WHOLE, Told(B)],
    "a prefix that moved to the next peer": [
        replace(WHOLE, allowed_ips=WHOLE.allowed_ips[:2]),
        Told(B, WHOLE.allowed_ips[2:]),
    ],
    "no peer": [],
}


@pytest.mark.parametrize("peers", _OTHERS.values(), ids=_OTHERS)
def test_the_digest_changes_with_a_key_or_an_allowed_ip(peers: Sequence[Told]) -> None:
    assert digest([message(*peers)]) != digest([message(WHOLE)])


def test_the_digest_tells_whose_a_prefix_is() -> None:
    left = [Told(A, ("10.8.0.2/32", "10.8.0.3/32")), Told(B)]
    right = [Told(A, ("10.8.0.2/32",)), Told(B, ("10.8.0.3/32",))]
    assert digest([message(*left)]) != digest([message(*right)])


def test_the_digest_changes_with_the_devices_own_key() -> None:
    changed = message(WHOLE, public_key=b"\x02" * 32)
    assert digest([changed]) != digest([message(WHOLE)])


def test_the_essence_is_of_the_same_device() -> None:
    other = replace(WHOLE, key=b"\x77" * 32, allowed_ips=("10.9.0.0/16",))
    bodies = [
        message(WHOLE),
        message(replace(WHOLE, allowed_ips=("fd00::/64",), continued=True), other, first=False),
    ]
    whole, part = decode(bodies), essence(bodies).device()
    assert (part.name, part.ifindex, part.public_key) == (
        whole.name,
        whole.ifindex,
        whole.public_key,
    )
    assert [(each.public_key, each.allowed_ips) for each in part.peers] == [
        (each.public_key, each.allowed_ips) for each in whole.peers
    ]
    assert len(part.peers) == 2


def test_an_essence_holds_no_secret() -> None:
    found = pickle.dumps(essence([message(WHOLE)]))
    assert PRIVATE_KEY not in found
    assert PRESHARED_KEY not in found


def test_there_is_no_essence_of_a_dump_without_a_device() -> None:
    with pytest.raises(ValueError, match="without a device"):
        essence([message(WHOLE, first=False)])


@pytest.mark.parametrize(
    ("read", "peer"),
    [
        (decode, b""),
        (decode, attribute(9, b"")),
        (decode, attribute(1, A) + attribute(5, b"1")),
        (essence, attribute(9, b"")),
    ],
)
def test_a_peer_that_lacks_a_part_is_refused_as_what_is_cut_short_is(
    read: Callable[[Iterable[memoryview]], object], peer: bytes
) -> None:
    body = bytes(message()) + nested(8, nested(0, peer))
    with pytest.raises(ValueError, match="lacks a part"):
        read([memoryview(body)])


@pytest.mark.parametrize("read", [decode, essence])
def test_a_key_is_as_long_as_keys_are(read: Callable[[Iterable[memoryview]], object]) -> None:
    of_peer = bytes(message()) + nested(8, nested(0, attribute(1, A[:-1])))
    for body in (of_peer, bytes(message(public_key=b"short"))):
        with pytest.raises(ValueError, match="a key of"):
            read([memoryview(body)])
