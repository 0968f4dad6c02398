# SPDX-License-Identifier: Apache-2.0
"""The FILE argument that many verbs take: a policy document."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from krait.common.errors import UsageError
from krait.policy.document import load
from krait.policy.model import Document
from krait.policy.yaml_source import MAX_BYTES

STANDARD_INPUT = "-"

_OTHER = "name a file that can be read, or -"


def read_file(path: str) -> bytes:
    """The bytes of a file, at most one more than a document may have; a pipe is waited for.

    Standard input is `-`. Raises UsageError where a file is missing, a folder, or not for this user
    to read.
    """
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with reading(path), Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)


@contextmanager
def reading(path: str, *, begin: str = "krait example") -> Iterator[None]:
    """What reads `path`: its OSError becomes UsageError, with the mend.

    `begin` is the command that prints what a missing file could be.
    """
    try:
        yield
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file", hint=f"mend the path, or begin one: {begin} >{quote(path)}"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", hint="name the document inside it") from None
    except PermissionError:
        raise UsageError(
            f"{path}: you may not read it", hint="run as a user who may, such as root"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=_OTHER) from None
    except ValueError as error:  # a NUL in the name
        raise UsageError(f"{path}: {error}", hint=_OTHER) from None


def load_document(path: str) -> Document:
    """Read and check a document. Raises UsageError, with the places where it is wrong."""
    return load(read_file(path), "<stdin>" if path == STANDARD_INPUT else path)
