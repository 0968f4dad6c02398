# SPDX-License-Identifier: Apache-2.0
"""Every error says how to mend it, but for those that nobody outside of Krait can mend.

`krait.lab` is left out: whoever runs its demo and tests reads them too.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import krait
from krait.common.errors import KraitError

SOURCE = Path(krait.__file__).parent
UNMENDABLE = {
    "agent/apply.py": {"there are no tables yet", "the interface is gone"},
    "agent/managed/apply.py": {"the interface is gone"},
    "kernel/bpf/link.py": {"the kernel attached a program to an interface that cannot be"},
    "kernel/filter.py": {"there is no link of {hook.value} to swap the program of"},
    "policy/placement.py": {"{capacity} port intervals do not hold the old and the new policy"},
}
"""What the next round does otherwise, or what no round of ours can come to."""


def silent(path: Path) -> Iterator[str]:
    """The messages of the errors that a module makes without a hint."""
    relative = path.relative_to(SOURCE.parent).with_suffix("")
    module = import_module(".".join(relative.parts))
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(ast.Name(name), [message, *_], keywords) if _is_wordless(module, name):
                if not any(each.arg == "hint" for each in keywords):
                    yield ast.unparse(message).lstrip("f").strip("'\"")


def _is_wordless(module: ModuleType, name: str) -> bool:
    """Whether it is the class of an error whose words stand where it is raised."""
    made = getattr(module, name, None)
    if not isinstance(made, type) or not issubclass(made, KraitError):
        return False
    return all("__init__" not in vars(each) or each is KraitError for each in made.__mro__[:-3])


def test_every_error_that_somebody_can_mend_says_how() -> None:
    found = {
        str(path.relative_to(SOURCE)): messages
        for path in SOURCE.rglob("*.py")
        if "lab" not in path.parts and (messages := set(silent(path)))
    }
    assert found == UNMENDABLE
