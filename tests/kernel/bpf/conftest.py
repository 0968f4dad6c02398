# SPDX-License-Identifier: Apache-2.0
"""A small program of the tests' own, a bpf file system and an interface to attach to."""

import fcntl
import os
import platform
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from krait.kernel.bpf.object import BpfObject
from tests.requirements import need_tools

SOURCE = Path(__file__).with_name("toy.bpf.c")
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001

Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def compile_toy(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles toy.bpf.c with the given flags."""
    need_tools("clang")
    folder = tmp_path_factory.mktemp("toy")

    def compile_it(*flags: str) -> Path:
        path = folder / f"toy{''.join(flags)}.bpf.o"
        include = f"/usr/include/{platform.machine()}-linux-gnu"
        target = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", f"-I{include}")
        subprocess.run(["clang", *target, *flags, "-c", SOURCE, "-o", path], check=True)
        return path

    return compile_it


@pytest.fixture(scope="session")
def toy_file(compile_toy: Compile) -> Path:
    return compile_toy()


@pytest.fixture
def toy(toy_file: Path) -> Iterator[BpfObject]:
    """Opened, not yet loaded."""
    with BpfObject.open(toy_file) as opened:
        yield opened


@pytest.fixture
def loaded(toy: BpfObject) -> BpfObject:
    toy.load()
    return toy


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpf file system of the test's own."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


class Tun:
    """An interface that lives until close(), or until the test process ends."""

    def __init__(self, name: str) -> None:
        self._fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
        self.ifindex = socket.if_nametoindex(name)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@pytest.fixture
def tun() -> Iterator[Tun]:
    interface = Tun(f"kt{os.getpid()}")
    yield interface
    interface.close()
