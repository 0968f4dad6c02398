# SPDX-License-Identifier: Apache-2.0
import errno
import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import ModuleType

import pytest

from krait.cli import main as cli
from krait.cli.main import INTERRUPTED, PIPE_CLOSED, VERBS, Verb, main
from krait.common.errors import SystemRefused
from krait.kernel.bpf.errors import BpfRefused
from tests.documents import policy

Capture = pytest.CaptureFixture[str]


def a_verb(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException | None = None
) -> list[Namespace]:
    """Put a verb of our own into the table; the list fills with the options of its runs."""
    runs: list[Namespace] = []

    def configure(parser: ArgumentParser) -> None:
        parser.add_argument("--iface")
        parser.add_argument("--config")
        parser.add_argument("--json", action="store_true")

    def run(options: Namespace) -> int:
        runs.append(options)
        if error is not None:
            raise error
        return 1

    module = ModuleType("krait.cli.commands.ours")
    vars(module).update(configure=configure, run=run)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(cli, "VERBS", {**VERBS, name: Verb(module.__name__, "ours")})
    return runs


def test_help_lists_every_verb(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"  {name} " in shown
        assert verb.summary in shown


def test_no_arguments_is_bad_usage_and_shows_the_help(capsys: Capture) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: krait")


def test_the_version_is_the_packages(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("krait 0.")


def test_an_unknown_verb_is_bad_usage_with_the_nearest_one(capsys: Capture) -> None:
    assert main(["chek"]) == 2
    assert capsys.readouterr().err == 'error: unknown verb "chek"\nhint: did you mean "check"?\n'


def test_a_verb_whose_module_is_missing_is_an_error_and_not_a_traceback(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "VERBS", {"gone": Verb("krait.cli.commands.gone", "")})
    assert main(["gone"]) == 2
    assert "`krait gone` is not part of this build" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--iface", "wg0", "--config", "a.yaml"],
        ["--config=a.yaml", "--iface=wg0"],
        ["agent", "--iface", "wg0", "--config", "a.yaml"],
    ],
)
def test_an_interface_without_a_verb_means_the_agent(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = a_verb(monkeypatch, "agent")
    assert main(arguments) == 1
    assert [(each.iface, each.config) for each in runs] == [("wg0", "a.yaml")]


def test_bad_options_are_bad_usage_with_a_hint(capsys: Capture) -> None:
    assert main(["check"]) == 2
    assert capsys.readouterr().err == (
        "error: the following arguments are required: FILE\nhint: see `krait check --help`\n"
    )


def test_the_help_of_a_verb_is_no_error(capsys: Capture) -> None:
    assert main(["check", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: krait check")


def test_an_error_gives_its_exit_code_message_and_hint(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_verb(monkeypatch, "ours", SystemRefused("no BPF", hint="use a newer kernel"))
    assert main(["ours"]) == 3
    assert capsys.readouterr().err == "error: no BPF\nhint: use a newer kernel\n"


REFUSED = BpfRefused("krait_ingress: BPF_PROG_LOAD: refused", errno=13, hint="mend", log="a\nb\n")


def test_the_end_of_the_verifiers_log_stands_under_the_message(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_verb(monkeypatch, "ours", REFUSED)
    assert main(["ours"]) == 3
    assert capsys.readouterr().err == f"error: {REFUSED.message}\n  a\n  b\nhint: mend\n"


def test_an_error_under_json_is_a_document_of_every_verb(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_verb(monkeypatch, "ours", REFUSED)
    assert main(["ours", "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "ok": False,
        "problems": [{"line": None, "column": None, "message": REFUSED.message, "hint": "mend"}],
        "details": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "no", "/run/krait"), "/run/krait: Permission denied"),
        (OSError(errno.ENOSPC, ""), "No space left on device"),
        (TimeoutError("nobody answers"), "nobody answers"),
        (OSError(), "OSError"),
    ],
)
def test_a_stray_refusal_of_the_system_is_told_and_is_no_answer(
    error: OSError, message: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_verb(monkeypatch, "ours", error)
    assert main(["ours"]) == 3
    assert capsys.readouterr().err.splitlines()[0] == f"error: {message}"


def test_a_fault_of_our_own_shows_its_traceback_and_is_no_answer(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_verb(monkeypatch, "ours", ZeroDivisionError("ours"))
    assert main(["ours"]) == 3
    assert capsys.readouterr().err.endswith("ZeroDivisionError: ours\n")


def test_a_full_disk_is_told_once_and_is_no_answer() -> None:
    code = "import sys; from krait.cli.main import main; sys.exit(main(['--help']))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 3
    assert done.stderr.count(b"error: ") == 1
    assert b"No space left on device" in done.stderr


def test_an_interrupt_is_reported_as_shells_do(monkeypatch: pytest.MonkeyPatch) -> None:
    a_verb(monkeypatch, "ours", KeyboardInterrupt())
    assert main(["ours"]) == INTERRUPTED


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """`krait --help | true`: the pipe is real, as only then Python's own last flush can fail."""
    code = (
        "import sys; from krait.cli.main import main; sys.stdin.read(); sys.exit(main(['--help']))"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.close()  # only now it starts to write
        assert process.stderr.read() == b""
    assert process.returncode == PIPE_CLOSED


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("nothing", 2)])
def test_without_standard_streams_the_exit_code_is_the_answer(argument: str, code: int) -> None:
    program = f"import sys; from krait.cli.main import main; sys.exit(main(['{argument}']))"
    shell = ["sh", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable, program]
    assert subprocess.run(shell, check=False).returncode == code


def test_what_a_stream_has_no_letter_for_is_an_escape_and_no_end(tmp_path: Path) -> None:
    command = ["krait", "fmt", "--check", "zü.yaml"]
    (tmp_path / "zü.yaml").write_text(policy("{}"))
    program = "import sys; from krait.cli.main import main; sys.exit(main(sys.argv[1:]))"
    told = [
        subprocess.run(
            [sys.executable, "-c", program, *command[1:]],
            cwd=folder,
            env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
            capture_output=True,
            check=False,
        )
        for folder in (tmp_path, "/")
    ]
    assert told[0].stdout.startswith(rb"would change: z\xfc.yaml")
    assert told[1].stderr.startswith(rb"error: z\xfc.yaml")
    assert [each.returncode for each in told] == [1, 2]


HEAVY = (
    "yaml",
    "pyroute2",
    "structlog",
    "asyncio",
    "ctypes",
    "krait.policy",
    "krait.kernel",
)


def test_help_waits_for_no_heavy_import() -> None:
    code = (
        "import sys; from krait.cli.main import main; main(['--help']); "
        f"sys.exit(' '.join(m for m in {HEAVY} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stderr.strip() == b""
