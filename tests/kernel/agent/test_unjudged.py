# SPDX-License-Identifier: Apache-2.0
"""Which interfaces a guard is for, where several have a policy of Krait's."""

import socket
from pathlib import Path

import pytest

from krait.agent.adapters import unjudged
from krait.agent.paths import Paths
from krait.kernel.claim import claim
from krait.kernel.filter import InterfaceFilter
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from tests.kernel.test_filter import Programs, load, pins, run
from tests.requirements import KINDS

__all__ = ["load", "pins"]  # fixtures


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.value))
def test_one_that_another_policy_judges_is_left_to_it_for_as_long_as_it_does(
    netns: None,  # noqa: ARG001 - its effect is the namespace
    pins: Path,
    load: Programs,
    kind: AttachKind,
) -> None:
    run("ip link add wg1 type veth peer name eth0")
    paths = Paths(pins=pins.parent)
    for name in ("wg0", "wg1"):
        folder = paths.pins_of(name)
        folder.mkdir(parents=True)
        claim(folder)
    found = {link.name for link in unjudged("wg0", paths)}
    assert found == {"lo", "wg1", "eth0"}, "pins alone judge nothing"
    hooks, ifindex = InterfaceFilter(paths.pins_of("wg1"), kind), socket.if_nametoindex("wg1")
    hooks.attach(ifindex, Hook.INGRESS, load())
    assert {link.name for link in unjudged("wg0", paths)} == {"lo", "eth0"}
    assert "wg1" in {link.name for link in unjudged("wg1", paths)}
    hooks.detach(ifindex, Hook.INGRESS, kind)
    assert "wg1" in {link.name for link in unjudged("wg0", paths)}
