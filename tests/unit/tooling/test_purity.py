# SPDX-License-Identifier: Apache-2.0
"""What is judged must depend on its arguments alone: pure modules reach no clock, file or socket.

Which layer may import which, and who may speak to the kernel, are contracts in pyproject.toml; they
see whole packages. This sees single modules and calls.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "krait"

REASONS = {
    "asyncio": "the agent's loop decides when",
    "os": "the machine's state is an argument",
    "pathlib": "files are read by who calls",
    "socket": "addresses are values here",
    "subprocess": "nothing is run",
    "time": "time is an argument",
    "open": "files are read by who calls",
}


def pure_modules() -> list[Path]:
    of_the_agent = ("actions", "backoff", "desired", "diff", "guard", "refusal")
    named = (SOURCE / "agent" / f"{name}.py" for name in of_the_agent)
    everything = (
        path for package in ("common", "policy") for path in (SOURCE / package).rglob("*.py")
    )
    return sorted({*everything, *(path for path in named if path.exists())})


def impurities(source: str) -> Iterator[tuple[int, str]]:
    """The (line, name) of each import or call, anywhere in the module, that REASONS forbids."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                found = [module]
            case ast.Call(func=ast.Name(id="open")):
                found = ["open"]
            case _:
                continue
        for name in found:
            if (top := name.partition(".")[0]) in REASONS:
                yield node.lineno, top


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_pure_module_depends_on_its_arguments_alone(path: Path) -> None:
    faults = [
        f"{path.relative_to(SOURCE.parent)}:{line}: {name}: {REASONS[name]}"
        for line, name in impurities(path.read_text())
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time", "time"),
        ("import re, os.path", "os"),
        ("def now():\n    from time import monotonic", "time"),
        ("if TYPE_CHECKING:\n    from pathlib import Path", "pathlib"),
        ("open('/etc/krait/krait.yaml')", "open"),
    ],
)
def test_an_impurity_is_found_wherever_it_stands(source: str, name: str) -> None:
    assert [found for _, found in impurities(source)] == [name]


def test_a_module_that_is_only_named_alike_is_pure() -> None:
    assert not list(impurities("import timeit\nfrom . import time\nfrom krait.policy.os import x"))


_LOADED = """
import sys
before = set(sys.modules)
import {module}
print(*(set(sys.modules) - before))
"""
_REACH = {"asyncio", "ctypes", "_ctypes", "socket", "_socket", "subprocess"}


def everything_that_is_judged_by() -> list[str]:
    names = [path.stem for path in (SOURCE / "policy").glob("*.py") if path.stem != "__init__"]
    agents = (f"krait.agent.{name}" for name in ("backoff", "desired", "diff", "guard", "refusal"))
    return [*agents, *sorted(f"krait.policy.{n}" for n in names)]


@pytest.mark.parametrize("module", everything_that_is_judged_by())
def test_a_pure_module_loads_nothing_that_reaches_the_machine(module: str) -> None:
    """Nor does anything that it imports, or that those import."""
    command = [sys.executable, "-c", _LOADED.format(module=module)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert not _REACH.intersection(loaded)
