# SPDX-License-Identifier: Apache-2.0
"""Start a userspace WireGuard, for an operator who asked for one by name (docs/adr/0014).

It outlives this process: it has a session of its own, writes to a log of its own, and is found
again by its device and its socket. It ends when its device is deleted.

The device is made here, and handed over: until it is marked it goes with this process, so that no
crash can leave one behind that nobody owns up to.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from errno import EBUSY, EINVAL
from fcntl import ioctl
from pathlib import Path
from struct import Struct
from subprocess import DEVNULL, Popen
from threading import Thread

from krait.common.errors import SystemRefused
from krait.kernel import device
from krait.kernel.capability import Capability, confine
from krait.kernel.files import writing
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.wireguard import NotWireguard, observe, userspace

PATIENCE_S = 10.0
"""How long it may take to answer; it takes some 20 ms."""

_TUN_FD = "WG_TUN_FD"  # where wireguard-go, and what descends from it, looks for a device
_INTERFACE_REQUEST = Struct("=16sH22x")  # ifreq: the name, and flags
_TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
_TUN_OF_OUR_OWN = 0x0001 | 0x1000 | 0x8000  # IFF_TUN, IFF_NO_PI, IFF_TUN_EXCL

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def spawn(name: str, program: str, log: Path, *, sockets: Path = userspace.FOLDER) -> Link:
    """Start `program`, which takes `-f NAME` and a device by WG_TUN_FD as wireguard-go does; return
    when it answers. Its device is down and marked as ours. Its output is appended to `log`.

    Raises SystemRefused, and then nothing is left running.
    """
    with _tun(name) as tun:
        device.mark(_there(name).ifindex)
        try:
            process = _start([program, "-f", name], log, tun)
        except OSError as error:
            raise SystemRefused(
                f"cannot run {program}: {error.strerror}",
                hint="Install it, or name it with its whole path.",
            ) from error
    with _ended_by_errors(process):
        link = _await(name, process, sockets)
        if link is None:
            raise SystemRefused(
                f"{program} drives no interface {name}", hint=f"What it says about it is in {log}."
            )
    return link


@contextmanager
def _tun(name: str) -> Iterator[int]:
    """A new tun device, which is there as long as somebody has its descriptor."""
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SystemRefused(
            f"cannot open /dev/net/tun: {error.strerror}",
            hint="A userspace WireGuard needs the kernel's module `tun`, and leave to use it.",
        ) from error
    try:
        try:
            ioctl(tun, _TUNSETIFF, _INTERFACE_REQUEST.pack(name.encode(), _TUN_OF_OUR_OWN))
        except OSError as error:
            if error.errno in (EBUSY, EINVAL) and observe_link(name) is not None:
                raise SystemRefused(
                    f"there is an interface {name} already",
                    hint="Give the mesh another interface name, or delete that one if it is "
                    "nobody's.",
                ) from error
            raise SystemRefused(f"cannot make interface {name}: {error.strerror}") from error
        yield tun
    finally:
        os.close(tun)


def _there(name: str) -> Link:
    link = observe_link(name)
    if link is None:
        raise NoSuchInterface(name)
    return link


def _start(command: list[str], log: Path, tun: int) -> Popen[bytes]:
    """A process that may not do more than it needs, started by a thread that then waits for it.

    One that may do more than this process hides its device from us: /proc shows descriptors to
    those who may do as much (ptrace(2)). What a process may gain is narrowed for one thread, and
    what that thread starts inherits it.
    """
    started: Future[Popen[bytes]] = Future()

    def run() -> None:
        try:
            confine(Capability.NET_ADMIN)
            with writing(log):
                output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                process = Popen(  # noqa: S603 - the operator named it
                    command,
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    env={"PATH": _PATH, _TUN_FD: str(tun)},
                    pass_fds=(tun,),
                    start_new_session=True,
                )
            finally:
                os.close(output)
        except BaseException as error:  # noqa: BLE001 - raised by who waits
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()  # leaves no zombie

    Thread(target=run, name=f"wait for {command[0]}", daemon=True).start()
    return started.result()


@contextmanager
def _ended_by_errors(process: Popen[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.terminate()
        raise


def _await(name: str, process: Popen[bytes], sockets: Path) -> Link | None:
    """The device, once its socket answers; None if that does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(NoSuchInterface, NotWireguard):
            observe(name, sockets=sockets)
            return observe_link(name)
        time.sleep(0.01)
    return None
