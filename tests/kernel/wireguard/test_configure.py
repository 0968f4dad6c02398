# SPDX-License-Identifier: Apache-2.0
"""Configuring real WireGuard interfaces: the kernel's where it has them, and wireguard-go's."""

import os
import socket
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.device import MARK
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.netlink import GENERIC, Netlink
from krait.kernel.wireguard import NO_KEY, NotWireguard, observe
from krait.kernel.wireguard.configure import DeviceChange, PeerChange, configure
from krait.policy.model import Network
from tests.kernel.wireguard.daemon import wireguard_go
from tests.requirements import need_tools

need_tools("ip", "wg", "wireguard-go")

pytestmark = pytest.mark.usefixtures("netns")

SECRET, PRESHARED = b"\x40" + bytes(range(1, 31)) + b"\x41", b"\x5a" * 32


def run(*command: str, stdin: str = "") -> str:
    return subprocess.run(command, check=True, input=stdin, capture_output=True, text=True).stdout


def kernel_has_wireguard() -> bool:
    with Netlink(GENERIC) as netlink:
        return netlink.family("wireguard") is not None


@pytest.fixture(params=["module", "userspace"])
def device(
    request: pytest.FixtureRequest,
    netns: None,  # noqa: ARG001 - to be inside it
) -> Iterator[str]:
    name = f"kr{os.getpid()}c"
    if request.param == "userspace":
        with wireguard_go(name):
            yield name
        return
    if not kernel_has_wireguard():
        # Not `cannot_run`: the tier of virtual machines runs it.
        pytest.skip("no WireGuard in this kernel; the virtual machines' have it")
    run("ip", "link", "add", name, "type", "wireguard")
    yield name


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def look(name: str) -> Link:
    link = observe_link(name)
    assert link
    return link


def shown(device: str) -> list[list[str]]:
    """What `wg` says: the device, then its peers in the order of their keys."""
    own, *peers = (line.split("\t") for line in run("wg", "show", device, "dump").splitlines())
    return [own, *sorted(peers, key=lambda peer: b64decode(peer[0]))]


def test_a_change_is_made_as_wg_shows_it(device: str) -> None:
    one = PeerChange(
        key(1),
        preshared_key=PRESHARED,
        endpoint="192.0.2.7:51821",
        keepalive_s=25,
        allowed_ips=networks("10.8.0.2/32", "fd7a:6b72::2/128"),
    )
    two = PeerChange(key(2), endpoint="[2001:db8::7]:1", allowed_ips=networks("10.20.0.0/24"))
    configure(look(device), DeviceChange(SECRET, 51999, 7, (one, two)))
    own, first, second = shown(device)
    assert b64decode(own[0]) == SECRET
    assert own[1] == run("wg", "pubkey", stdin=own[0]).strip()
    assert own[2:] == ["51999", "0x7"]
    assert [b64decode(first[0]), b64decode(first[1])] == [key(1), PRESHARED]
    assert first[2] == "192.0.2.7:51821"
    assert set(first[3].split(",")) == {"10.8.0.2/32", "fd7a:6b72::2/128"}
    assert first[7] == "25"
    assert second == [
        *(b64encode(key(2)).decode(), "(none)", "[2001:db8::7]:1", "10.20.0.0/24"),
        *("0", "0", "0", "off"),
    ]


def test_what_was_configured_is_observed_without_its_secrets(device: str) -> None:
    peers = (PeerChange(key(1), PRESHARED, "192.0.2.7:1", 25), PeerChange(key(2)))
    configure(look(device), DeviceChange(SECRET, 51999, 7, peers))
    seen = observe(device)
    assert (seen.listen_port, seen.fwmark) == (51999, 7)
    one, two = sorted(seen.peers, key=lambda peer: peer.public_key)
    assert (one.endpoint, one.keepalive_s) == ("192.0.2.7:1", 25)
    assert one.has_preshared(PRESHARED)
    assert two.has_preshared(NO_KEY)
    assert not two.has_preshared(PRESHARED)


