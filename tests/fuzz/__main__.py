# SPDX-License-Identifier: Apache-2.0
"""What `./just fuzz` does: inputs that no run of the tests has had, or one that was a fault."""

import faulthandler
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom

from tests.fuzz.inputs import is_taken

_KEPT = Path(".cache/fuzz")  # in the checkout, where `just` starts it
_FAULT, _USAGE, _LACKING = 1, 2, 3
_HANGS_S = 10  # as long as libFuzzer gives it


def main() -> int:
    """The exit code: 1 for a fault, 2 for words that mean nothing, 3 where there is no atheris."""
    asked = _asked()
    if Path(asked.limit).is_file():
        return _again(asked)
    if find_spec("atheris") is None:
        return _refused(
            "no atheris here: it has wheels for Python 3.11 to 3.13 on x86-64 Linux", _LACKING
        )
    return _fuzz(asked)


def _fuzz(asked: Namespace) -> int:
    from tests.fuzz.guided import fuzz, instrumented

    targets = instrumented(asked.targets)
    if asked.target not in (*targets, "all"):
        return _unknown(asked.target, targets)
    chosen = targets if asked.target == "all" else {asked.target: targets[asked.target]}
    try:
        seconds = max(1, round(float(asked.limit) / len(chosen)))
    except (ValueError, OverflowError):
        return _refused(f"{asked.limit} is neither a number of seconds nor a file", _USAGE)
    code = 0
    for name, target in chosen.items():
        seed = 1 if asked.tested else SystemRandom().randrange(1, 1 << 31)
        end = f"-runs={target.runs}" if asked.tested else f"-max_total_time={seconds}"
        found = fuzz(target, asked.keep / name, end, seed, the_same=asked.tested)
        _say(
            f"{name}: {found.inputs:,} inputs, {found.taken:,} of them valid;"
            f" branches: {' then '.join(map(str, found.branches)) or 'none'};"
            f" {'a fault' if found.fault else 'no fault'} (seed {seed})"
        )
        if found.fault:
            code = _FAULT
            _say(found.fault)
            if found.stored:
                _say(f"once more: ./just fuzz {name} {found.stored}\n")
    return code


def _again(asked: Namespace) -> int:
    """One input, in a process that nothing counts or changes: ends with a fault's traceback."""
    targets = import_module(asked.targets).TARGETS
    if asked.target not in targets:
        return _unknown(asked.target, targets)
    faulthandler.dump_traceback_later(_HANGS_S, exit=True)
    taken = is_taken(targets[asked.target], Path(asked.limit).read_bytes())
    _say(f"{asked.target}: {'valid' if taken else 'refused as declared'}")
    return 0


def _unknown(name: str, targets: Iterable[str]) -> int:
    return _refused(f"no target {name}; there are: all {' '.join(targets)}", _USAGE)


def _refused(why: str, code: int) -> int:
    sys.stderr.write(f"{why}\n")
    return code


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _asked() -> Namespace:
    parser = ArgumentParser(prog="./just fuzz")
    add = parser.add_argument
    add("target", nargs="?", default="all", help="one of tests/fuzz; without it all, in turn")
    add("limit", nargs="?", default="60", help="seconds in all, or the file of an input")
    add("--tested", action="store_true", help="as many as in each run of the tests, the same ones")
    add("--keep", type=Path, default=_KEPT, help="where inputs are kept from run to run")
    add("--targets", default="tests.fuzz.targets", help="the module that has them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
