# SPDX-License-Identifier: Apache-2.0
"""Random bytes of every length through a real device: what BPF_PROG_TEST_RUN cannot make.

A frame that is shorter than an IP header, or whose headers lie in its pages, comes to the program
as it does from WireGuard: by the stack, without an Ethernet header.
"""

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from krait.common.abi import PairLayout
from krait.common.reason import Reason
from krait.kernel.datapath import Datapath
from krait.kernel.filter import InterfaceFilter
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from krait.policy.compile import compile_policy
from krait.policy.image import draw
from krait.policy.judge import Judge
from krait.policy.numbering import Numbers
from tests.figures import Figures
from tests.kernel.bpf.conftest import IFF_TUN_NO_PI, TUNSETIFF
from tests.kernel.property.amount import SEED
from tests.kernel.property.kernel_judge import capacity
from tests.kernel.property.test_bytes import RULES, world
from tests.requirements import KINDS, need_tools
from tests.strategies.mangled import MOST_BYTES, mangled
from tests.strategies.packets import ethertype

need_tools("ip")

FRAMES = 4 * MOST_BYTES
IFF_VNET_HDR = 0x4000
PAGED_BYTES = 6000
"""Beyond a page, tun leaves in pages what its header does not ask to be linear."""
HERE, NEAR, FAR = "10.8.0.1", "10.8.0.2", "10.8.0.3"


@pytest.fixture
def tun(netns: None) -> Iterator[int]:  # noqa: ARG001 - its effect is the namespace
    """A descriptor whose writes come in on `t0`, as packets out of a tunnel."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"t0", IFF_TUN_NO_PI | IFF_VNET_HDR))
    for command in (
        f"ip address add {HERE}/24 dev t0",
        "ip link set t0 up mtu 2000",
        "ip link set lo up",
    ):
        subprocess.run(command.split(), check=True)
    yield fd
    os.close(fd)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    yield folder / "krait" / "t0"
    subprocess.run(["umount", folder], check=True)


def enforced(policy: str) -> Datapath:
    """A datapath with this policy in force; it is attached nowhere."""
    seen = world(policy)
    compiled = compile_policy(seen.document, seen.view, Numbers())
    datapath = Datapath.load(capacity(PairLayout.TRIANGLE))
    datapath.write(1, draw(compiled, datapath.capacity, {}), known=None, held={})
    datapath.commit(1, 1)
    return datapath


def frames() -> list[bytes]:
    """Of every length, of random bytes that say IPv4 or IPv6, and nearly valid ones."""
    random = Random(SEED)  # noqa: S311 - not for secrets
    plain = [
        bytes((random.choice((0x45, 0x60, random.randrange(256))),)) + random.randbytes(length - 1)
        for length in range(1, MOST_BYTES + 1)
    ]
    ends = [ip_address(each) for each in (HERE, NEAR, FAR, "fd00:8::1", "fd00:8::2")]
    return plain + [each.frame for each in islice(mangled(random, ends), FRAMES - len(plain))]


def counted(datapath: Datapath) -> int:
    """Packets on either hook, whatever became of them."""
    passed = sum(each.packets for each in datapath.counts("rules"))
    drops = datapath.drops()
    denied = sum(count.packets for reason, count in drops.items() if reason.name == "DENIED")
    return passed - denied + sum(count.packets for count in drops.values())


def write(tun: int, frame: bytes, linear: int = 0) -> bool:
    """Whether the device takes it: what is neither IPv4 nor IPv6 it does not.

    `linear` other than 0 has it padded, and all but so many bytes of it lie in pages.
    """
    lead = struct.pack("=BBHHHH", 0, 0, linear, 0, 0, 0)  # struct virtio_net_hdr
    try:
        os.write(tun, lead + (frame.ljust(PAGED_BYTES, b"\0") if linear else frame))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.value))
@pytest.mark.parametrize("policy", ["policy: {}", RULES], ids=["nothing allowed", "rules"])
def test_each_frame_is_counted_once_and_comes_out_only_by_a_rule(
    tun: int, folder: Path, kind: AttachKind, policy: str, figures: Figures
) -> None:
    # A socket of one protocol is served behind ingress; one of all would be before it.
    with closing(enforced(policy)) as datapath, behind(0x0800) as four, behind(0x86DD) as six:
        hooks = InterfaceFilter(folder, kind)
        hooks.attach(socket.if_nametoindex("t0"), Hook.INGRESS, datapath.programs[Hook.INGRESS].fd)
        taken, came_out, expected = 0, 0, 0
        reference, seen = Judge(), world(policy)
        reference.commit(seen.document.policy, seen.view, 1)
        for number, frame in enumerate(frames()):
            linear = number % 64 if number % 2 else 0
            if write(tun, frame, linear):
                taken += 1
                whole = frame.ljust(PAGED_BYTES if linear else 0, b"\0")
                verdict = reference.judge(whole, ethertype(frame), "ingress", 0)
                expected += verdict.reason is Reason.PASS
            came_out += received(four) + received(six)
        passed = taken - sum(count.packets for count in datapath.drops().values())
        assert counted(datapath) == taken > FRAMES // 2
        assert came_out == passed == expected
        assert bool(came_out) == (policy == RULES)
        figures(f"tun, {kind.value}: {taken:,} frames of {FRAMES:,} taken, {came_out:,} passed")


def behind(ethertype: int) -> socket.socket:
    """Sees what got past ingress."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    made.bind(("t0", ethertype))
    made.setblocking(False)
    return made


def received(sock: socket.socket) -> int:
    """What has come to it; of this device's own answers nothing counts."""
    found = 0
    with suppress(BlockingIOError):
        while True:
            _, address = sock.recvfrom(4096)
            found += address[2] != socket.PACKET_OUTGOING
    return found
