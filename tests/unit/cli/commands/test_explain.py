# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from krait.cli.main import main
from tests.documents import policy

EXAMPLE = str(Path(__file__).parents[4] / "examples" / "small.yaml")
Capture = pytest.CaptureFixture[str]


def test_an_allowed_open_is_a_yes_with_its_rule(capsys: Capture) -> None:
    assert main(["explain", EXAMPLE, "web1", "db1", "tcp/5432"]) == 0
    assert capsys.readouterr().out == (
        'web1 to db1, tcp/5432: allowed\n  allowed  tcp/5432  rule "web-to-db" in line 35 allows\n'
    )


def test_a_denied_open_is_a_no_that_lists_what_else_matched(capsys: Capture) -> None:
    assert main(["explain", EXAMPLE, "laptop", "db1", "tcp/22"]) == 1
    assert capsys.readouterr().out == (
        "laptop to db1, tcp/22: denied\n"
        '  denied  tcp/22  rule "no-ssh-to-db" in line 39 denies\n'
        'also matches: rule "admin-everywhere" in line 37 (allow)\n'
    )


def test_without_a_port_the_answer_is_a_table_and_a_part_is_no_yes(capsys: Capture) -> None:
    assert main(["explain", EXAMPLE, "10.8.0.2", "web2"]) == 1
    assert capsys.readouterr().out == (
        "web1 to web2: mixed\n"
        '  allowed  udp/8000-8100    rule "prod-metrics" in line 36 allows\n'
        "  denied   everything else  no rule matches, and the default denies\n"
        'audit only: rule "trial-no-web-to-web" in line 40 (deny)\n'
    )


def test_json_holds_what_the_text_says(capsys: Capture) -> None:
    assert main(["explain", "--json", EXAMPLE, "laptop", "db1", "tcp/22"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "denied"
    assert answer["from"] == {"name": "laptop", "labels": ["admin"]}
    (row,) = answer["rows"]
    assert row["what"] == ["tcp/22"]
    assert row["rule"] == {"name": "no-ssh-to-db", "line": 39, "action": "deny"}
    assert [each["name"] for each in row["others"]] == ["admin-everywhere"]


@pytest.mark.parametrize("question", [["web9", "db1"], ["web1", "db1", "22"], ["web1"]])
def test_a_bad_question_is_bad_usage(question: list[str], capsys: Capture) -> None:
    assert main(["explain", EXAMPLE, *question]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")


def test_json_of_a_bad_question_holds_the_problem(capsys: Capture) -> None:
    assert main(["explain", "--json", EXAMPLE, "nobody", "db1"]) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    (problem,) = json.loads(captured.out)["problems"]
    assert "nobody" in problem["message"]


def test_many_ports_go_on_below_and_leave_the_reason_its_room(
    tmp_path: Path, capsys: Capture
) -> None:
    ports = [f"tcp/{port}" for port in range(1000, 1040, 2)]
    file = tmp_path / "krait.yaml"
    file.write_text(policy(f"{{rules: [{{from: web, to: db, ports: [{', '.join(ports)}]}}]}}"))
    assert main(["explain", str(file), "web1", "db1"]) == 1
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert [word.strip(",") for word in shown.split() if word.startswith("tcp/")] == ports


def test_the_longest_names_are_folded(tmp_path: Path, capsys: Capture) -> None:
    a, b, *names = (letter * 63 for letter in "abxyz")
    rules = [f"{{name: {name}, from: {a}, to: {b}, ports: tcp/1}}" for name in names]
    rules[-1] = rules[-1].replace("}", ", audit: true}")
    text = policy(f"{{rules: [{', '.join(rules)}]}}")
    file = tmp_path / "krait.yaml"
    file.write_text(text.replace("db1:", f"{a}:").replace("web1:", f"{b}:"))
    assert main(["explain", str(file), a, b]) == 1
    shown = capsys.readouterr().out
    assert shown == (
        f"{a} to\n"
        f"  {b}: mixed\n"
        "  allowed  tcp/1\n"
        f'      rule "{names[0]}" in\n'
        "      line 4 allows\n"
        "  denied  everything else\n"
        "      no rule matches, and the default denies\n"
        "also matches: rule\n"
        f'  "{names[1]}" in line 4\n'
        "  (allow)\n"
        "audit only: rule\n"
        f'  "{names[2]}" in line 4\n'
        "  (allow)\n"
    )
