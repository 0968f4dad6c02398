# SPDX-License-Identifier: Apache-2.0
"""Checks of the machine: what Krait needs of the kernel, and what it may do here."""

import os
import re
from pathlib import Path

from krait.cli.doctor.finding import Answer, Checks, fail, note, ok, warn
from krait.kernel.bpf.libbpf import libbpf
from krait.kernel.bpf.link import tcx_supported
from krait.kernel.bpf.pin import BPFFS, require_bpffs
from krait.kernel.capability import NEEDED, require
from krait.kernel.datapath import Datapath
from krait.kernel.facts import observe_facts
from krait.policy.image import SMALLEST

_OLDEST, _OLDEST_TESTED = (5, 11), (6, 1)
_MODULES = Path("/lib/modules")
_UNPRIVILEGED = Path("/proc/sys/kernel/unprivileged_bpf_disabled")


def checks() -> Checks:
    release = os.uname().release
    return {
        "kernel": lambda: kernel(release),
        "capabilities": capabilities,
        "bpffs": bpffs,
        "jit": lambda: jit(observe_facts().bpf_jit),
        "hooks": lambda: hooks(tcx=tcx_supported(), clsact=clsact_built(_MODULES / release)),
        "libbpf": library,
        "object": loads,
        "wireguard": lambda: wireguard(observe_facts().wireguard),
        "users": lambda: unprivileged(_UNPRIVILEGED.read_text() if _UNPRIVILEGED.exists() else ""),
    }


def kernel(release: str) -> Answer:
    """`release` as uname says it, such as `6.12.48-amd64`."""
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _OLDEST:
        return fail(f"Linux {release} is too old", "Run Linux 5.11 or newer.")
    if version < _OLDEST_TESTED:
        return note(f"Linux {release}: should do; tested is 6.1 and newer")
    return ok(f"Linux {release}")


def capabilities() -> Answer:
    require(*NEEDED)
    return ok("NET_ADMIN, BPF and PERFMON")


def bpffs() -> Answer:
    require_bpffs(BPFFS)
    return ok(f"mounted at {BPFFS}: policies outlive the agent there")


def jit(on: bool | None) -> Answer:
    """None where the network namespace hides the setting."""
    if on is None:
        return note("this network namespace does not tell whether BPF is compiled")
    if not on:
        return warn(
            "BPF programs are interpreted, several times slower than compiled",
            "sysctl -w net.core.bpf_jit_enable=1",
        )
    return ok("BPF programs are compiled")


def hooks(*, tcx: bool, clsact: bool | None) -> Answer:
    """`clsact` is None where nothing tells whether the kernel has it."""
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


def clsact_built(modules: Path) -> bool | None:
    """Whether a kernel's list of modules, built in or loadable, has what clsact needs."""
    lists = [modules / name for name in ("modules.builtin", "modules.dep")]
    listed = "".join(each.read_text() for each in lists if each.exists())
    if not listed:
        return None
    return all(f"/{name}.ko" in listed for name in ("sch_ingress", "cls_bpf"))


def library() -> Answer:
    libbpf()
    return ok("libbpf.so.1 loads")


def loads() -> Answer:
    Datapath.load(SMALLEST).close()
    return ok("Krait's programs pass this kernel's verifier")


def wireguard(in_kernel: bool) -> Answer:
    if in_kernel:
        return ok("the kernel has WireGuard")
    return warn(
        "no WireGuard in this kernel: one in userspace works, several times slower",
        "modprobe wireguard, or install the kernel package that has the module.",
    )


def unprivileged(setting: str) -> Answer:
    """The text of kernel.unprivileged_bpf_disabled; empty where the kernel has no such setting."""
    if setting.strip() == "0":
        return warn(
            "every user may load BPF programs, and so attack the kernel by them",
            "sysctl -w kernel.unprivileged_bpf_disabled=1",
        )
    return ok("only privileged users load BPF programs")
