# SPDX-License-Identifier: Apache-2.0
import io
import json
import sys

import pytest

from krait.cli import output
from krait.cli.output import WIDTH, Style, paint

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put standard output and standard error on one terminal that shows colour.

    No fixture: pytest puts its own streams in place again before the test itself runs.
    """
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return stream


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    assert paint("denied", Style.RED, Style.BOLD) == "\x1b[31;1mdenied\x1b[0m"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_none_gets_none(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(monkeypatch)
    monkeypatch.setenv(name, value)
    assert paint("denied", Style.RED) == "denied"


def test_an_empty_no_color_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "")
    assert paint("denied", Style.RED) != "denied"


def test_a_pipe_gets_plain_text(capsys: Capture) -> None:
    output.line(paint("denied", Style.RED))
    assert capsys.readouterr().out == "denied\n"


def test_errors_are_coloured_by_their_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    output.error("no\nno again", "mend it")
    label, hint = "\x1b[31;1merror:\x1b[0m", "\x1b[36;1mhint:\x1b[0m"
    assert terminal.getvalue() == f"{label} no\n{label} no again\n{hint} mend it\n"


def test_a_long_error_is_folded_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    message = f"/etc/krait/wg0.yaml: {'word ' * 30}end"
    output.error(message, "short")
    assert capsys.readouterr().err == f"error: {message}\nhint: short\n"
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    output.error(message, "short")
    first, *more, hint = terminal.getvalue().splitlines()
    assert first.startswith("error: /etc/krait/wg0.yaml: word")
    assert all(each.startswith("  word") for each in more)
    assert max(map(len, (first, *more))) <= WIDTH
    assert " ".join([first, *more]).split() == ["error:", *message.split()]
    assert hint == "hint: short"


def test_a_long_remark_is_folded_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    message = f"wg0.yaml:4:18: {'word ' * 30}end"
    output.remark("warning", message, Style.YELLOW)
    assert capsys.readouterr().out == f"warning: {message}\n"
    terminal = on_terminal(monkeypatch)
    output.remark("warning", message, Style.YELLOW)
    first, *more = terminal.getvalue().splitlines()
    label = "\x1b[33mwarning:\x1b[0m"
    assert first.startswith(f"{label} wg0.yaml:4:18: word")
    assert all(each.startswith("  word") for each in more)
    assert max(map(len, (first.replace(label, "warning:"), *more))) <= WIDTH
    assert " ".join([first, *more]).split() == [label, *message.split()]


def test_columns_line_up_although_cells_are_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    output.table([(paint("a", Style.RED), "x"), ("bbb", "y")], indent=" ")
    assert terminal.getvalue() == " \x1b[31ma\x1b[0m    x\n bbb  y\n"


def test_the_last_column_is_wrapped_to_the_width(capsys: Capture) -> None:
    words = "word " * 30
    output.table([("key", words), ("other", "short")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(line[7:] for line in lines[:-1]) == words.strip()
    assert lines[1].startswith(" " * 7 + "word")


def test_a_line_breaks_at_spaces_and_never_inside_a_name(capsys: Capture) -> None:
    names = [f"web-{number}-to-db" for number in range(20)]
    output.table([("key", " ".join(names))])
    assert capsys.readouterr().out.split() == ["key", *names]


def test_a_table_of_nothing_is_nothing(capsys: Capture) -> None:
    output.table([])
    assert capsys.readouterr().out == ""


NAME = "a\x1b[31mX\x07\x9b8m\u202e\udcff"
"""Of an interface, as Linux takes it: ESC, the CSI that is one character, and half a character."""
TOLD = r"a\x1b[31mX\x07\x9b8m\u202e\udcff"


def strict(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> io.BytesIO:
    """Standard output that fails at what its encoding does not have."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding, errors="strict", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    return written


def test_no_text_reaches_a_pipe_or_a_strict_stream_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    output.error(NAME, NAME, [NAME])
    output.warning(NAME)
    told = capsys.readouterr().err
    assert told == f"error: {TOLD}\n  {TOLD}\nhint: {TOLD}\nwarning: {TOLD}\n"
    written = strict(monkeypatch)
    output.line(f"{NAME}\n{NAME}")
    output.remark("failed", NAME, Style.RED)
    output.table([(NAME, "x"), ("b", NAME)])
    lines = written.getvalue().decode().splitlines()
    wide = len(TOLD)
    assert lines == [TOLD, TOLD, f"failed: {TOLD}", f"{TOLD}  x", f"{'b':<{wide}}  {TOLD}"]


def test_a_terminal_is_given_no_colour_but_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    green = paint("ok", Style.GREEN, Style.BOLD)
    output.line(f"{green} \x1b[8m\x1b[2J\x1b]0;x\x07{green}")
    assert terminal.getvalue() == f"{green} \\x1b[8m\\x1b[2J\\x1b]0;x\\x07{green}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_whole_on_every_stream_whatever_is_in_it(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = strict(monkeypatch, encoding)
    output.document({NAME: [NAME, "ü"]})
    first = written.getvalue().decode(encoding)
    output.stream({"head": NAME}, NAME, [NAME, {NAME: "ü"}])
    second = written.getvalue().decode(encoding).removeprefix(first)
    assert json.loads(first) == {NAME: [NAME, "ü"]}
    assert json.loads(second) == {"head": NAME, NAME: [NAME, {NAME: "ü"}]}
    assert (first + second).replace("\n", "").isprintable()


def test_json_is_one_document_and_keeps_its_letters(capsys: Capture) -> None:
    output.document({"name": "zürich", "rows": [1, None, True]})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"name": "zürich", "rows": [1, None, True]}
    assert "zürich" in shown
