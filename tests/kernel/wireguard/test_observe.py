# SPDX-License-Identifier: Apache-2.0
"""WireGuard interfaces of the running machine: wireguard-go's, set up and listed by `wg`.

The kernel's own is read from recorded and packed messages in tests/unit/kernel/wireguard, and in
virtual machines.
"""

import base64
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from krait.common.errors import ExitCode, SystemRefused
from krait.kernel.link import NoSuchInterface
from krait.kernel.wireguard import NotWireguard, fingerprint, observe, userspace
from tests.kernel.wireguard.daemon import wireguard_go
from tests.patience import wait_until
from tests.requirements import need_tools

need_tools("ip", "wg", "wireguard-go")

pytestmark = pytest.mark.usefixtures("netns")

KEY_BYTES = 32


def run(*command: str, stdin: str = "") -> str:
    return subprocess.run(command, check=True, input=stdin, capture_output=True, text=True).stdout


def wg(arguments: str) -> str:
    return run("wg", *arguments.split())


def new_key() -> str:
    return run("wg", "genkey").strip()


def public(private: str) -> str:
    return run("wg", "pubkey", stdin=private).strip()


@pytest.fixture
def device() -> Iterator[str]:
    name = f"kr{os.getpid()}a"
    with wireguard_go(name):
        yield name


def add_peers(device: str, count: int, folder: Path) -> list[str]:
    """Peers of two prefixes each; answers their public keys."""
    keys = [public(new_key()) for _ in range(count)]
    lines = [
        f"[Peer]\nPublicKey={key}\nAllowedIPs=10.8.0.{number}/32,fd7a::{number}/128\n"
        for number, key in enumerate(keys, 1)
    ]
    (folder / "peers.conf").write_text("".join(lines))
    wg(f"addconf {device} {folder}/peers.conf")
    return keys


def test_a_device_is_seen_as_wg_shows_it(device: str, tmp_path: Path) -> None:
    private, preshared, peer = new_key(), new_key(), public(new_key())
    (tmp_path / "private").write_text(private)
    (tmp_path / "preshared").write_text(preshared)
    wg(f"set {device} private-key {tmp_path}/private listen-port 51999")
    wg(
        f"set {device} peer {peer} preshared-key {tmp_path}/preshared"
        " endpoint [2001:db8::7]:51821 persistent-keepalive 25"
        " allowed-ips 10.8.0.2/32,10.20.0.0/24,fd7a:6b72::2/128"
    )
    seen = observe(device)
    assert (seen.name, seen.ifindex) == (device, socket.if_nametoindex(device))
    assert (seen.listen_port, seen.userspace) == (51999, True)
    assert base64.b64encode(seen.public_key).decode() == public(private)

    _, row = (line.split("\t") for line in wg(f"show {device} dump").splitlines())
    (other,) = seen.peers
    assert base64.b64encode(other.public_key).decode() == row[0] == peer
    assert other.endpoint == row[2] == "[2001:db8::7]:51821"
    assert [str(prefix) for prefix in other.allowed_ips] == row[3].split(",")
    assert other.latest_handshake_s == int(row[4])
    assert (other.rx_bytes, other.tx_bytes) == (int(row[5]), int(row[6]))
    assert other.keepalive_s == int(row[7]) == 25

    kept = pickle.dumps(seen)
    for secret in map(base64.b64decode, (private, preshared)):
        assert len(secret) == KEY_BYTES
        assert secret not in kept
        assert secret.hex().encode() not in kept


def test_looks_at_an_unchanged_device_agree(device: str, tmp_path: Path) -> None:
    add_peers(device, 20, tmp_path)
    assert len({fingerprint(device) for _ in range(10)}) == 1
    assert len({observe(device).peers for _ in range(10)}) == 1


def test_the_fingerprint_changes_with_keys_and_allowed_ips_alone(
    device: str, tmp_path: Path
) -> None:
    first, second = add_peers(device, 2, tmp_path)
    (tmp_path / "private").write_text(new_key())
    prints = [fingerprint(device)]
    for unseen in (f"peer {first} endpoint 192.0.2.1:7", f"peer {first} persistent-keepalive 25"):
        wg(f"set {device} {unseen}")
        assert fingerprint(device) == prints[0]
    for seen in (
        f"peer {first} allowed-ips 10.8.0.1/32",
        f"peer {second} allowed-ips fd7a::1/128,10.8.0.2/32,fd7a::2/128",
        f"private-key {tmp_path}/private",
        f"peer {first} remove",
    ):
        wg(f"set {device} {seen}")
        prints.append(fingerprint(device))
    assert len(set(prints)) == len(prints)


