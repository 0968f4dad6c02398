# SPDX-License-Identifier: Apache-2.0
"""The Debian package in a root where nothing of this checkout is: from installed to purged.

No systemd runs there; what the unit does is the matter of the vm tier. The root is made once, by
mmdebstrap, and kept in .cache.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from krait.kernel.device import MARK
from krait.kernel.route import PROTOCOL
from krait.lab.machine import patient
from release import deb
from tests.netns.agent.conftest import ATTACHED, BOTH_KINDS, CONFIG, OPEN_TCP, SHUT, Agent, Node
from tests.released import MADE_S, ROOT, Released
from tests.requirements import need_tools

need_tools("mmdebstrap")

BASE = ("python3", "python3-yaml", "libbpf1", "iproute2")
"""What the package depends on, and what nearly every Debian has besides."""

MOUNTED = ("dev", "proc", "sys", "run")


def base() -> Path:
    """A tar of a small Debian of this machine's release."""
    release = Path("/etc/os-release").read_text()
    (suite,) = (line[17:] for line in release.splitlines() if line[:17] == "VERSION_CODENAME=")
    which = hashlib.sha256(" ".join((suite, *BASE)).encode()).hexdigest()[:12]
    kept = ROOT / ".cache" / "packaging" / f"root-{which}.tar"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"new-{os.getpid()}.tar")
        make = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(BASE)}"]
        subprocess.run([*make, suite, new], check=True)
        new.rename(kept)
    return kept


SYSTEMCTL = """#!/bin/sh
echo "$*" >>/tmp/calls
case $* in
*list-units*) echo "krait@wg0.service loaded active running Krait policy on wg0" ;;
*is-enabled*) echo enabled ;;
esac
"""
"""Of a systemd that runs one agent; what is asked of it is written down."""


class Root:
    """A root of bob's, and what runs in it."""

    def __init__(self, node: Node, path: Path) -> None:
        self.node, self.path = node, path

    def command(self, *words: str) -> list[str]:
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return [
            "chroot",
            str(self.path),
            "env",
            "-i",
            path,
            "DEBIAN_FRONTEND=noninteractive",
            *words,
        ]

    def run(self, *words: str) -> str:
        """Its output; what apt and dpkg write to standard error belongs to it."""
        outcome = self.node.machine.run(self.command(*words), timeout_s=patient(300.0))
        assert outcome.code == 0, outcome.stdout + outcome.stderr
        return outcome.stdout + outcome.stderr

    def install(self, package: Path) -> None:
        target = self.path / "tmp" / package.name
        target.write_bytes(package.read_bytes())
        self.run("apt-get", "install", "--yes", "--no-install-recommends", f"/tmp/{package.name}")  # noqa: S108 - the root's own

    def start(self) -> Agent:
        """An agent whose policy is in force."""
        options = ["--iface", "wg0", "--config", CONFIG, "--attach", self.node.kind.value]
        agent = Agent(self.node.machine.spawn(self.command("krait", *options)))
        self.node.agents.append(agent)
        for event in ATTACHED:
            agent.wait_for(event)
        return agent

    def pretend_systemd(self) -> None:
        systemctl = self.path / "usr" / "bin" / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        self.node.machine.succeed("mkdir -p /run/systemd/system")

    def asked_of_systemd(self) -> list[str]:
        calls = self.path / "tmp" / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def there(self, *paths: str) -> list[str]:
        """Which of these are on bob, in this root."""
        script = 'for each; do ! test -e "$each" || echo "$each"; done'
        return self.run("sh", "-c", script, "sh", *paths).split()


@pytest.fixture
def root(node: Node, tmp_path: Path) -> Iterator[Root]:
    path = tmp_path / "root"
    path.mkdir()
    subprocess.run(["tar", "--extract", "--file", base(), "--directory", path], check=True)
    for name in MOUNTED:
        node.machine.succeed(["mount", "--rbind", f"/{name}", str(path / name)])
    yield Root(node, path)
    for agent in node.agents:
        agent.process.kill_all()
    node.machine.succeed("rm -rf /run/systemd/system")
    for name in MOUNTED:
        node.machine.succeed(["umount", "--recursive", "--lazy", str(path / name)])


@BOTH_KINDS
def test_it_installs_enforces_upgrades_and_opens_nothing_until_it_is_purged(
    root: Root, released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = root.node
    node.write(node.document())
    root.install(released.package)
    assert "krait 0." in root.run("krait", "--version")
    assert node.passes(OPEN_TCP, SHUT)
    agent = root.start()
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)

    assert root.asked_of_systemd() == []

    root.pretend_systemd()
    monkeypatch.setattr(deb, "REVISION", deb.REVISION + 1)
    version = released.wheel.name.split("-")[1]
    root.install(deb.write(tmp_path, released.wheel, version, MADE_S))
    assert f"{version}-{deb.REVISION}" in root.run("dpkg-query", "--show", "krait")
    restarts = [call for call in root.asked_of_systemd() if "restart" in call]
    assert restarts == ["--quiet --system restart krait@wg0.service"]
    assert not any("stop" in call for call in root.asked_of_systemd())
    assert agent.process.is_running()
    assert node.drops_at(SHUT)

    said = root.run("apt-get", "remove", "--yes", "krait")
    assert "the policy of wg0 stays in force" in said
    assert "stop krait@*.service" in root.asked_of_systemd()
    agent.process.wait()
    assert root.there("/usr/bin/krait", "/usr/lib/krait") == []
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)

    node.machine.succeed(
        "ip link add made type veth peer name also"
        f" && ip link set made group {MARK} && ip link set also group {MARK}"
        f" && ip route add unreachable 10.99.0.0/16 proto {PROTOCOL}"
    )
    root.run("apt-get", "purge", "--yes", "krait")
    node.machine.fail("ip link show made")
    assert not node.machine.succeed(f"ip route show proto {PROTOCOL}")
    assert node.passes(OPEN_TCP, SHUT)
    gone = ("/sys/fs/bpf/krait", "/run/krait", "/var/lib/krait", "/var/cache/krait", "/etc/krait")
    assert root.there(*gone) == []
