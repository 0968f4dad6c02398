# SPDX-License-Identifier: Apache-2.0
"""How to start the agent of an interface again."""

import shlex
from pathlib import Path

from krait.agent.managed.orders import read_orders
from krait.agent.paths import Paths
from krait.agent.state import read_records
from krait.common.words import printable


def command(interface: str, paths: Paths) -> str:
    """The command for a shell, with the document last committed.

    That is named where an agent left to itself would take another, or find none. What `krait up`
    made, `krait up` keeps again.
    """
    if (orders := read_orders(paths.orders_of(interface))) is not None:
        named = {"config": orders.config, "node": orders.node, "userspace": orders.userspace}
        named["attach"] = orders.attach
        words = (f"--{name} {shlex.quote(printable(what))}" for name, what in named.items() if what)
        return " ".join(("krait up", interface, *words))
    places = paths.configs_of(interface)
    found = next((place for place in places if place.exists()), places[0])
    last = next(
        (each.source for each in read_records(paths.state_of(interface)) if each.source), ""
    )
    start = f"krait --iface {interface}"
    if not last or Path(last) == found:
        return start
    return f"{start} --config {shlex.quote(printable(last))}"
