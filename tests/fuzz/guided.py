# SPDX-License-Identifier: Apache-2.0
"""A target under libFuzzer: what is the first input to take a branch of krait's is changed on."""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from importlib import import_module
from io import StringIO
from mmap import mmap
from pathlib import Path
from random import Random
from typing import NoReturn, TypeAlias

import atheris

from tests.fuzz.inputs import changed, is_taken
from tests.fuzz.target import Target

Change: TypeAlias = Callable[[bytes, int, int], bytes]
"""An input, its greatest length and a number to the next input."""

_LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=16384")
"""For one input: seconds, where most take milliseconds; memory; bytes, where seeds have 2,800."""
_BRANCHES = re.compile(r"^#\d+\s+(?:INITED|DONE) .*?cov: (\d+) ", re.MULTILINE)
_FAULT = re.compile(r"^ ?(?:=== Uncaught|==\d+== ?ERROR|ALARM)", re.MULTILINE)
_STORED = re.compile(r"Test unit written to (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a target."""

    inputs: int
    taken: int
    branches: tuple[int, ...]
    """How many were reached by what there was to begin with, and how many in the end."""
    fault: str
    """Empty where there was none."""
    stored: Path | None
    """The input of the fault."""


def instrumented(module: str) -> Mapping[str, Target]:
    """The targets of a module, with krait's branches counted; krait must not be imported before."""
    told = StringIO()  # the name of every module
    own = module.partition(".")[0]
    with redirect_stderr(told), atheris.instrument_imports(include=["krait", own]):
        found: Mapping[str, Target] = import_module(module).TARGETS
    return found


def fuzz(target: Target, folder: Path, end: str, seed: int, *, the_same: bool) -> Outcome:
    """Until libFuzzer's argument `end` ends it, or a fault does.

    The folder keeps the inputs that reached something, for the next time, and libFuzzer's log.
    `the_same` inputs, but for a few, are those of any other run that began with as much: they are
    changed in fewer ways, for libFuzzer's own go by addresses and by time.
    """
    corpus, log = folder / "corpus", folder / "log"
    corpus.mkdir(parents=True, exist_ok=True)
    for each in target.seeds:
        (corpus / sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)
    arguments = [*_LIMITS, end, f"-seed={seed}", f"-artifact_prefix={folder}/", str(corpus)]
    change = partial(_changed, target.seeds)
    if the_same:
        arguments.append("-entropic=0")
        change = partial(_changed_by_us, target.seeds)
    with mmap(-1, 16) as shared, memoryview(shared).cast("Q") as counts:

        def one(data: bytes) -> None:
            counts[0] += 1
            counts[1] += is_taken(target, data)

        # Forked, so that all is imported once. Its own, for libFuzzer ends the one that it is in.
        if (process := os.fork()) == 0:
            _run(arguments, one, change, log)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        inputs, taken = counts
    said = log.read_text(errors="replace")
    begun, stored = _FAULT.search(said), _STORED.search(said)
    return Outcome(
        *(inputs, taken, tuple(map(int, _BRANCHES.findall(said)))),
        fault=said[begun.start() if begun else -2000 :] if status else "",
        stored=Path(stored[1]) if stored else None,
    )


def _run(arguments: list[str], one: Callable[[bytes], None], change: Change, log: Path) -> NoReturn:
    """A fault goes up to this process's end, where libFuzzer stores its input."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    atheris.Setup(["fuzz", *arguments], one, custom_mutator=change)
    atheris.Fuzz()
    raise AssertionError("libFuzzer is done, and its process goes on")


def _changed_by_us(seeds: tuple[bytes, ...], data: bytes, size: int, seed: int) -> bytes:
    return changed(Random(seed), data, seeds)[:size]  # noqa: S311 - not for secrets


def _changed(seeds: tuple[bytes, ...], data: bytes, size: int, seed: int) -> bytes:
    """By what knows the structure, or by libFuzzer, which knows what was compared with what."""
    if seed % 3 == 0:
        return bytes(atheris.Mutate(data, size))
    return _changed_by_us(seeds, data, size, seed)
