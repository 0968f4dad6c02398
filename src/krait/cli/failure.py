# SPDX-License-Identifier: Apache-2.0
"""How an error is told, whichever verb met it: in words, or as JSON (docs/cli.md has the keys).

Imported only once something failed, so that `krait --help` does not wait for it.
"""

from os import strerror

from krait.cli import output
from krait.cli.output import Json
from krait.common.errors import KraitError, SystemRefused
from krait.policy.problems import DocumentError, Problem


def tell(error: KraitError | OSError, *, as_json: bool) -> int:
    """Tell it on standard error, or on standard output as JSON. Returns its exit code."""
    told = in_words(error)
    if as_json:
        output.document({"ok": False, "problems": _problems(told), "details": details(told)})
    else:
        output.error(told.message, told.hint, details(told))
    return told.exit_code


def in_words(error: KraitError | OSError) -> KraitError:
    """The error itself, or a refusal of the system that no layer has put into words."""
    if isinstance(error, KraitError):
        return error
    what = strerror(error.errno) if error.errno else str(error) or type(error).__name__
    subject = f"{error.filename}: " if error.filename else ""
    return SystemRefused(f"{subject}{what}", hint="`krait doctor` says what this machine lacks")


def details(error: KraitError) -> tuple[str, ...]:
    """What an error says beyond its message, such as the end of the verifier's log."""
    return tuple(str(error).removeprefix(error.message).strip("\n").splitlines())


def _problems(error: KraitError) -> list[Json]:
    """Those of a document each with its place; others have none."""
    if isinstance(error, DocumentError):
        return [_problem(each.line, each.column, each) for each in error.problems]
    return [_problem(None, None, error)]


def _problem(line: int | None, column: int | None, of: KraitError | Problem) -> Json:
    return {"line": line, "column": column, "message": of.message, "hint": of.hint}
