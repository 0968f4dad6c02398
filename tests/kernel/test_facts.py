# SPDX-License-Identifier: Apache-2.0
"""Facts of the running kernel, held against what the test sets and what other tools say."""

import subprocess
from pathlib import Path

import pytest

from krait.kernel.facts import has_ipv6, observe_facts, reverse_path_filter
from tests.requirements import need_tools

need_tools("ip", "uname")


def test_the_kernel_and_its_jit_are_told_in_the_first_namespace() -> None:
    facts = observe_facts()
    release = subprocess.run(["uname", "-r"], check=True, capture_output=True, text=True).stdout
    assert facts.kernel == release.strip()
    assert facts.bpf_jit is (Path("/proc/sys/net/core/bpf_jit_enable").read_text() != "0\n")


@pytest.mark.usefixtures("netns")
def test_a_setting_that_a_namespace_hides_is_unknown_and_not_off() -> None:
    assert observe_facts().bpf_jit is None


@pytest.mark.usefixtures("netns")
@pytest.mark.parametrize("on", [False, True])
def test_forwarding_is_what_the_namespace_is_set_to(on: bool) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text(str(int(on)))
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text(str(int(not on)))
    facts = observe_facts()
    assert facts.forwarding4 is on
    assert facts.forwarding6 is not on


@pytest.mark.usefixtures("netns")
@pytest.mark.parametrize(
    ("everywhere", "own", "holds"), [(0, 0, 0), (0, 1, 1), (2, 1, 2), (1, 2, 2)]
)
def test_the_stricter_looking_number_of_reverse_path_filters_holds(
    everywhere: int, own: int, holds: int
) -> None:
    subprocess.run(["ip", "link", "add", "wg0.100", "type", "bridge"], check=True)
    Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text(str(everywhere))
    Path("/proc/sys/net/ipv4/conf/wg0.100/rp_filter").write_text(str(own))
    assert reverse_path_filter("wg0.100") == holds


def test_an_interface_that_is_not_there_has_no_reverse_path_filter() -> None:
    assert reverse_path_filter("no-such-device") is None


@pytest.mark.usefixtures("netns")
def test_wireguard_is_there_exactly_when_the_kernel_makes_such_an_interface() -> None:
    made = subprocess.run(
        ["ip", "link", "add", "wg0", "type", "wireguard"], capture_output=True
    ).returncode
    assert observe_facts().wireguard is (made == 0)


@pytest.mark.usefixtures("netns")
def test_ipv6_is_the_interfaces_or_what_a_new_one_will_have() -> None:
    settings = Path("/proc/sys/net/ipv6/conf")
    (settings / "default" / "disable_ipv6").write_text("0")
    assert has_ipv6("wg0")
    (settings / "default" / "disable_ipv6").write_text("1")
    assert not has_ipv6("wg0")
    assert has_ipv6("lo")
    (settings / "lo" / "disable_ipv6").write_text("1")
    assert not has_ipv6("lo")
