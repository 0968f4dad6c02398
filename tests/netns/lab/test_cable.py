# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.lab.cable import End, wire
from krait.lab.namespace import NamespaceMachine

Pair = tuple[NamespaceMachine, NamespaceMachine]


def test_a_cable_joins_two_machines_over_both_families(pair: Pair) -> None:
    left, right = pair
    wire(
        End(left, "lan0", ("198.51.100.1/24", "fd00::1/64")),
        End(right, "lan0", ("198.51.100.2/24", "fd00::2/64")),
    )
    right.spawn("exec python3 -m http.server --bind :: 8000")
    left.wait_for_open_port(8000, "198.51.100.2")
    left.wait_for_open_port(8000, "fd00::2")


def test_a_cable_leaves_nothing_on_the_host(pair: Pair) -> None:
    left, right = pair
    wire(End(left, "kraitlab0"), End(right, "kraitlab1", mtu_bytes=1280))
    names = {path.name for path in Path("/sys/class/net").iterdir()}
    assert not {"kraitlab0", "kraitlab1"} & names
    assert left.succeed("cat /sys/class/net/kraitlab0/mtu") == "1500\n"
    assert right.succeed("cat /sys/class/net/kraitlab1/mtu") == "1280\n"


def test_a_name_that_is_taken_is_refused_with_the_ends_of_the_cable(pair: Pair) -> None:
    left, right = pair
    with pytest.raises(SystemRefused, match="left:eth0 - right:eth1"):
        wire(End(left, "eth0"), End(right, "eth1"))