def test_a_handshake_is_seen_and_leaves_the_fingerprint(device: str, tmp_path: Path) -> None:
    other = f"kr{os.getpid()}b"
    run("ip", "link", "set", "lo", "up")
    with wireguard_go(other):
        keys = {name: new_key() for name in (device, other)}
        for port, (name, key) in enumerate(keys.items(), 51901):
            (tmp_path / name).write_text(key)
            wg(f"set {name} private-key {tmp_path / name} listen-port {port}")
            run("ip", "link", "set", name, "up")
        wg(f"set {other} peer {public(keys[device])} allowed-ips 10.8.0.1/32")
        peer = public(keys[other])
        wg(f"set {device} peer {peer} allowed-ips 10.8.0.2/32 endpoint 127.0.0.1:51902")
        before = fingerprint(device)
        wg(f"set {device} peer {peer} persistent-keepalive 1")
        wait_until(lambda: observe(device).peers[0].latest_handshake_s)
        (seen,) = observe(device).peers
        assert abs(seen.latest_handshake_s - time.time()) < 60
        assert seen.rx_bytes > 0
        assert seen.tx_bytes > 0
        assert fingerprint(device) == before


def test_a_device_that_got_the_name_of_a_renamed_one_is_not_taken_for_it(
    device: str, tmp_path: Path
) -> None:
    add_peers(device, 1, tmp_path)
    before = observe(device)
    away = f"{device}-away"
    run("ip", "link", "set", device, "name", away)
    run("ip", "tuntap", "add", device, "mode", "tun")
    for look in (observe, fingerprint):
        with pytest.raises(NotWireguard, match=f"{device} is not a WireGuard interface") as told:
            look(device)
        assert f"drives {away}: " in told.value.hint
    run("ip", "link", "delete", device)
    run("ip", "link", "set", away, "name", device)
    assert observe(device) == before


def test_a_daemon_whose_parent_opened_the_socket_and_ended_is_known_as_the_driver() -> None:
    name = f"kr{os.getpid()}d"
    run("wireguard-go", name)
    try:
        assert observe(name).name == name
    finally:
        run("ip", "link", "delete", name)  # which ends it
        wait_until(lambda: not (userspace.FOLDER / f"{name}.sock").exists())


OBSERVE = """
import sys
from krait.common.errors import KraitError
from krait.kernel.wireguard import NotWireguard, observe
try:
    observe(sys.argv[1])
except KraitError as error:
    print(error.exit_code.name, error.message)
"""


@pytest.mark.parametrize(
    "blind",
    ["unshare --pid --fork --mount-proc", "setpriv --bounding-set=-sys_ptrace --inh-caps=-all"],
    ids=["another PID namespace", "fewer capabilities"],
)
def test_one_whose_descriptors_are_not_shown_has_not_answered(device: str, blind: str) -> None:
    told = run(*blind.split(), sys.executable, "-c", OBSERVE, device)
    assert told.startswith(
        f"SYSTEM cannot see whether the WireGuard that answers at {userspace.FOLDER}"
    )


def test_an_interface_of_another_kind_is_bad_usage_and_named() -> None:
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    with pytest.raises(NotWireguard, match=r"v0 is not a WireGuard interface \(kind veth\)") as bad:
        observe("v0")
    assert bad.value.exit_code is ExitCode.USAGE
    with pytest.raises(NotWireguard):
        fingerprint("lo")


def test_a_tun_device_that_no_wireguard_answers_for_is_none(tmp_path: Path) -> None:
    run("ip", "tuntap", "add", "tun7", "mode", "tun")
    with pytest.raises(NotWireguard, match="kind tun") as absent:
        observe("tun7", sockets=tmp_path)
    assert f"{tmp_path}/tun7.sock" in absent.value.hint
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "tun7.sock"))
    with pytest.raises(NotWireguard, match="kind tun"):
        observe("tun7", sockets=tmp_path)


def test_a_userspace_wireguard_that_is_stuck_is_refused_by_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userspace, "PATIENCE_S", 0.01)
    run("ip", "tuntap", "add", "tun7", "mode", "tun")
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(tmp_path / "tun7.sock"))
        stuck.listen()
        with pytest.raises(SystemRefused, match="does not answer: timed out"):
            observe("tun7", sockets=tmp_path)


def test_an_interface_that_is_not_there_is_said_to_be_missing() -> None:
    for look in (observe, fingerprint):
        with pytest.raises(NoSuchInterface, match="no interface wg9"):
            look("wg9")
