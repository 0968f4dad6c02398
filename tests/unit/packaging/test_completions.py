# SPDX-License-Identifier: Apache-2.0
"""What the shells themselves offer, asked of the shells themselves."""

import subprocess
from pathlib import Path

import pytest

from release.completions import SHELLS, completion
from release.parsers import verbs
from tests.requirements import need_tools

need_tools(*SHELLS)

VERBS = {name for name, _, _ in verbs()}

BASH = """
source "$0"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_krait krait "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source "$argv[1]"; complete -C "$argv[2]"'


@pytest.fixture
def scripts(tmp_path: Path) -> dict[str, Path]:
    for shell in SHELLS:
        (tmp_path / shell).write_text(completion(shell))
    (tmp_path / "here.yaml").touch()
    return {shell: tmp_path / shell for shell in SHELLS}


def run(*command: str | Path, cwd: Path) -> list[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout.splitlines()


def offered(shell: str, script: Path, *words: str) -> set[str]:
    if shell == "bash":
        return set(run("bash", "--norc", "-c", BASH, script, "krait", *words, cwd=script.parent))
    line = " ".join(["krait", *words])
    lines = run("fish", "--no-config", "-c", FISH, script, line, cwd=script.parent)
    return {line.split("\t")[0] for line in lines}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_verbs_options_choices_files_and_interfaces_are_offered(
    shell: str, scripts: dict[str, Path]
) -> None:
    def ask(*words: str) -> set[str]:
        return offered(shell, scripts[shell], *words)

    assert ask("") == VERBS
    assert ask("deta") == {"detach"}
    assert {"--json", "--help"} <= ask("status", "--")
    assert ask("agent", "--attach", "") == {"auto", "tcx", "clsact"}
    assert ask("check", "her") == {"here.yaml"}
    for words in (("status", "l"), ("agent", "--iface", "l"), ("--iface", "l")):
        assert "lo" in ask(*words)


@pytest.mark.parametrize(
    ("typed", "there"),
    {"": {"wg0", "lo", "a_=+.-Z9"}, "w": {"wg0"}, "*": set(), "$(": set()}.items(),
)
def test_bash_offers_interfaces_and_runs_no_name_of_one(
    scripts: dict[str, Path], tmp_path: Path, typed: str, there: set[str]
) -> None:
    """Who may give an interface its name, in a container, may not run commands as root."""
    interfaces, script = tmp_path / "net", scripts["bash"]
    for name in ("wg0", "lo", "a_=+.-Z9", "$(id>hit)", "`id>hit`", "w;id>hit", "w'", "w*", "w\33"):
        (interfaces / name).mkdir(parents=True)
    script.write_text(script.read_text().replace("/sys/class/net", str(interfaces)))
    assert offered("bash", script, "status", typed) - {""} == there
    assert not (tmp_path / "hit").exists()


def test_zsh_understands_its_script(scripts: dict[str, Path]) -> None:
    assert scripts["zsh"].read_text().startswith("#compdef krait\n")
    run("zsh", "-f", "-n", scripts["zsh"], cwd=scripts["zsh"].parent)
