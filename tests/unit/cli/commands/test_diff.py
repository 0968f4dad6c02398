# SPDX-License-Identifier: Apache-2.0
"""`krait diff FILE --against OTHER`: two files, with neither root nor an interface."""

import json
from pathlib import Path

import pytest

from krait.cli.main import main
from tests.documents import policy

EXAMPLE = Path(__file__).parents[4] / "examples" / "small.yaml"
Capture = pytest.CaptureFixture[str]
WEB_TO_DB = "    - {name: web-to-db, from: web, to: db, ports: [tcp/5432, icmp]}\n"
ITS_TEST = "    - {from: web, to: db, port: tcp/5432, expect: allow}\n"


def diff(tmp_path: Path, *edits: tuple[str, str], options: tuple[str, ...] = ()) -> int:
    """The example, edited, against the example."""
    text = EXAMPLE.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "new.yaml").write_text(text)
    return main(["diff", str(tmp_path / "new.yaml"), "--against", str(EXAMPLE), *options])


def test_a_rule_that_goes_is_two_lines_and_a_summary(tmp_path: Path, capsys: Capture) -> None:
    assert diff(tmp_path, (WEB_TO_DB, ""), (ITS_TEST, "")) == 1
    assert capsys.readouterr().out == (
        "- web to db: tcp/5432, icmp\n"
        '    no rule allows it any more; before, rule "web-to-db" in line 35 allowed\n'
        "summary: 0 pairs open, 1 pair closes\n"
    )


def test_what_a_deny_takes_and_gives_back_names_both_rules(tmp_path: Path, capsys: Capture) -> None:
    edits = ("ports: tcp/22, action", "ports: tcp/23, action"), ("port: tcp/22", "port: tcp/23")
    assert diff(tmp_path, *edits) == 1
    assert capsys.readouterr().out == (
        "+ admin to db: tcp/22\n"
        '    rule "admin-everywhere" in line 37 allows; before, rule "no-ssh-to-db" in\n'
        "    line 39 denied\n"
        "- admin to db: tcp/23\n"
        '    rule "no-ssh-to-db" in line 39 denies; before, rule "admin-everywhere" in\n'
        "    line 37 allowed\n"
        "summary: 1 pair opens, 1 pair closes\n"
    )


def test_nodes_and_settings_are_told_before_what_they_do(tmp_path: Path, capsys: Capture) -> None:
    edits = (
        ("tags: [admin]\n", "tags: [guest]\n    transit: true\n"),
        ("web2:", "web9:"),
        ("from: admin, to: web, expect: allow", "from: web, to: db, port: icmp, expect: allow"),
        ("from: admin", "from: guest"),
        ("  default: deny\n", "  strict: true\n"),
    )
    assert diff(tmp_path, *edits) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "+ node web9 (prod+web)",
        "- node web2 (prod+web)",
        "~ node laptop: tags guest (were admin), transit",
        "~ strict",
    ]
    assert lines[-1].endswith(", 3 nodes differ")
    assert "    one of the two is not there any more; before, rule" in "\n".join(lines)
    assert max(map(len, lines)) <= 80


def test_nothing_is_a_sentence_and_a_zero(tmp_path: Path, capsys: Capture) -> None:
    assert (
        diff(tmp_path, ("web-to-db", "called-otherwise"), ("version: 1\n", "# no version\n")) == 0
    )
    assert capsys.readouterr().out == "nothing changes: every packet is judged as it is now\n"


def test_a_free_pair_that_is_remembered_says_what_that_means(
    tmp_path: Path, capsys: Capture
) -> None:
    free, tight = tmp_path / "free.yaml", tmp_path / "tight.yaml"
    both = "{from: web, to: db}, {from: db, to: web}"
    free.write_text(policy(f"{{rules: [{both}]}}"))
    tight.write_text(policy(f"{{rules: [{both}, {{from: web, to: db, ports: tcp/80}}]}}"))
    assert main(["diff", str(tight), "--against", str(free)]) == 1
    assert capsys.readouterr().out == (
        "stateful: db with web\n"
        "    from then on flows are remembered: UDP replies drop until their opener sends\n"
        "    again\n"
        "summary: 0 pairs open, 0 pairs close\n"
    )
    assert main(["diff", str(free), "--against", str(tight)]) == 1
    assert capsys.readouterr().out.startswith("stateless: db with web\n")


def test_nearly_everything_is_told_by_what_it_is_not(tmp_path: Path, capsys: Capture) -> None:
    allow = (WEB_TO_DB, WEB_TO_DB.replace(", ports: [tcp/5432, icmp]", ""))
    assert diff(tmp_path, allow) == 1
    assert capsys.readouterr().out.startswith(
        "+ web to db: everything but tcp/22, tcp/5432, udp/8000-8100, icmp\n"
    )


def test_json_holds_what_the_text_says(tmp_path: Path, capsys: Capture) -> None:
    assert diff(tmp_path, (WEB_TO_DB, ""), (ITS_TEST, ""), options=("--json",)) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["changes"] is True
    assert found["opens"] == []
    (row,) = found["closes"]
    assert row["from"] == {"names": ["web"], "members": ["web1", "web2"]}
    assert row["to"] == {"names": ["db"], "members": ["db1"]}
    assert row["ports"] == ["tcp/5432", "icmp"]
    assert row["before"] == [{"by": "rule", "rule": "web-to-db", "line": 35}]
    assert row["now"] == {"by": "default", "rule": None, "line": None}
    assert (found["pairs_opening"], found["pairs_closing"]) == (0, 1)
    assert (found["flows"], found["unseen"]) == (None, None)


def test_a_document_that_fails_its_own_tests_is_compared_with_a_warning(
    tmp_path: Path, capsys: Capture
) -> None:
    assert diff(tmp_path, (WEB_TO_DB, "")) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: it would be refused: ")
    assert captured.out.startswith("- web to db: tcp/5432, icmp\n")


def test_many_rows_are_cut_short_and_the_rest_counted(tmp_path: Path, capsys: Capture) -> None:
    none, many = tmp_path / "none.yaml", tmp_path / "many.yaml"
    none.write_text(policy("{}"))
    rules = ", ".join(f"{{from: web, to: db, ports: tcp/{port}}}" for port in range(1, 60))
    many.write_text(policy(f"{{rules: [{rules}]}}"))
    assert main(["diff", str(many), "--against", str(none)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum(each.startswith("+ ") for each in lines) == 40
    assert lines[-2:] == [
        "  and 19 more; --json has them all",
        "summary: 1 pair opens, 0 pairs close",
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--against", "-", "--iface", "wg0"), "not both"),
        (("--iface", "wg1"), "`interface: wg0`, but wg1 is asked for"),
        (("--against", "/nowhere/krait.yaml"), "no such file"),
    ],
)
def test_a_bad_question_is_bad_usage(options: tuple[str, ...], why: str, capsys: Capture) -> None:
    assert main(["diff", str(EXAMPLE), *options]) == 2
    assert why in capsys.readouterr().err


def test_a_document_for_no_interface_wants_one(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "new.yaml").write_text(policy("{}"))
    assert main(["diff", str(tmp_path / "new.yaml")]) == 2
    assert "--iface" in capsys.readouterr().err
    assert main(["diff", "-", "--against", "-"]) == 2
