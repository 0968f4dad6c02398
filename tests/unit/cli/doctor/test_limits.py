# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from krait.agent.guarded import Guarded
from krait.cli.doctor import limits
from krait.cli.doctor.finding import Level
from krait.common.guard import GuardReason
from krait.kernel.generation import Count
from krait.kernel.link import Link

WG0 = Link(7, "wg0", "wireguard", 1420, up=True, addresses=(ip_interface("10.8.0.1/24"),))
OTHERS = tuple(Link(8 + i, f"eth{i}", "", 1500, up=True) for i in range(5))


def test_other_interfaces_reach_the_mesh_address_and_the_first_are_named() -> None:
    answer = limits.weak_host(WG0, OTHERS)
    assert answer.level is Level.WARN
    assert "10.8.0.1 is reachable through eth0, eth1, eth2 and 2 more too" in answer.message
    assert "guard: true" in answer.hint
    assert 'iifname != { lo, "wg0" } ip daddr { 10.8.0.1 } drop' in answer.hint


def test_the_mend_has_a_rule_a_family_with_every_address_that_others_could_reach() -> None:
    texts = ("10.8.0.1/24", "fe80::1/64", "10.9.0.1/24", "fd7a:6b72::1/64")
    answer = limits.weak_host(replace(WG0, addresses=tuple(map(ip_interface, texts))), OTHERS[:1])
    assert answer.message.startswith("10.8.0.1, 10.9.0.1 and fd7a:6b72::1 are reachable through")
    assert answer.hint.splitlines()[2:] == [
        'iifname != { lo, "wg0" } ip daddr { 10.8.0.1, 10.9.0.1 } drop',
        'iifname != { lo, "wg0" } ip6 daddr { fd7a:6b72::1 } drop',
    ]


def test_whether_a_firewall_drops_it_is_said_to_be_unseen() -> None:
    assert "cannot see whether" in limits.weak_host(WG0, OTHERS).message


def test_a_machine_without_another_interface_or_address_has_no_weak_host() -> None:
    assert limits.weak_host(WG0, ()).level is Level.OK
    for texts in ((), ("fe80::1/64",)):
        link = replace(WG0, addresses=tuple(map(ip_interface, texts)))
        assert limits.weak_host(link, OTHERS).level is Level.OK


def guard(*missing: str) -> Guarded:
    on = {each.name: () for each in OTHERS if each.name not in missing}
    return Guarded(on, missing, {GuardReason.DESTINATION: Count(3, 180)})


def test_an_interface_with_the_guard_is_no_way_in_and_what_it_dropped_is_told() -> None:
    answer = limits.weak_host(WG0, OTHERS, guard())
    assert answer.level is Level.OK
    assert answer.message.endswith("drops; 3 packets so far")
    assert limits.spoofing({}, guard()).message.startswith("guarded: ")


def test_an_interface_that_lacks_the_guard_is_the_one_that_is_named() -> None:
    answer = limits.weak_host(WG0, OTHERS, guard("eth1"))
    assert answer.level is Level.WARN
    assert "reachable through eth1 too" in answer.message
    assert "krait status wg0" in answer.hint


@pytest.mark.parametrize(
    ("filters", "level"),
    [
        ({}, Level.OK),
        ({"eth0": 1}, Level.OK),
        ({"eth0": 1, "eth1": 0}, Level.WARN),
        ({"eth0": 2}, Level.WARN),
        ({"gone": None}, Level.OK),
    ],
)
def test_only_a_strict_filter_keeps_mesh_sources_out_of_other_interfaces(
    filters: dict[str, int | None], level: Level
) -> None:
    assert limits.spoofing(filters).level is level


def test_the_setting_of_an_interface_with_a_dot_is_written_as_sysctl_takes_it() -> None:
    assert "net.ipv4.conf.eth0/100.rp_filter=1" in limits.spoofing({"eth0.100": 0}).hint


def test_packet_sockets_that_are_open_now_are_counted() -> None:
    assert limits.sniffers(2).message.endswith("; 2 are open now")
    assert limits.sniffers(1).message.endswith("; 1 is open now")
    assert "open now" not in limits.sniffers(0).message
