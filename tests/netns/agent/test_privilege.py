# SPDX-License-Identifier: Apache-2.0
"""The real agent with three capabilities and no more, and with each of them missing."""

import json
import signal

import pytest

from krait.kernel.capability import NEEDED, Capability
from tests.netns.agent.conftest import (
    ATTACHED,
    BOTH_KINDS,
    CONFIG,
    OPEN_TCP,
    RULES,
    SHUT,
    Agent,
    Node,
)

AGENT = f"krait --iface wg0 --config {CONFIG}"


def confined(*granted: Capability) -> str:
    """What runs a command as root with no capabilities but these, nor a way to get others."""
    kept = ",".join(f"+{each.name.lower()}" for each in granted)
    sets = f"-all,{kept}" if kept else "-all"
    return f"setpriv --no-new-privs --bounding-set={sets} --inh-caps={sets} "


def spawn(node: Node) -> Agent:
    command = f"exec {confined(*NEEDED)}{AGENT} --attach {node.kind.value}"
    agent = Agent(node.machine.spawn(command))
    node.agents.append(agent)
    return agent


@BOTH_KINDS
def test_three_capabilities_do_for_a_start_commits_a_crash_a_restart_and_detach(node: Node) -> None:
    node.unplug()
    node.plug()  # a userspace WireGuard with no more capabilities than the agent has
    node.greet()
    node.write(node.document())
    first = spawn(node)
    for event in ATTACHED:
        first.wait_for(event)
    mine = node.machine.succeed("grep CapEff /proc/$(cat /run/krait/wg0.lock)/status").split()[1]
    assert int(mine, 16) == sum(1 << each for each in NEEDED)
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    mark = first.mark()
    node.write(node.document(RULES.replace("tcp/80", "tcp/81")))
    first.wait_for("commit", after=mark)
    assert node.passes(SHUT)
    assert node.drops_at(OPEN_TCP)
    first.process.kill(signal.SIGKILL)
    first.process.wait()
    node.write(node.document())
    second = spawn(node)
    assert second.wait_for("commit")["revision"] == 3
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    assert second.stop() == 0
    outcome = node.machine.run(f"{confined(*NEEDED)}krait detach wg0")
    assert (outcome.code, node.seats()) == (0, [])


@pytest.mark.parametrize("missing", NEEDED, ids=lambda each: str(each.name))
def test_each_one_that_is_missing_is_named_and_nothing_is_attached(
    node: Node, missing: Capability
) -> None:
    node.write(node.document())
    others = (each for each in NEEDED if each is not missing)
    outcome = node.machine.run(f"{confined(*others)}{AGENT}")
    assert outcome.code == 3
    assert json.loads(outcome.stderr)["event"] == f"this process lacks CAP_{missing.name}"
    assert node.seats() == []


@pytest.mark.parametrize("folder", ["/run/krait", "/var/lib/krait", "/sys/fs/bpf/krait"])
def test_a_folder_that_this_user_may_not_write_is_named_with_the_mend(
    node: Node, folder: str
) -> None:
    node.write(node.document())
    stranger = "65534"
    node.machine.succeed(f"mkdir -p {folder} && chown {stranger} {folder} && chmod 0700 {folder}")
    outcome = node.machine.run(f"{confined(*NEEDED)}{AGENT}")
    node.machine.succeed(f"chown 0 {folder}")
    assert outcome.code == 3
    assert f"cannot write {folder}: Permission denied" in " ".join(outcome.stderr.split())
    assert "RuntimeDirectory" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert node.seats() == []
