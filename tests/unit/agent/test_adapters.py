# SPDX-License-Identifier: Apache-2.0
"""Who chooses what answers for the kernel: one module. Everybody else asks the ports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import krait.agent

AGENT = Path(krait.agent.__file__).parent
ADAPTERS = frozenset(
    {"Datapath", "Generations", "InterfaceFilter", "clsact", "watch"}
    | {"observe", "fingerprint"}  # of krait.kernel.wireguard
)


def adapters_in(source: str) -> Iterator[str]:
    """Adapters that a module imports from krait.kernel, or reaches by a module of it."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if "krait.kernel" in module:
                modules |= {alias.asname or alias.name for alias in names}
                yield from (alias.name for alias in names if alias.name in ADAPTERS)
            case ast.Import(names=names):
                assert not any("krait.kernel" in alias.name for alias in names)
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in modules:
                if attr in ADAPTERS:
                    yield f"{name}.{attr}"


def test_one_module_chooses() -> None:
    found = set(adapters_in((AGENT / "adapters.py").read_text()))
    assert {"Generations", "InterfaceFilter", "watch"} <= found
    assert {"wireguard.observe", "wireguard.fingerprint"} <= found


@pytest.mark.parametrize("path", sorted(AGENT.glob("*.py")), ids=lambda path: str(path.name))
def test_nothing_else_does(path: Path) -> None:
    if path.name != "adapters.py":
        assert not list(adapters_in(path.read_text()))
