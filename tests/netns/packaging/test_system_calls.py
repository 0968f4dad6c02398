# SPDX-License-Identifier: Apache-2.0
"""What the agent asks of the kernel in a life of its own is what its unit lets it ask.

The filter itself is systemd's to apply, in the vm tier; here every call is seen, also those whose
refusal nobody would notice.
"""

import re
import subprocess
from functools import cache

from tests.netns.agent.conftest import ATTACHED, BOTH_KINDS, CONFIG, RULES, Agent, Node
from tests.released import ROOT
from tests.requirements import need_tools

need_tools("strace", "systemd-analyze")

UNIT = ROOT / "packaging" / "systemd" / "krait@.service"


@cache
def members(group: str) -> frozenset[str]:
    """The calls of a group such as @file-system, those of its groups included."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:]]
    return calls(*(word for word in words if word and not word.startswith("#")))


def calls(*words: str) -> frozenset[str]:
    return frozenset().union(*(members(w) if w.startswith("@") else {w} for w in words))


def allowed() -> frozenset[str]:
    """By the unit's lines, in their order: of two that concern a call the later one counts."""
    found: frozenset[str] = frozenset()
    for line in re.findall("^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        named = calls(*line.removeprefix("~").split())
        found = found - named if line.startswith("~") else found | named
    return found


@BOTH_KINDS
def test_the_agent_makes_no_call_that_its_unit_forbids(node: Node) -> None:
    node.write(node.document())
    options = ["--iface", "wg0", "--config", CONFIG, "--attach", node.kind.value]
    trace = ["strace", "--follow-forks", "--quiet=all", "--output=/run/wg/calls"]
    agent = Agent(node.machine.spawn([*trace, "krait", *options]))
    node.agents.append(agent)
    for event in ATTACHED:
        agent.wait_for(event)
    mark = agent.mark()
    node.write(node.document(RULES.replace("tcp/80", "tcp/81")))
    agent.wait_for("commit", after=mark)
    node.unplug()
    mark = agent.mark()
    node.plug()
    for event in ATTACHED:
        agent.wait_for(event, after=mark)
    node.machine.succeed("kill -HUP $(cat /run/krait/wg0.lock)")
    node.machine.succeed("kill -TERM $(cat /run/krait/wg0.lock)")
    assert agent.process.wait() == 0
    lines = node.machine.succeed(["cat", "/run/wg/calls"]).splitlines()
    seen = {found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}
    assert "bpf" in seen
    assert seen <= allowed(), sorted(seen - allowed())
