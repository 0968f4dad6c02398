# SPDX-License-Identifier: Apache-2.0
"""packaging/packages.txt agrees with the justfile: no recipe is forgotten, none is misspelt."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PACKAGES = {
    name: (frozenset(recipes.split(",")), why)
    for name, recipes, why in (
        (*line.split(maxsplit=2), "", "")[:3]
        for line in (ROOT / "packaging" / "packages.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}


@pytest.fixture(scope="module")
def dependencies() -> dict[str, list[str]]:
    """Each recipe's dependencies, as just itself reads the justfile."""
    dump = subprocess.run(
        [Path(sys.executable).with_name("just"), "--dump", "--dump-format", "json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    recipes = json.loads(dump.stdout)["recipes"]
    return {name: [d["recipe"] for d in body["dependencies"]] for name, body in recipes.items()}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_which_recipes_need_it_and_why(
    package: str, dependencies: dict[str, list[str]]
) -> None:
    recipes, why = PACKAGES[package]
    assert recipes <= {*dependencies, "uv"}
    assert why


def test_a_recipe_needs_what_its_dependencies_need(dependencies: dict[str, list[str]]) -> None:
    forgotten = {
        (package, recipe)
        for recipe, needed in dependencies.items()
        for package, (recipes, _) in PACKAGES.items()
        if recipes.intersection(needed) and recipe not in recipes
    }
    assert not forgotten