def test_what_is_named_changes_and_the_rest_stays(device: str) -> None:
    whole = PeerChange(key(1), PRESHARED, "192.0.2.7:1", 25, networks("10.8.0.2/32"))
    configure(look(device), DeviceChange(SECRET, 51999, 7, (whole, PeerChange(key(2)))))
    before = shown(device)
    configure(look(device), DeviceChange())
    configure(look(device), DeviceChange(peers=(PeerChange(key(1)),)))
    assert shown(device) == before
    configure(look(device), DeviceChange(peers=(PeerChange(key(1), NO_KEY, keepalive_s=0),)))
    _, first, _ = shown(device)
    assert first[1:4] == ["(none)", "192.0.2.7:1", "10.8.0.2/32"]
    assert first[7] == "off"
    more = PeerChange(key(2), allowed_ips=networks("10.8.0.2/32", "10.8.0.3/32"))
    configure(look(device), DeviceChange(peers=(more, PeerChange(key(1), remove=True))))
    _, second = shown(device)
    assert b64decode(second[0]) == key(2)
    assert set(second[3].split(",")) == {"10.8.0.2/32", "10.8.0.3/32"}
    configure(look(device), DeviceChange(peers=(PeerChange(key(1), remove=True),)))
    assert len(shown(device)) == 2


def test_two_peers_exchange_their_prefixes_in_one_change(device: str) -> None:
    a, b = networks("10.8.0.1/32"), networks("10.8.0.2/32")
    for one, two in ((a, b), (b, a)):
        peers = (PeerChange(key(1), allowed_ips=one), PeerChange(key(2), allowed_ips=two))
        configure(look(device), DeviceChange(peers=peers))
    assert {each.public_key: each.allowed_ips for each in observe(device).peers} == {
        key(1): b,
        key(2): a,
    }


def test_thousands_of_peers_and_of_allowed_ips_arrive(device: str) -> None:
    wanted = {
        key(n): networks(f"10.8.{n >> 8}.{n & 255}/32", f"fd7a:6b72::{n:x}/128")
        for n in range(1, 2_001)
    }
    wanted[key(1)] += networks(*(f"10.{64 + (n >> 8)}.{n & 255}.0/24" for n in range(5_000)))
    peers = tuple(PeerChange(key, allowed_ips=prefixes) for key, prefixes in wanted.items())
    configure(look(device), DeviceChange(SECRET, peers=peers))
    seen = {peer.public_key: set(peer.allowed_ips) for peer in observe(device).peers}
    assert seen == {key: set(prefixes) for key, prefixes in wanted.items()}
    removals = tuple(PeerChange(key, remove=True) for key in wanted)
    configure(look(device), DeviceChange(peers=removals))
    assert observe(device).peers == ()


def test_a_port_in_use_is_refused_with_the_mend_and_without_the_key(device: str) -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "set", device, "up")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 51998))
        with pytest.raises(SystemRefused, match="UDP port 51998 is in use") as told:
            configure(look(device), DeviceChange(SECRET, 51998))
    assert "ss -lunp" in told.value.hint
    error: BaseException | None = told.value
    while error is not None:
        assert SECRET.hex() not in repr(error)
        error = error.__cause__ or error.__context__


def test_another_device_that_has_the_name_by_now_is_given_no_key(device: str) -> None:
    seen = look(device)
    stale = [replace(seen, ifindex=seen.ifindex + 4711)]
    if seen.kind == "tun":  # the other kind needs no name, so nothing can be mistaken
        stale.append(replace(seen, group=MARK))
    for each in stale:
        with pytest.raises(NoSuchInterface):
            configure(each, DeviceChange(SECRET, 51996))
    assert observe(device).public_key == NO_KEY
    configure(seen, DeviceChange(SECRET, 51996))
    assert observe(device).public_key != NO_KEY


def test_what_wireguard_has_no_words_for_is_refused(device: str) -> None:
    for endpoint in ("[fe80::1%eth0]:51820", "hub.example:51820"):
        with pytest.raises(SystemRefused, match="is not an address and a port"):
            configure(
                look(device), DeviceChange(SECRET, peers=(PeerChange(key(1), endpoint=endpoint),))
            )


def test_what_is_no_wireguard_interface_is_not_configured(tmp_path: Path) -> None:
    with pytest.raises(NotWireguard):
        configure(look("lo"), DeviceChange(SECRET))
    run("ip", "tuntap", "add", "tun7", "mode", "tun")
    with pytest.raises(NotWireguard, match="tun7 is not a WireGuard interface") as told:
        configure(look("tun7"), DeviceChange(SECRET), sockets=tmp_path)
    assert f"nobody answers at {tmp_path}/tun7.sock" in told.value.hint
    assert "or ask where its socket is (docs/up.md)" in told.value.hint
