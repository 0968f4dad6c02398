# SPDX-License-Identifier: Apache-2.0
"""Start a userspace WireGuard, for an operator who asked for one by name (docs/adr/0014).

It outlives this process: it has a session of its own, writes to a log of its own, and is found
again by its device and its socket. It ends when its device is deleted.

It makes its device itself, which so gets its mark late. Whose it is until then, its environment
says: an agent that is killed in between leaves a device that the next one claims.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL, Popen
from threading import Thread

from krait.common.errors import SystemRefused
from krait.kernel import device
from krait.kernel.capability import NEEDED, Capability, confine
from krait.kernel.files import writing
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.wireguard import NotWireguard, driver, observe, userspace

PATIENCE_S = 10.0
"""How long its device may take; it takes some 20 ms."""

_DEVICE = "KRAIT_DEVICE"
"""The variable of its environment that says which device it makes for Krait."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def spawn(name: str, program: str, log: Path, *, sockets: Path = userspace.FOLDER) -> Link:
    """Start `program`, which takes `-f NAME` as wireguard-go does; return when its device is there,
    down and marked as ours. Its output is appended to `log`.

    Only here is there a moment in which a device of ours has no mark yet; see `claim`. Raises
    SystemRefused, and then nothing is left running.
    """
    if observe_link(name) is not None:
        # It would take over a tun device that it did not make.
        raise SystemRefused(
            f"there is an interface {name} already",
            hint="Give the mesh another interface name, or delete that one if it is nobody's.",
        )
    try:
        process = _start([program, "-f", name], log, name)
    except OSError as error:
        raise SystemRefused(
            f"cannot run {program}: {error.strerror}",
            hint="Install it, or name it with its whole path.",
        ) from error
    with _ended_by_errors(process):
        link = _await(name, process, sockets)
        if link is None:
            raise SystemRefused(
                f"{program} made no interface {name}", hint=f"What it says about it is in {log}."
            )
        device.mark(link.ifindex)
    return replace(link, group=device.MARK)


def claim(link: Link) -> Link:
    """The link; marked as ours if somebody made it for Krait, and did not come to that.

    Raises SystemRefused, NoSuchInterface.
    """
    if link.kind != device.USERSPACE_KIND or link.group == device.MARK:
        return link
    if not any(_drives(process, link.name) for process in driver.PROCESSES.iterdir()):
        return link
    device.mark(link.ifindex)
    return replace(link, group=device.MARK)


def _drives(process: Path, name: str) -> bool:
    """Whether this one was started for Krait to drive the device of this name, in our namespace.

    Not if another user did: who was given a tun device may say in an environment what he likes.
    That, and what is open, he can leave to a program that is root's whoever starts it, as su is.
    """
    if not process.name.isdecimal():
        return False
    with suppress(OSError):  # it has ended, or is nobody that we may look at
        if not _is_as_started((process / "status").read_text(errors="replace")):
            return False
        environment = (process / "environ").read_bytes().split(b"\0")
        if f"{_DEVICE}={name}".encode() in environment:
            here = (driver.PROCESSES / "thread-self/ns/net").stat()
            there = (process / "ns/net").stat()
            is_here = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
            return is_here and name in driver.devices(int(process.name))
    return False


def _is_as_started(status: str) -> bool:
    """Whether a process (`status`: its in /proc) is our user's in all ways, and can gain no more
    capabilities than an agent needs.

    su keeps who started it as its real user; sudo keeps nobody, but could gain anything. What we
    start could gain CAP_NET_ADMIN, or as much as an agent that may not narrow that; see `confine`.
    """
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    is_our_users = {int(each) for each in found["Uid"].split()} == {os.geteuid()}
    return is_our_users and not int(found["CapBnd"], 16) & ~sum(1 << each for each in NEEDED)


def _start(command: list[str], log: Path, name: str) -> Popen[bytes]:
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
                    env={"PATH": _PATH, _DEVICE: name},
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
    """The device, once its socket answers; None if it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(NoSuchInterface, NotWireguard):
            observe(name, sockets=sockets)
            return observe_link(name)
        time.sleep(0.01)
    return None
