# SPDX-License-Identifier: Apache-2.0
from krait.cli.demo.grid import draw, legend
from krait.cli.output import WIDTH
from krait.lab.demo.matrix import Matrix, Outcome, cells
from krait.policy.evaluate import Decision
from krait.policy.model import Action

HOSTS = ("db1", "web1", "web2", "ops1")


def matrix(hosts: tuple[str, ...] = HOSTS) -> Matrix:
    """TCP is allowed and passes, all else is denied and silent."""
    return tuple(
        Outcome(cell, Decision(action, None), "ok" if action.allows else "timeout")
        for cell in cells(hosts)
        for action in [Action.ALLOW if cell.probe.protocol == "tcp" else Action.DENY]
    )


def test_a_grid_shows_rows_from_and_columns_to_and_dashes_on_the_diagonal() -> None:
    assert [line.split() for line in draw(matrix(("a", "b")))] == [
        ["expected", "observed,", "IPv4", "observed,", "IPv6"],
        ["a", "b"] * 3,
        ["a", *["-----", "spw··"] * 3],
        ["b", *["spw··", "-----"] * 3],
    ]


def test_four_hosts_fit_the_width_and_columns_stand_above_their_cells() -> None:
    lines = list(draw(matrix()))
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].index("web2") == lines[2].index("spw··", lines[2].index("spw··") + 1)


def test_a_cell_that_disagrees_is_seen_without_colour_in_its_own_family_only() -> None:
    wrong = tuple(
        Outcome(each.cell, each.decision, {"ok": "timeout", "timeout": "ok"}[each.answer])
        if each.cell.family == 6 and each.cell.source == "a"
        else each
        for each in matrix(("a", "b"))
    )
    assert [line.split() for line in draw(wrong)][2:] == [
        ["a", "-----", "spw··", "-----", "spw··", "-----", "???UI"],
        ["b", *["spw··", "-----"] * 3],
    ]
    assert "CAPITAL" in "".join(legend(wrong))
    assert "CAPITAL" not in "".join(legend(matrix()))


def test_an_answer_that_is_neither_echo_nor_silence_is_broken() -> None:
    odd = tuple(Outcome(each.cell, each.decision, "refused") for each in matrix(("a", "b")))
    assert list(draw(odd))[2].split() == ["a", "-----", "spw··", "-----", "?????", "-----", "?????"]
