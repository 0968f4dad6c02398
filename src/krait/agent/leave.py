# SPDX-License-Identifier: Apache-2.0
"""Taking Krait off an interface: filters first, then all that kept them."""

from dataclasses import dataclass

from krait.agent.paths import Paths
from krait.kernel import capability, clsact
from krait.kernel.bpf.pin import require_bpffs
from krait.kernel.filter import AttachKind, InterfaceFilter
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.kernel.link import observe_link
from krait.kernel.lock import Lock


@dataclass(frozen=True, slots=True)
class Left:
    """What was done."""

    interface_is_there: bool
    was_enforcing: bool  # a program of Krait's was on it
    something_was_removed: bool
    others_keep_qdisc: bool  # the clsact qdisc stays, for it has filters of others


def leave(interface: str, paths: Paths | None = None) -> Left:
    """Take filters, links, pins, state and run files of an interface off, there or not.

    Raises Held, with its pid, while an agent keeps the interface: it would put them on again.
    """
    paths = paths or Paths()
    pins = paths.pins_of(interface)
    capability.require(*capability.NEEDED)
    require_bpffs(paths.pins)
    with Lock.take(paths.lock_of(interface), f"an agent keeps {interface}"):
        link = observe_link(interface)
        ifindex = link.ifindex if link else None
        hooks = InterfaceFilter(pins, AttachKind.CLSACT)
        was_enforcing = ifindex is not None and any(hooks.observe(ifindex, each) for each in Hook)
        had_pins = pins.exists()
        for hook in Hook:
            for kind in AttachKind:
                hooks.detach(ifindex, hook, kind)
        others = False
        if ifindex is not None and not clsact.remove_qdisc(ifindex):
            others = any(clsact.query(ifindex, hook) for hook in Hook)
        Generations(pins).clear()
        files = (paths.state_of(interface), paths.live_of(interface))
        had_files = any(each.exists() for each in files)
        for each in (*files, paths.lock_of(interface)):
            each.unlink(missing_ok=True)
    return Left(
        interface_is_there=link is not None,
        was_enforcing=was_enforcing,
        something_was_removed=was_enforcing or had_pins or had_files,
        others_keep_qdisc=others,
    )
