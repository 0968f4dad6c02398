# SPDX-License-Identifier: Apache-2.0
"""A matrix drawn in 80 columns: rows from, columns to, one letter a probe.

The same letters say what should be and what was, so that two grids are compared at a glance, and a
cell that disagrees wears a letter of its own: readable without colour.
"""

from collections.abc import Callable, Iterator

from krait.cli.output import Style, paint
from krait.lab.demo.matrix import FAMILIES, PROBES, Matrix, Outcome, Probe

DENIED = "·"
BROKEN = "?"
_HERE = "-"
_LABEL = 6
_GAP = "  "

Look = Callable[[Outcome], str]
"""What stands for an outcome, painted."""


def expected(outcome: Outcome) -> str:
    """What the policy says."""
    return _letter(outcome.cell.probe, passes=outcome.decision.allows)


def observed(outcome: Outcome) -> str:
    """What happened; where it should not have, loudly."""
    probe, passed = outcome.cell.probe, outcome.answer == "ok"
    if outcome.agrees:
        return _letter(probe, passes=passed)
    return paint(probe.letter.upper() if passed else BROKEN, Style.RED, Style.BOLD)


def draw(matrix: Matrix) -> Iterator[str]:
    """The lines of three grids side by side: what is expected, and what each family saw."""
    hosts = list(dict.fromkeys(outcome.cell.source for outcome in matrix))
    found = {
        (each.cell.source, each.cell.destination, each.cell.probe, each.cell.family): each
        for each in matrix
    }
    grids: list[tuple[str, int, Look]] = [("expected", FAMILIES[0], expected)]
    grids += [(f"observed, IPv{family}", family, observed) for family in FAMILIES]
    width = (len(PROBES) + 1) * len(hosts) - 1
    titles = _GAP.join(f"{title:{width}}" for title, _, _ in grids)
    columns = _GAP.join(" ".join(f"{host:{len(PROBES)}}" for host in hosts) for _ in grids)
    yield " " * _LABEL + paint(titles.rstrip(), Style.BOLD)
    yield " " * _LABEL + paint(columns.rstrip(), Style.DIM)
    for source in hosts:
        rows = (
            " ".join(
                _HERE * len(PROBES)
                if source == to
                else "".join(look(found[source, to, probe, family]) for probe in PROBES)
                for to in hosts
            )
            for _, family, look in grids
        )
        yield f" {source:{_LABEL - 1}}{_GAP.join(rows)}"


def legend(matrix: Matrix) -> Iterator[str]:
    """What the letters mean; of those that shout only if one is there."""
    margin = " " * _LABEL
    letters = "  ".join(f"{probe.letter} {probe}" for probe in PROBES)
    yield margin + paint(f"{letters}  {DENIED} denied", Style.DIM)
    if not all(outcome.agrees for outcome in matrix):
        yield f"{margin}CAPITAL passed and should not have, {BROKEN} did not and should have"


def _letter(probe: Probe, *, passes: bool) -> str:
    return paint(probe.letter, Style.GREEN) if passes else paint(DENIED, Style.DIM)
