# SPDX-License-Identifier: Apache-2.0
"""Checks of an interface that `krait up` made: whether what it left for the agent still holds."""

from contextlib import suppress
from pathlib import Path

from krait.agent.managed.orders import Standing, read_standing
from krait.agent.paths import Paths
from krait.cli import again
from krait.cli.doctor.documents import first
from krait.cli.doctor.finding import Answer, fail, ok, warn
from krait.cli.files import load_document
from krait.common.errors import UsageError
from krait.kernel import device
from krait.kernel.link import Link, NoSuchInterface


def made(link: Link, standing: Standing) -> Answer:
    """Whose interface it is, and whether orders and device agree on that."""
    name, orders, trial = link.name, standing.orders, standing.trial
    if orders is None:
        if device.is_ours(link):
            return warn(
                "nobody keeps it any more: it was being taken away",
                f"finish that: krait down {name}",
            )
        return ok("by another tool: Krait changes none of its settings")
    if not device.is_ours(link):
        return fail(
            f"by another tool, where `krait up` is to make it from {orders.config}",
            f"delete it (ip link delete {name}), and Krait makes its own; or give that up: "
            f"krait down {name}, once it is deleted",
        )
    if trial is not None:
        return warn(
            f"by `krait up`, on trial: it goes back in {max(trial.left_s(), 0):.0f} s",
            f"krait confirm {name}",
        )
    if not Path(orders.config).exists():
        return warn(
            f"by `krait up`, from {orders.config}, which is not there: what was read last counts",
            f"put it back, or name another: krait up {name} --config FILE",
        )
    return ok(f"by `krait up`, from {orders.config}")


def absent(name: str, paths: Paths) -> Answer:
    """An interface that is not there, and who is to make it: `krait up`, as far as that is said."""
    refused = NoSuchInterface(name)
    if (orders := read_standing(name, paths).orders) is not None:
        made_from = f"{refused.message}, where `krait up` is to make it from {orders.config}"
        return fail(made_from, again.command(name, paths))
    if (document := first(paths.configs_of(name))) is not None:
        with suppress(UsageError):  # whatever is wrong with it, `krait up` says
            if load_document(str(document)).mesh is not None:
                return fail(f"{refused.message}; {document} has a mesh for it", f"krait up {name}")
    return fail(refused.message, refused.hint)
