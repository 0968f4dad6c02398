# SPDX-License-Identifier: Apache-2.0
"""Checks of the machine: what Krait needs of the kernel, and what it may do here."""

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from krait.agent.paths import Paths
from krait.cli.doctor.finding import Answer, Checks, fail, note, ok, warn
from krait.common.errors import SystemRefused
from krait.kernel.bpf.folder import is_open_to_others, require_private
from krait.kernel.bpf.libbpf import libbpf
from krait.kernel.bpf.link import tcx_supported
from krait.kernel.bpf.mount import is_private
from krait.kernel.capability import NEEDED, effective, require
from krait.kernel.datapath import Datapath
from krait.kernel.facts import clsact_built, observe_facts
from krait.kernel.guard import GuardLoad
from krait.policy.capacity import SMALLEST

_OLDEST = (5, 11)
_TESTED = ((6, 1), (6, 12), (6, 18))
"""The kernels of the test matrix; README and the threat model name them too."""


_PRIVILEGED = frozenset({"bpffs", "folders", "hooks", "object"})
"""What only says that a capability is missing, where one is."""


def checks(paths: Paths) -> Checks:
    """The group's registry; the facts are asked for once, by the first check that needs them."""
    facts = cache(observe_facts)
    every: Checks = {
        "kernel": lambda: kernel(facts().kernel),
        "capabilities": capabilities,
        "bpffs": lambda: bpffs(paths),
        "folders": lambda: folders((paths.pins, paths.state, paths.run)),
        "jit": lambda: jit(facts().bpf_jit),
        "hooks": lambda: hooks(tcx=tcx_supported(), clsact=clsact_built(facts().kernel)),
        "libbpf": library,
        "object": loads,
        "wireguard": lambda: wireguard(facts().wireguard),
        "users": lambda: unprivileged(facts().unprivileged_bpf),
    }
    if privileged():
        return every
    return {name: check for name, check in every.items() if name not in _PRIVILEGED}


def kernel(release: str) -> Answer:
    """Whether it is new enough, and tested: `release` as uname says it, such as `6.12.48-amd64`."""
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _OLDEST:
        return fail(f"Linux {release} is too old", "Run Linux 5.11 or newer.")
    if version in _TESTED:
        return ok(f"Linux {release}")
    *tested, newest = (f"{major}.{minor}" for major, minor in _TESTED)
    words = f"Linux {release}; tested are {', '.join(tested)} and {newest}"
    return ok(words) if version > _TESTED[0] else note(f"{words}, from 5.11 on it should do")


def privileged() -> bool:
    """Whether this process may do what Krait does."""
    return effective().issuperset(NEEDED)


def capabilities() -> Answer:
    """What this process may do, and what was not looked at for want of it."""
    try:
        require(*NEEDED)
    except SystemRefused as error:
        unseen = "what needs them was not looked at"
        return fail(f"run doctor as root: {error.message}; {unseen}", error.hint)
    return ok("NET_ADMIN, BPF and PERFMON")


def bpffs(paths: Paths) -> Answer:
    """Whether pins have a place that is safe from others; raises SystemRefused where it is not."""
    paths.require_seen()
    require_private(paths.pins)
    mount = next(place for place in paths.pins.parents if place.is_mount())
    if is_open_to_others(mount):
        return warn(
            f"mounted at {mount}, where every user may make a folder before Krait does, "
            "and so keep it from starting",
            f"chmod 0700 {mount}",
        )
    if is_private(mount):
        return warn(
            f"mounted at {mount} for this mount namespace alone: pins go with it, and who looks "
            "from outside does not see them",
            "run Krait where the machine's is seen: nsenter -t 1 -m krait …",
        )
    return ok(f"mounted at {mount}: policies outlive the agent there")


def folders(places: Sequence[Path]) -> Answer:
    """Whether this user may write where Krait keeps pins, state and run files, or make the folder.

    A folder that is not there yet is made in the nearest one above it.
    """
    closed = [place for place in places if not _writable(place)]
    if not closed:
        return ok("pins, state and run files can be written")
    commands = (f"install -d -m 700 -o {os.geteuid()} {each}" for each in closed)
    return fail(
        f"this user may not write to {', '.join(map(str, closed))}",
        "\n".join(("as root, where the file system is mounted for writing:", *commands)),
    )


def jit(on: bool | None) -> Answer:
    """Whether the kernel compiles programs; None where the network namespace hides the setting."""
    if on is None:
        return note("this network namespace does not tell whether BPF is compiled")
    if not on:
        return warn(
            "BPF programs are interpreted, several times slower than compiled",
            "sysctl -w net.core.bpf_jit_enable=1",
        )
    return ok("BPF programs are compiled")


def hooks(*, tcx: bool, clsact: bool | None) -> Answer:
    """By which way programs attach; `clsact` is None where nothing tells of it."""
    if tcx:
        return ok("TCX links, which no other tool takes off by mistake")
    hint = "Linux 6.6 and newer have TCX links, which others do not take off by mistake."
    if clsact is None:
        return note("no TCX links; Krait will try clsact filters", hint)
    if not clsact:
        return fail(
            "neither TCX links nor clsact filters",
            "Install the kernel's modules sch_ingress and cls_bpf, or run Linux 6.6 or newer.",
        )
    return note("clsact filters: any tool may delete them; the agent puts them back", hint)


def library() -> Answer:
    """Whether the system's libbpf is there and new enough; raises SystemRefused if not."""
    libbpf()
    return ok("libbpf.so.1 loads")


def loads() -> Answer:
    """Load both objects, with the smallest tables; raises BpfRefused with the verifier's words."""
    Datapath.load(SMALLEST).close()
    GuardLoad.load().close()
    return ok("Krait's programs pass this kernel's verifier")


def wireguard(in_kernel: bool) -> Answer:
    """Whose WireGuard interfaces can be made here."""
    if in_kernel:
        return ok("the kernel has WireGuard")
    return warn(
        "no WireGuard in this kernel: one in userspace works, several times slower",
        "modprobe wireguard, or install the kernel package that has the module.",
    )


def unprivileged(allowed: bool | None) -> Answer:
    """Whether every user may load programs; None where the kernel has no such setting."""
    if allowed:
        return warn(
            "every user may load BPF programs, and so attack the kernel by them",
            "sysctl -w kernel.unprivileged_bpf_disabled=1",
        )
    return ok("only privileged users load BPF programs")


def _writable(folder: Path) -> bool:
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
    except PermissionError:  # a folder above it is closed to this user
        return False
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True)
