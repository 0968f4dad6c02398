# SPDX-License-Identifier: Apache-2.0
"""The real kernel: every adapter is chosen here, for the agent and for who looks after it.

What is missing refuses the start with the mend, before anything was touched.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from krait.agent import source
from krait.agent.apply import Enforcement
from krait.agent.loop import Agent, Setup
from krait.agent.notify import Notifier
from krait.agent.paths import Paths
from krait.agent.ports import Eyes, Filter, Loads
from krait.kernel import capability, wireguard
from krait.kernel.bpf.folder import require_private
from krait.kernel.filter import InterfaceFilter, supported_kind
from krait.kernel.generations import Generations
from krait.kernel.link import observe_own, watch
from krait.kernel.lock import Lock
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
    paths = paths or Paths()
    paths.pins_of(interface)  # refuses what is no name
    capability.require(*capability.NEEDED)
    paths.require()
    with Lock.take(paths.lock_of(interface), f"another agent keeps {interface}"):
        real, kept = adapters(interface, paths, kind), paths.kept_of(interface)
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
