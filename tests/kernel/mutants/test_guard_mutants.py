# SPDX-License-Identifier: Apache-2.0
"""Random frames find each fault of guard_table.py: the property test would not let it pass.

Each takes a second or two, most of it clang's: an ordinary run looks for all of them.
"""

from pathlib import Path

import pytest

from tests.figures import Figures
from tests.kernel.mutants.guard_table import GUARD_MUTANTS
from tests.kernel.mutants.mutant import Mutant
from tests.kernel.mutants.test_mutants import built
from tests.kernel.property.amount import ENOUGH
from tests.kernel.property.guard_play import play


def frames_until_they_differ(program: Path) -> int | None:
    """None: they agree on ENOUGH frames."""
    number = 0
    try:
        for _ in play(program, ENOUGH):
            number += 1
    except AssertionError:
        return number
    return None


@pytest.mark.parametrize("mutant", GUARD_MUTANTS, ids=lambda mutant: mutant.name)
def test_random_frames_find_the_fault(tmp_path: Path, mutant: Mutant, figures: Figures) -> None:
    frames = frames_until_they_differ(built(tmp_path, mutant, "guard"))
    assert frames is not None, f"{ENOUGH:,} frames agree: improve tests/strategies/guarded.py"
    figures(f"found within {frames:,} frames: {mutant.name}")
