# SPDX-License-Identifier: Apache-2.0
import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from krait.cli.main import main
from tests.documents import policy, rule

EXAMPLE = Path(__file__).parents[4] / "examples" / "small.yaml"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "krait.yaml"


def test_a_right_document_is_ok_and_counted(capsys: Capture) -> None:
    assert main(["check", str(EXAMPLE)]) == 0
    assert capsys.readouterr().out == "ok: 4 nodes, 4 identities, 6 rules, 5 tests passed\n"


def test_standard_input_is_a_document_too(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(EXAMPLE.read_bytes())))
    assert main(["check", "-"]) == 0
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"nodes:\n")))
    assert main(["check", "-"]) == 2
    assert "<stdin>:1:1: the document lacks `policy`" in capsys.readouterr().err


def test_one_is_written_in_the_singular(file: Path, capsys: Capture) -> None:
    file.write_text(
        policy(
            "{rules: [{from: [web, prod], to: db}], tests: [{from: web, to: db, expect: allow}]}"
        )
    )
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == "ok: 2 nodes, 2 identities, 1 rule, 1 test passed\n"


def test_a_failing_test_is_a_no_with_its_place_and_rule(file: Path, capsys: Capture) -> None:
    file.write_text(EXAMPLE.read_text().replace("port: tcp/22, expect: deny", "expect: deny"))
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().out == (
        f'failed: {file}:44:7: web1 to db1, tcp/5432: expected denied, but rule "web-to-db" in '
        "line 35 allows it\n1 of 5 tests failed\n"
    )


def test_bad_input_is_said_on_standard_error(file: Path, capsys: Capture) -> None:
    file.write_text(rule("from: prd, to: db"))
    assert main(["check", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f'error: {file}:4:46: from: unknown tag or node "prd"; did you mean "prod"?\n'
    )


def test_advice_does_not_change_the_answer(file: Path, capsys: Capture) -> None:
    file.write_text(policy("{rules: [{from: web, to: web}, {from: prod, to: db}]}"))
    assert main(["check", str(file)]) == 0
    warning, ok = capsys.readouterr().out.splitlines()
    assert warning == (
        f'warning: {file}:4:18: rule "rule-1" matches no two nodes or tagged subnets'
    )
    assert ok.startswith("ok: ")


TWO_WARNINGS = policy(
    "{rules: [{name: there, from: web, to: db}, {name: gone, from: web, to: web}], "
    "tests: [{from: prod, to: db, expect: allow}]}"
)
ONE_WAY = (
    'rule "there" lets web open everything to db, and nothing lets those open anything back; if '
    "that is meant, say it in a test: {from: db, to: web, expect: deny}"
)
NOBODY = 'rule "gone" matches no two nodes or tagged subnets'


def test_strict_counts_warnings_and_looks_for_more(file: Path, capsys: Capture) -> None:
    file.write_text(TWO_WARNINGS)
    assert main(["check", "--strict", str(file)]) == 1
    assert capsys.readouterr().out == (
        f"warning: {file}:4:18: {ONE_WAY} [one-way]\n"
        f"warning: {file}:4:52: {NOBODY} [matches-nobody]\n"
        "2 warnings, and --strict takes none\n"
        "hint: what is meant can be excused: --allow one-way,matches-nobody\n"
    )
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == (
        f"warning: {file}:4:52: {NOBODY}\nok: 2 nodes, 2 identities, 2 rules, 1 test passed\n"
    )


def test_what_strict_finds_is_excused_by_its_id(file: Path, capsys: Capture) -> None:
    file.write_text(TWO_WARNINGS)
    assert main(["check", "--strict", "--allow", "one-way", str(file)]) == 1
    assert capsys.readouterr().out.startswith(f"warning: {file}:4:52: {NOBODY} [matches-nobody]\n")
    excused = ("--allow", "repeated,one-way", "--allow", "matches-nobody")
    assert main(["check", "--strict", *excused, str(file)]) == 0
    assert capsys.readouterr().out == "ok: 2 nodes, 2 identities, 2 rules, 1 test passed\n"


def test_strict_tells_of_tests_that_fail_too(file: Path, capsys: Capture) -> None:
    file.write_text(TWO_WARNINGS.replace("expect: allow", "expect: deny"))
    excused = ("--allow", "one-way,matches-nobody")
    assert main(["check", "--strict", str(file), *excused]) == 1
    failed, count = capsys.readouterr().out.splitlines()
    assert failed.startswith(f"failed: {file}:4:")
    assert count == "1 of 1 test failed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strict", "--allow", "one-wey"], 'no finding is called "one-wey"; did you mean "one-w'),
        (["--strict", "--allow", "?"], 'no finding is called "?"; they are any-to-any, default-'),
        (["--allow", "one-way"], "--allow without --strict"),
    ],
)
def test_an_excuse_for_nothing_is_bad_usage(
    options: list[str], message: str, capsys: Capture
) -> None:
    assert main(["check", str(EXAMPLE), *options]) == 2
    assert message in capsys.readouterr().err


def test_json_has_what_strict_finds_beside_the_warnings(file: Path, capsys: Capture) -> None:
    file.write_text(TWO_WARNINGS)
    assert main(["check", "--strict", "--json", str(file)]) == 1
    report = json.loads(capsys.readouterr().out)
    finding = {"line": 4, "column": 18, "message": ONE_WAY, "id": "one-way", "rule": "there"}
    warning = {"line": 4, "column": 52, "message": NOBODY, "id": "matches-nobody"}
    assert (report["ok"], report["findings"], report["warnings"]) == (False, [finding], [warning])
    excused = ("--allow", "one-way,matches-nobody")
    assert main(["check", "--strict", "--json", str(file), *excused]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["findings"], report["warnings"]) == (True, [], [])
    assert main(["check", "--json", str(file)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["findings"], report["warnings"]) == (True, None, [warning])


def test_json_holds_failures_and_warnings(file: Path, capsys: Capture) -> None:
    file.write_text(
        EXAMPLE.read_text()
        .replace("tags: [office]", "tags: [office, spare]")
        .replace("port: tcp/22, expect: deny", "expect: deny")
    )
    assert main(["check", "--json", str(file)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [(each["line"], each["from"], each["to"]) for each in report["failures"]] == [
        (44, "web1", "db1")
    ]
    assert report["failures"][0]["message"].startswith("web1 to db1, tcp/5432: expected denied")
    assert [each["message"] for each in report["warnings"]] == [
        'no rule or test names the tag "spare"'
    ]
    assert (report["nodes"], report["rules"], report["tests"]) == (4, 6, 5)


def test_json_of_bad_input_holds_the_problems(file: Path, capsys: Capture) -> None:
    file.write_text(rule("from: prd, to: db"))
    assert main(["check", "--json", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "ok": False,
        "problems": [
            {
                "line": 4,
                "column": 46,
                "message": 'from: unknown tag or node "prd"',
                "hint": 'did you mean "prod"?',
            }
        ],
        "details": [],
    }


def test_json_of_a_missing_file_is_a_problem_without_a_place(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "nothing.yaml"
    assert main(["check", "--json", str(path)]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem == {
        "line": None,
        "column": None,
        "message": f"{path}: no such file",
        "hint": f"mend the path, or begin one: krait example >{path}",
    }


def test_a_missing_file_is_bad_usage(tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", str(tmp_path / "nothing.yaml")]) == 2
    assert "no such file" in capsys.readouterr().err
