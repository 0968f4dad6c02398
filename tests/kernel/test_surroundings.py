# SPDX-License-Identifier: Apache-2.0
import socket
import subprocess

import pytest

from krait.kernel.surroundings import LOOPBACK, other_links
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def test_others_are_those_that_are_up_lo_among_them_and_never_the_one_asked_about() -> None:
    ip("link add v0 type veth peer name v1")
    ip("link add br7 type bridge")
    ip("address add 10.8.0.1/24 dev v1")
    for name in ("lo", "v0", "v1"):
        ip(f"link set {name} up")
    others = other_links(socket.if_nametoindex("v0"))
    assert {link.name for link in others} == {"lo", "v1"}
    assert next(link.ifindex for link in others if link.name == "lo") == LOOPBACK
    (v1,) = (link for link in others if link.name == "v1")
    assert "10.8.0.1/24" in map(str, v1.addresses)
