# SPDX-License-Identifier: Apache-2.0
"""What is judged must depend on its arguments alone: pure modules reach no clock, file or socket.

Which layer may import which, and who may speak to the kernel, are contracts in pyproject.toml; they
see whole packages. This sees single modules and calls.
"""

import ast
import re
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

REACH = frozenset({"asyncio", "ctypes", "_ctypes", "socket", "_socket", "subprocess"})
"""What reaches the machine, and is loaded by nothing that is judged by."""

NOTHING: frozenset[str] = frozenset()
VALUES_OF_THE_KERNEL = frozenset({"socket", "_socket"})
"""Loaded by `kernel.link` and `kernel.wireguard`, of which a pure module takes plain data alone."""

BESIDE_POLICY = {
    "agent.backoff": NOTHING,
    "agent.desired": NOTHING,
    "agent.diff": NOTHING,
    "agent.guard": NOTHING,
    "agent.managed.adopted": NOTHING,
    "agent.managed.calls": NOTHING,
    "agent.managed.diff": VALUES_OF_THE_KERNEL,
    "agent.managed.mtu": VALUES_OF_THE_KERNEL,
    "agent.managed.sessions": VALUES_OF_THE_KERNEL,
    "agent.refusal": NOTHING,
    "agent.steps": NOTHING,
    "lab.demo.document": NOTHING,
    "lab.demo.findings": NOTHING,
    "lab.demo.matrix": NOTHING,
}
"""Modules as pure as all of `common` and `policy`; what of REACH is loaded with each."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def pure_modules() -> dict[str, frozenset[str]]:
    everything = (
        name_of(path)
        for package in ("common", "policy")
        for path in (SOURCE / package).rglob("*.py")
    )
    return {**dict.fromkeys(sorted(everything), NOTHING), **BESIDE_POLICY}


def source_of(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


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


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_module_depends_on_its_arguments_alone(module: str) -> None:
    faults = [
        f"{module}:{line}: {name}: {REASONS[name]}"
        for line, name in impurities(source_of(module).read_text())
    ]
    assert not faults, "\n".join(faults)


def test_a_module_that_calls_itself_pure_is_held_to_it() -> None:
    claims = {
        name_of(path)
        for path in SOURCE.rglob("*.py")
        if re.search(r"\bPure[.:]", ast.get_docstring(ast.parse(path.read_text())) or "")
    }
    assert claims - pure_modules().keys() == set()


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


@pytest.mark.parametrize(("module", "reach"), pure_modules().items())
def test_a_pure_module_loads_nothing_that_reaches_the_machine(
    module: str, reach: frozenset[str]
) -> None:
    """Nor does anything that it imports, or that those import."""
    command = [sys.executable, "-c", _LOADED.format(module=f"krait.{module}")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert f"krait.{module}" in loaded
    assert REACH.intersection(loaded) == reach
