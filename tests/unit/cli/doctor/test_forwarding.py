# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import pytest

from krait.cli.doctor.finding import Level
from krait.cli.doctor.forwarding import forwarding
from krait.kernel.facts import Facts
from tests.unit.cli.doctor.test_documents import DOCUMENT, written
from tests.unit.cli.doctor.test_interface import DEVICE, with_peers

FACTS = Facts("6.12", bpf_jit=True, forwarding4=False, forwarding6=False, wireguard=True)
ROUTES = DOCUMENT.replace("{", "{{").replace("}", "}}").replace("}}", ", routes: [{}]}}", 1)


@pytest.mark.parametrize(
    ("facts", "text", "level"),
    [
        (FACTS, DOCUMENT, Level.OK),
        (replace(FACTS, forwarding4=True), DOCUMENT, Level.WARN),
        (replace(FACTS, forwarding6=True), DOCUMENT, Level.WARN),
        (replace(FACTS, forwarding6=True), "nodes: {}", Level.NOTE),
        (
            replace(FACTS, forwarding4=True),
            DOCUMENT.replace("tags: [x]}", "tags: [x], transit: true}"),
            Level.OK,
        ),
        (replace(FACTS, forwarding4=True), ROUTES.format("10.20.0.0/24"), Level.OK),
        (replace(FACTS, forwarding4=True), ROUTES.format('"fd20::/64"'), Level.NOTE),
        (FACTS, ROUTES.format("10.20.0.0/24"), Level.NOTE),
    ],
)
def test_forwarding_without_transit_is_warned_of(
    tmp_path: Path, facts: Facts, text: str, level: Level
) -> None:
    assert forwarding(facts, DEVICE, written(tmp_path, text)).level is level


def test_what_a_hub_or_a_subnets_router_lacks_is_said_with_its_setting(tmp_path: Path) -> None:
    text = DOCUMENT.replace("tags: [x]}", "tags: [x], transit: true}", 1)
    device = with_peers(("10.8.0.2/32",))
    answer = forwarding(FACTS, device, written(tmp_path, text))
    assert "hub is a hub, but IPv4 forwarding is off" in answer.message
    assert answer.hint == "sysctl -w net.ipv4.ip_forward=1"
    text = ROUTES.format('10.20.0.0/24, "fd20::/64"')
    answer = forwarding(FACTS, DEVICE, written(tmp_path, text))
    assert "hub has routes, but IPv4 and IPv6 forwarding is off" in answer.message
    assert answer.hint.splitlines()[2] == "sysctl -w net.ipv6.conf.all.forwarding=1"


def test_forwarding_without_a_document_is_told(tmp_path: Path) -> None:
    on = replace(FACTS, forwarding4=True)
    assert forwarding(on, DEVICE, [tmp_path / "wg0.yaml"]).level is Level.NOTE
