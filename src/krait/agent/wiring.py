# SPDX-License-Identifier: Apache-2.0
"""The real kernel: every adapter is chosen here, for the agent and for who looks after it.

What is missing refuses the start with the mend, before anything was touched.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from krait.agent import source
from krait.agent.apply import Enforcement
from krait.agent.loop import Agent, Setup
from krait.agent.notify import Notifier
from krait.agent.paths import Paths
from krait.agent.ports import Eyes, Filter, Loads
from krait.common.errors import SystemRefused
from krait.kernel import capability, wireguard
from krait.kernel.bpf.folder import require_private
from krait.kernel.claim import claim, is_foreign, release
from krait.kernel.filter import InterfaceFilter, supported_kind
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.kernel.link import observe_own, watch
from krait.kernel.lock import Held, Lock
from krait.kernel.seat import AttachKind


@dataclass(frozen=True, slots=True)
class Adapters:
    """What there is of one interface. Close the loads."""

    eyes: Eyes
    loads: Loads
    hooks: Filter


def adapters(interface: str, paths: Paths, kind: AttachKind | None = None) -> Adapters:
    """Those of the running kernel; `kind` is the way to attach, the kernel's best if None.

    Raises SystemRefused if others can write to where the pins are: nothing there is to be trusted.
    """
    pins = paths.pins_of(interface)
    require_private(pins)
    return Adapters(
        eyes=Eyes(
            link=partial(observe_own, interface),
            fingerprint=partial(wireguard.fingerprint, interface, sockets=paths.sockets),
            device=partial(wireguard.observe, interface, sockets=paths.sockets),
            events=watch,
        ),
        loads=Generations(pins),
        hooks=InterfaceFilter(pins, kind or supported_kind()),
    )


class Taken(SystemRefused):
    """Another network namespace has an interface of this name, and its files and pins here."""

    def __init__(self, interface: str, paths: Paths) -> None:
        super().__init__(
            f"{paths.instance_of(interface)} of another network namespace is under Krait here, and "
            "nothing tells the two apart",
            hint="Name this namespace (ip netns attach NAME PID, of a process in it) and try "
            f"again, or take Krait off the other one: krait detach {interface}, run there.",
        )


@contextmanager
def holding(real: Adapters, interface: str, paths: Paths, what: str) -> Iterator[None]:
    """The lock of an interface, for whoever changes something.

    Raises Held, beginning with `what`, or Taken: the pins are of another network namespace, and a
    device there is judged by them.
    """
    _require_ours(real, interface, paths)
    try:
        lock = Lock.take(paths.lock_of(interface), what)
    except Held as error:
        if is_foreign(paths.pins_of(interface)):
            raise Taken(interface, paths) from error
        raise
    with lock:
        _require_ours(real, interface, paths)
        yield


def keep(
    interface: str,
    *,
    config: Path | None = None,
    kind: AttachKind | None = None,
    paths: Paths | None = None,
) -> None:
    """Keep the policy of an interface until SIGTERM or SIGINT.

    `config` is the document, searched for if None; `kind` the way to attach, the kernel's best if
    None. Raises UsageError (no such document, not a WireGuard interface) or SystemRefused (missing
    capability, no bpf file system, a folder that cannot be written, another agent).
    """
    paths = paths or Paths.here()
    paths.pins_of(interface)  # refuses what is no name
    capability.require(*capability.NEEDED)
    paths.require()
    real, kept = adapters(interface, paths, kind), paths.kept_of(interface)
    with holding(real, interface, paths, f"another agent keeps {interface}"):
        _inherit(real, paths.pins_of(interface))
        setup = Setup(
            interface=interface,
            document=config or source.find(interface, paths.configs_of(interface), kept),
            kept=kept,
            live=paths.live_of(interface),
            eyes=real.eyes,
            enforcement=Enforcement(real.loads, real.hooks, paths.state_of(interface)),
            notifier=Notifier.of(),
        )
        try:
            asyncio.run(Agent(setup).run())
        finally:
            real.loads.close()


def _require_ours(real: Adapters, interface: str, paths: Paths) -> None:
    if is_foreign(paths.pins_of(interface)):
        link = real.eyes.link()
        if real.hooks.elsewhere(link.ifindex if link else None, frozenset()):
            raise Taken(interface, paths)


def _inherit(real: Adapters, pins: Path) -> None:
    """Pins of another network namespace that holds no device by them any more.

    The device may be here now, with its filter. If not, the tables are not taken over: where the
    filter is one of clsact, it may still judge by them over there.
    """
    if not is_foreign(pins):
        return
    link = real.eyes.link()
    if link is not None and any(real.hooks.observe(link.ifindex, hook) for hook in Hook):
        release(pins)
        claim(pins)
    else:
        real.loads.clear()
