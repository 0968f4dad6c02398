# SPDX-License-Identifier: Apache-2.0
"""The quick starts of the documents, line by line as they stand there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from krait.lab.mesh import Lab
from krait.lab.namespace import NamespaceMachine
from tests.netns.up.conftest import PATIENCE_S, USERSPACE

ROOT = Path(__file__).parents[3]
SHELL = """
set -e
cd /run
export EDITOR=true
sudo() { "$@"; }
krait() { # as where the kernel has WireGuard
    if [ "$1" = up ]; then command krait "$@" %s; else command krait "$@"; fi
}
"""


@pytest.fixture
def machines() -> Iterator[tuple[NamespaceMachine, NamespaceMachine]]:
    with Lab() as lab:
        lab.add("router", on_underlay=True)  # 192.0.2.1: the others have the addresses of the pages
        yield lab.add("db1", on_underlay=True), lab.add("web1", on_underlay=True)


def block(document: str, about: str) -> str:
    """The commands of a fenced block."""
    fenced = re.findall(r"(?ms)^```\w*\n(.*?)^```", (ROOT / document).read_text())
    return next(str(each) for each in fenced if about in each)


def paste(machine: NamespaceMachine, lines: str) -> None:
    shell = SHELL % " ".join(USERSPACE)
    machine.succeed(["bash", "-c", shell + lines], timeout_s=PATIENCE_S)


@pytest.mark.parametrize("document", ["README.md", "docs/up.md"])
def test_two_machines_meet_by_what_is_pasted(
    document: str, machines: tuple[NamespaceMachine, NamespaceMachine]
) -> None:
    first, second = machines
    keys = {m.name: m.succeed("krait genkey wg0").strip() for m in machines}
    making = block(document, "krait example --minimal")
    if "web1" not in making:
        adding = next(line for line in making.splitlines(keepends=True) if "krait add" in line)
        other = adding.replace("db1", "web1").replace("192.0.2.2", "192.0.2.3")
        making = making.replace(adding, adding.replace("KEY", keys["db1"]) + other)
    starting = block(document, "sudo install -D -m 600 mesh.yaml")
    paste(first, making.replace("KEY", keys["web1"]))
    second.write("/run/mesh.yaml", first.succeed("cat /run/mesh.yaml"))
    if starting == making:  # all of it is one block, of which this machine's part is done
        starting = starting[starting.index("sudo install") :]
    else:
        paste(first, starting)
    paste(second, starting)
    first.succeed("krait status wg0 | grep -q 'wg0: enforcing'")
    first.wait_until_succeeds("ping -c1 -W5 10.8.0.2")
