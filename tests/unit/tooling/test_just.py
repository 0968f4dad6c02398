# SPDX-License-Identifier: Apache-2.0
"""./just installs what a recipe lacks and no more, or says exactly what it cannot install.

What it calls are stand-ins here: the real apt-get and uv would change the machine.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

COREUTILS = ("cat", "chmod", "dirname", "env", "mkdir", "readlink", "sha256sum")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Our wrapper alone, in a folder whose name has a space; nothing is prepared."""
    checkout = tmp_path / "a checkout"
    (checkout / "packaging").mkdir(parents=True)
    for name in ("just", "justfile", "pyproject.toml", "uv.lock", "packaging/packages.txt"):
        shutil.copy(ROOT / name, checkout / name)
    return checkout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH of nothing but the shell and what every Linux has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", *COREUTILS):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def provide(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def just(
    checkout: Path, path: Path, *arguments: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", checkout / "just", *arguments],
        env={"PATH": str(path), **extra},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def calls(tmp_path: Path, path: Path) -> Path:
    """A Debian, root, with all but two packages; what is called is written to this file."""
    calls = tmp_path / "calls"
    calls.touch()
    provide(path, "id", "echo 0")
    provide(path, "apt-get", f'echo "apt-get $*" >>"{calls}"')
    provide(
        path,
        "dpkg-query",
        """shift 3
for package; do
    case $package in
    clang) echo "not-installed $package" ;;
    wireguard-go) ;;
    *) echo "installed $package" ;;
    esac
done""",
    )
    provide(
        path,
        "uv",
        f"""[ "$1" = --version ] && exit
echo "uv $1 $2 $3" >>"{calls}"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
cd "$UV_PROJECT_ENVIRONMENT/bin"
echo '#!/bin/sh
printf "<%s>" "$@"; cat' >just
chmod +x just
: >python
chmod +x python""",
    )
    return calls


def test_without_apt_it_names_what_the_recipe_needs_and_no_more(checkout: Path, path: Path) -> None:
    ran = just(checkout, path, "test")
    assert ran.returncode == 3
    assert "no apt-get" in ran.stderr
    assert "wireguard-go" in ran.stderr
    assert "clang-format" not in ran.stderr


def test_without_root_it_prints_the_command_that_installs(
    checkout: Path, path: Path, calls: Path
) -> None:
    provide(path, "id", "echo 1000")
    ran = just(checkout, path, "test")
    assert ran.returncode == 3
    assert "sudo apt-get install --yes --no-install-recommends clang wireguard-go\n" in ran.stderr
    assert not calls.read_text()


def test_a_second_run_installs_nothing(checkout: Path, path: Path, calls: Path) -> None:
    assert just(checkout, path, "test").returncode == 0
    first = calls.read_text().splitlines()
    assert [line.split()[:2] for line in first] == [
        ["apt-get", "update"],
        ["apt-get", "install"],
        ["uv", "--quiet"],
    ]
    assert "--no-install-recommends clang wireguard-go" in first[1]

    provide(path, "dpkg-query", 'shift 3\nfor package; do echo "installed $package"; done')
    assert just(checkout, path, "test").returncode == 0
    assert calls.read_text().splitlines() == first


@pytest.mark.parametrize("changed", ["uv.lock", "pyproject.toml"])
def test_a_changed_lock_is_synced_again(
    checkout: Path, path: Path, calls: Path, changed: str
) -> None:
    just(checkout, path, "--list")
    just(checkout, path, "--list")
    assert calls.read_text().count("sync") == 1
    with (checkout / changed).open("a") as file:
        file.write("\n")
    just(checkout, path, "--list")
    assert calls.read_text().count("sync") == 2


def test_a_checkout_that_was_moved_is_synced_again(checkout: Path, path: Path, calls: Path) -> None:
    just(checkout, path, "--list")
    moved = checkout.rename(checkout.with_name("elsewhere"))
    just(moved, path, "--list")
    assert calls.read_text().count("sync") == 2


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["fmt"], False),
        (["fmt", "build-all"], True),
        (["krait", "fmt"], True),
        (["--list"], False),
        ([], False),
    ],
)
def test_the_packages_are_those_of_every_recipe_named(
    checkout: Path, path: Path, calls: Path, arguments: list[str], needed: bool
) -> None:
    assert just(checkout, path, *arguments).returncode == 0
    assert ("clang" in calls.read_text()) == needed


def test_words_after_a_recipe_that_takes_arguments_are_no_recipes(
    checkout: Path, path: Path, calls: Path
) -> None:
    provide(path, "dpkg-query", "")
    just(checkout, path, "krait", "lint")
    assert "clang" in calls.read_text()
    assert "shellcheck" not in calls.read_text()


@pytest.mark.usefixtures("calls")
def test_arguments_and_input_reach_the_recipe_as_they_are(checkout: Path, path: Path) -> None:
    provide(path, "apt-get", "cat")  # reads what it is given, as an installer's question would
    ran = subprocess.run(
        ["bash", checkout / "just", "krait", "check", "my file", ""],
        env={"PATH": str(path)},
        input="piped",
        capture_output=True,
        text=True,
        check=False,
    )
    justfile = checkout / "justfile"
    assert ran.stdout == f"<--justfile><{justfile}><krait><check><my file><>piped"


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("broken", ["apt-get", "uv"])
def test_a_failed_installation_is_the_machines_refusal(
    checkout: Path, path: Path, broken: str
) -> None:
    provide(path, broken, '[ "$1" = --version ]')
    ran = just(checkout, path, "test")
    assert ran.returncode == 3
    assert f"{broken} " in ran.stderr


def test_an_old_python_is_named(checkout: Path, path: Path, calls: Path) -> None:
    (path / "uv").unlink()
    provide(
        path,
        "python3",
        f"""[ "$1" = --version ] && echo "Python 3.10.9" && exit
exec "{sys.executable}" -c "import sys; sys.version_info = (3, 10, 9)
$2" """,
    )
    ran = just(checkout, path, "--list")
    assert ran.returncode == 3
    assert "Python 3.11 or newer is needed; python3 is Python 3.10.9" in ran.stderr
    assert not calls.read_text()
