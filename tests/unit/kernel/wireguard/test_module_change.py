# SPDX-License-Identifier: Apache-2.0
"""Changes packed for the kernel's WireGuard, read by a device that is as strict as the kernel's."""

from ipaddress import ip_network

import pytest

from krait.kernel.wireguard.change import DeviceChange, PeerChange
from krait.kernel.wireguard.device import NO_KEY
from krait.kernel.wireguard.module_change import MESSAGE_BYTES, pack
from krait.policy.endpoint import NotAnEndpoint
from krait.policy.model import Network
from tests.unit.kernel.wireguard.pretended import PretendedDevice, PretendedPeer

A, B, C = (bytes([letter]) * 32 for letter in b"ABC")
PRIVATE, PRESHARED = b"\xa5" * 32, b"\x5a" * 32


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


def many(count: int, first: int = 0) -> tuple[Network, ...]:
    """Prefixes of both families in turn."""
    return networks(
        *(
            f"fd00::{n:x}/128" if n % 2 else f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32"
            for n in range(first, first + count)
        )
    )


def apply(device: PretendedDevice, *changes: DeviceChange) -> PretendedDevice:
    for change in changes:
        buffer = bytearray(b"\xee" * MESSAGE_BYTES)  # what an earlier message left there
        for body in pack(device.ifindex, change, buffer):
            device.take(body)
    return device


def fresh(*changes: DeviceChange) -> PretendedDevice:
    return apply(PretendedDevice(7), *changes)


def test_a_device_and_a_peer_arrive_whole() -> None:
    peer = PeerChange(
        A,
        preshared_key=PRESHARED,
        endpoint="192.0.2.7:51821",
        keepalive_s=25,
        allowed_ips=networks("10.8.0.2/32", "fd7a:6b72::2/128", "10.20.0.0/24", "::/0"),
    )
    device = fresh(DeviceChange(PRIVATE, 51820, 9, (peer,)))
    assert (device.private_key, device.listen_port, device.fwmark) == (PRIVATE, 51820, 9)
    assert device.peers == {
        A: PretendedPeer(
            PRESHARED,
            "192.0.2.7:51821",
            25,
            ["10.8.0.2/32", "fd7a:6b72::2/128", "10.20.0.0/24", "::/0"],
        )
    }


@pytest.mark.parametrize(
    ("endpoint", "read"),
    [
        ("[2001:db8::9]:51820", "[2001:db8::9%0]:51820"),
        ("[fe80::9%3]:1", "[fe80::9%3]:1"),
        ("255.1.2.3:65535", "255.1.2.3:65535"),
    ],
)
def test_an_endpoint_of_each_family_arrives(endpoint: str, read: str) -> None:
    device = fresh(DeviceChange(peers=(PeerChange(A, endpoint=endpoint),)))
    assert device.peers[A].endpoint == read


def test_what_is_not_named_stays() -> None:
    peer = PeerChange(A, PRESHARED, "192.0.2.7:1", 25, networks("10.8.0.2/32"))
    device = fresh(DeviceChange(PRIVATE, 51820, 9, (peer,)))
    before = repr(device.peers)
    apply(device, DeviceChange(), DeviceChange(peers=(PeerChange(A),)))
    assert (device.private_key, device.listen_port, device.fwmark) == (PRIVATE, 51820, 9)
    assert repr(device.peers) == before


def test_what_is_named_as_nothing_goes() -> None:
    peer = PeerChange(A, PRESHARED, "192.0.2.7:1", 25, networks("10.8.0.2/32"))
    device = fresh(
        DeviceChange(PRIVATE, 51820, 9, (peer,)),
        DeviceChange(NO_KEY, 0, 0, (PeerChange(A, NO_KEY, None, 0, ()),)),
    )
    assert (device.private_key, device.listen_port, device.fwmark) == (NO_KEY, 0, 0)
    assert device.peers == {A: PretendedPeer(endpoint="192.0.2.7:1")}


def test_nothing_to_change_is_no_message() -> None:
    assert fresh(DeviceChange()).sizes == []


def test_allowed_ips_replace_what_the_peer_had() -> None:
    changes = [
        DeviceChange(peers=(PeerChange(A, allowed_ips=networks(*some)),))
        for some in (("10.0.0.0/8", "10.1.0.0/16"), ("10.1.0.0/16", "fd00::/8"))
    ]
    assert fresh(*changes).peers[A].allowed_ips == ["10.1.0.0/16", "fd00::/8"]


def test_peers_are_removed_before_others_are_added() -> None:
    seen: list[dict[bytes, PretendedPeer]] = []

    class Watched(PretendedDevice):
        def _set_peer(self, packed: bytes) -> None:
            super()._set_peer(packed)
            seen.append(dict(self.peers))

    device = apply(Watched(7), DeviceChange(peers=(PeerChange(A),)))
    apply(device, DeviceChange(peers=(PeerChange(B), PeerChange(C), PeerChange(A, remove=True))))
    assert [set(each) for each in seen] == [{A}, set(), {B}, {B, C}]


def test_ten_thousand_peers_are_seventeen_messages() -> None:
    peers = tuple(
        PeerChange(n.to_bytes(32, "big"), endpoint="192.0.2.7:51820", allowed_ips=(prefix,))
        for n, prefix in enumerate(
            networks(*(f"10.8.{n >> 8}.{n & 255}/32" for n in range(10_000)))
        )
    )
    device = fresh(DeviceChange(PRIVATE, peers=peers))
    assert len(device.sizes) == 17
    assert {key: tuple(networks(*peer.allowed_ips)) for key, peer in device.peers.items()} == {
        peer.public_key: peer.allowed_ips for peer in peers
    }


def test_a_peer_that_is_split_over_messages_keeps_all_and_loses_what_it_had() -> None:
    device = fresh(DeviceChange(peers=(PeerChange(A, allowed_ips=networks("192.0.2.0/24")),)))
    big = many(10_000)
    apply(device, DeviceChange(peers=(PeerChange(B), PeerChange(A, PRESHARED, allowed_ips=big))))
    assert len(device.sizes) > 5
    assert networks(*device.peers[A].allowed_ips) == big
    assert device.peers[A].preshared_key == PRESHARED


@pytest.mark.parametrize("before", range(1300, 1900, 7))
def test_wherever_a_message_ends_nothing_is_lost(before: int) -> None:
    """The last prefixes of one peer and the first of the next, moved over the border."""
    peers = (
        PeerChange(A, allowed_ips=many(before)),
        PeerChange(B, PRESHARED, "[2001:db8::9]:51820", 25, allowed_ips=many(60, first=before)),
        PeerChange(C, allowed_ips=many(1, first=before + 60)),
    )
    device = fresh(DeviceChange(PRIVATE, 1, 2, peers))
    for peer in peers:
        assert networks(*device.peers[peer.public_key].allowed_ips) == peer.allowed_ips


def test_the_device_is_changed_by_the_first_message_alone() -> None:
    peers = (PeerChange(A, allowed_ips=many(5_000)),)
    buffer = bytearray(MESSAGE_BYTES)
    first, *others = (bytes(body) for body in pack(7, DeviceChange(PRIVATE, peers=peers), buffer))
    assert PRIVATE in first
    assert others
    assert not any(PRIVATE in body for body in others)


def test_an_endpoint_that_is_none_is_refused() -> None:
    change = DeviceChange(peers=(PeerChange(A, endpoint="vpn.example:51820"),))
    with pytest.raises(NotAnEndpoint, match="is not an address and a port"):
        fresh(change)
