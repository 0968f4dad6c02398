# SPDX-License-Identifier: Apache-2.0
"""Checks of the document of an interface: which one counts, and who this machine is in it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from krait.agent import source
from krait.agent.managed.orders import read_standing
from krait.agent.paths import Paths
from krait.agent.state import read_records
from krait.cli.doctor.finding import Answer, note, ok, refusal, warn
from krait.common.errors import UsageError
from krait.kernel.wireguard import Device
from krait.policy.model import Node
from krait.policy.problems import DocumentError
from krait.policy.view import own_node


def fits(device: Device, places: Sequence[Path]) -> Answer:
    """Whether the first document there is right, and names this machine by its key."""
    found = first(places)
    if found is None:
        return note("none where the agent looks", _first_document(device.name, places[0]))
    try:
        read = source.read(found, device.name)
    except DocumentError as error:
        return replace(refusal(error), hint=f"krait check {found}")
    name = own_node(read.document, device.public_key).name
    if read.warnings:
        return warn(read.warnings[0], f"If nobody but root should: chown root:root {found}")
    return ok(f"{found}: this machine is {name}")


def places(name: str, paths: Paths) -> tuple[Path, ...]:
    """Where the document is: what `krait up` was given, else the one last committed, else where an
    agent would look.
    """
    if (orders := read_standing(name, paths).orders) is not None:
        return (Path(orders.config),)
    last = (Path(each.source) for each in read_records(paths.state_of(name)) if each.source)
    return *last, *paths.configs_of(name)


def first(places: Sequence[Path]) -> Path | None:
    """The document that counts."""
    return next((place for place in places if place.exists()), None)


def node(device: Device, places: Sequence[Path]) -> Node | None:
    """This machine in the document, where there is one and it is right."""
    if (found := first(places)) is None:
        return None
    try:
        return own_node(source.read(found, device.name).document, device.public_key)
    except UsageError:
        return None


def _first_document(name: str, place: Path) -> str:
    folder = () if place.parent.exists() else (f"mkdir -p {place.parent}",)
    return "\n".join((*folder, f"krait init {name} >{place}"))
