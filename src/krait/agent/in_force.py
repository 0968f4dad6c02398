# SPDX-License-Identifier: Apache-2.0
"""The document in force on an interface, for those who ask about it. Changes nothing."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from krait.agent.inspect import InspectedTables, Inspection, inspect
from krait.agent.paths import Paths
from krait.common.errors import SystemRefused, UsageError
from krait.kernel.files import read_at_most
from krait.policy.document import load
from krait.policy.model import Document
from krait.policy.yaml_source import MAX_BYTES


class Governed(NamedTuple):
    """What is on an interface where a policy is in force."""

    found: Inspection
    tables: InspectedTables
    document: Document


def look(interface: str, paths: Paths, *, hint: str) -> Governed:
    """What is on an interface, and the document that is in force there, agent or no agent.

    `hint` says what to ask instead where it cannot be told. Raises UsageError where no policy is in
    force; SystemRefused where the kernel does not let us look, or it is not known which one is.
    """
    found = inspect(interface, paths)
    if found.tables is not None and not found.tables.generation.readable:
        raise SystemRefused(
            f"another version of Krait made the tables of {interface}: they cannot be read",
            hint="start this version's agent there: it goes on with them",
        )
    if found.tables is None or not found.tables.armed:
        raise UsageError(f"no policy is in force on {interface}", hint=hint)
    document = _document(found, paths)
    if document is None:
        raise SystemRefused(
            f"which document is in force on {interface} is not known: what was written down is of "
            "another, or is gone",
            hint=hint,
        )
    return Governed(found, found.tables, document)


def _document(found: Inspection, paths: Paths) -> Document | None:
    """The kept copy; what is on trial is not kept, and is still where it was read."""
    if found.record is not None:
        for path in (paths.kept_of(found.interface), Path(found.record.source)):
            data = _content(path)
            if data is not None and sha256(data).hexdigest() == found.record.sha256:
                return load(data, found.record.source)
    return None


def _content(path: Path) -> bytes | None:
    try:
        return read_at_most(path, MAX_BYTES)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
