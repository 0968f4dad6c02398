# SPDX-License-Identifier: Apache-2.0
"""What is released enforces a policy where nothing else is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from release import tree
from tests.netns.agent.conftest import ATTACHED, CONFIG, OPEN_TCP, SHUT, Agent, Node
from tests.released import Released


@pytest.fixture(scope="session")
def environment(released: Released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip installs it, and its dependencies as uv.lock pins them; no more."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for library in tree.LIBRARIES:
        tree.add(library, packages)
    pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-index", "--no-deps", str(released.wheel)]
    subprocess.run(install, check=True)
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    return folder


@pytest.fixture(params=["wheel", "single file"])
def krait(request: pytest.FixtureRequest) -> str:
    """The path of the command."""
    if request.param == "wheel":
        return str(request.getfixturevalue("environment") / "bin" / "krait")
    return str(request.getfixturevalue("released").single_file)


def test_it_enforces_and_leaves(node: Node, krait: str) -> None:
    node.write(node.document())
    assert node.passes(OPEN_TCP, SHUT)
    agent = Agent(node.machine.spawn(["env", "-i", krait, "--iface", "wg0", "--config", CONFIG]))
    node.agents.append(agent)
    for event in ATTACHED:
        agent.wait_for(event)
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    node.machine.succeed([krait, "status", "wg0"])
    assert agent.stop() == 0
    assert node.drops_at(SHUT)
    node.machine.succeed([krait, "detach", "wg0"])
    assert node.passes(OPEN_TCP, SHUT)


def test_the_single_file_shows_the_demo_from_outside_of_path(released: Released) -> None:
    bare = ["env", "-i", "PATH=/usr/bin:/bin:/usr/sbin"]
    command = [*bare, str(released.single_file), "demo", "--matrix"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
