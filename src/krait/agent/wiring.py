# SPDX-License-Identifier: Apache-2.0
"""An agent on the real kernel: every adapter is chosen here, and all that it needs is asked for.

What is missing refuses the start with the mend, before anything was touched.
"""

import asyncio
from functools import partial
from pathlib import Path

from krait.agent import source
from krait.agent.apply import Enforcement
from krait.agent.loop import Agent, Setup
from krait.agent.notify import Notifier
from krait.agent.paths import Paths
from krait.agent.ports import Eyes
from krait.kernel import capability, wireguard
from krait.kernel.bpf.pin import require_bpffs
from krait.kernel.filter import AttachKind, InterfaceFilter, supported_kind
from krait.kernel.generations import Generations
from krait.kernel.link import observe_link, watch
from krait.kernel.lock import Lock


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
    capability, no bpf file system, another agent on the interface).
    """
    paths = paths or Paths()
    pins = paths.pins_of(interface)
    capability.require(*capability.NEEDED)
    require_bpffs(paths.pins)
    with Lock.take(paths.lock_of(interface), f"another agent keeps {interface}"):
        generations = Generations(pins)
        setup = Setup(
            interface=interface,
            document=config or source.find(interface, paths.configs_of(interface)),
            live=paths.live_of(interface),
            eyes=Eyes(
                link=partial(observe_link, interface),
                fingerprint=partial(wireguard.fingerprint, interface, sockets=paths.sockets),
                device=partial(wireguard.observe, interface, sockets=paths.sockets),
                events=watch,
            ),
            enforcement=Enforcement(
                generations,
                InterfaceFilter(pins, kind or supported_kind()),
                paths.state_of(interface),
            ),
            notifier=Notifier.of(),
        )
        try:
            asyncio.run(Agent(setup).run())
        finally:
            generations.close()
