# SPDX-License-Identifier: Apache-2.0
"""Agents on the running kernel, and who changes what is theirs: one at a time.

What is missing refuses the start with the mend, before anything was touched.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from krait.agent import key, source
from krait.agent.adapters import Adapters, adapters, unjudged
from krait.agent.apply import Enforcement
from krait.agent.desired import Source
from krait.agent.guarding import Guarding
from krait.agent.loop import Agent
from krait.agent.managed.adopted import Adopted
from krait.agent.managed.endpoints import Endpoints
from krait.agent.managed.keeper import Keeper
from krait.agent.managed.maker import KernelMaker
from krait.agent.managed.orders import Orders, is_overdue, read_orders
from krait.agent.managed.ports import Maker
from krait.agent.managed.sessions import Sessions
from krait.agent.notify import Notifier
from krait.agent.paths import Paths
from krait.agent.setup import Setup
from krait.common.errors import SystemRefused, UsageError
from krait.kernel import capability
from krait.kernel.claim import claim, is_foreign, release
from krait.kernel.hook import Hook
from krait.kernel.lock import Held, Lock
from krait.kernel.seat import AttachKind
from krait.policy import device
from krait.policy.device import WantedDevice
from krait.policy.own import own_node
from krait.policy.retagged import wants_alike


class MadeHere(UsageError):
    """The document of a device that Krait makes is the one that `krait up` was given."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"`krait up` made {interface}, from a document of its own",
            hint=f"name another one to that: krait up {interface} --config FILE",
        )


class Overtaken(SystemRefused):
    """`krait up` or `krait down` was faster than an agent that started."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"what to do with {interface} was changed while its agent started",
            hint="Start it again, if nobody else did.",
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
    _require_this_namespace(real, interface, paths)
    try:
        lock = Lock.take(paths.lock_of(interface), what)
    except Held as error:
        if is_foreign(paths.pins_of(interface)):
            raise Taken(interface, paths) from error
        raise
    with lock:
        _require_this_namespace(real, interface, paths)
        yield


def keep(
    interface: str,
    *,
    config: Path | None = None,
    shadow: Path | None = None,
    kind: AttachKind | None = None,
    paths: Paths | None = None,
    as_ordered: bool = False,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Keep the policy of an interface until SIGTERM or SIGINT.

    `config` is the document, searched for if None; `shadow` one to rehearse, which need not be
    there if None; `kind` the way to attach, the kernel's best if None; `as_ordered` is for nothing
    but a device that Krait makes; `on_ready` is called once it is
    in force. Raises UsageError (no such document, not a WireGuard interface) or SystemRefused
    (missing capability, no bpf file system, a folder that cannot be written, another agent), or
    TrialOver.
    """
    paths = paths or Paths.here()
    paths.pins_of(interface)  # refuses what is no name
    capability.require(*capability.NEEDED)
    paths.require()
    orders, kept = read_orders(paths.orders_of(interface)), paths.kept_of(interface)
    if as_ordered and orders is None:
        raise Overtaken(interface)
    if orders is not None:
        if config is not None:
            raise MadeHere(interface)
        config = Path(orders.config)
        kind = AttachKind(orders.attach) if orders.attach else None
    if shadow is not None and not shadow.exists():
        raise UsageError(f"there is no {shadow} to rehearse", hint="name a document: --shadow FILE")
    real = adapters(interface, paths, kind)
    with holding(real, interface, paths, f"another agent keeps {interface}"):
        if read_orders(paths.orders_of(interface)) != orders:
            raise Overtaken(interface)
        _inherit(real, paths.pins_of(interface))
        setup = Setup(
            interface=interface,
            document=config or source.find(interface, paths.configs_of(interface), kept),
            shadow=shadow or paths.shadow_of(interface),
            kept=kept,
            live=paths.live_of(interface),
            eyes=real.eyes,
            enforcement=Enforcement(real.loads, real.hooks, paths.state_of(interface)),
            notifier=Notifier.of(),
            guarding=Guarding(interface, real.guards, partial(unjudged, interface, paths)),
            keeper=None if orders is None else partial(_keeper, interface, orders, paths),
            is_on_trial=paths.trial_of(interface).exists,
            is_overdue=partial(is_overdue, interface, paths),
            on_ready=on_ready,
        )
        try:
            asyncio.run(Agent(setup).run())
        finally:
            real.loads.close()


def maker(interface: str, paths: Paths, userspace: str | None = None) -> Maker:
    """Who makes a device on the running kernel; `userspace` is what stands in for its WireGuard."""
    return KernelMaker(interface, paths, userspace)


def wanted(
    found: Source, known: Adopted | None = None, *, interface: str, orders: Orders, paths: Paths
) -> WantedDevice:
    """What the device of this machine should be. Raises UsageError if the document lacks some.

    Where that is the same as by another document, it is the `known` one itself.
    """
    own = key.require(paths.key_of(interface), interface)
    node = own_node(
        found.document,
        asked=orders.node,
        public_key=own.public,
        hostname=os.uname().nodename,
    )
    if known and known.device.node == node and wants_alike(known.document, found.document):
        return known.device
    return device.wanted(found.document, node, interface=interface)


def _keeper(interface: str, orders: Orders, paths: Paths, wake: Callable[[], None]) -> Keeper:
    return Keeper(
        maker(interface, paths, orders.userspace),
        partial(wanted, interface=interface, orders=orders, paths=paths),
        Endpoints(wake),
        Sessions(),
    )


def _require_this_namespace(real: Adapters, interface: str, paths: Paths) -> None:
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
