# SPDX-License-Identifier: Apache-2.0
"""Reading endpoints."""

from ipaddress import ip_address

import pytest

from krait.kernel.wireguard.endpoint import parse


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1:51820", "192.0.2.1", 51820),
        ("[2001:db8::1]:1", "2001:db8::1", 1),
        ("[::ffff:192.0.2.1]:65535", "::ffff:192.0.2.1", 65535),
        ("[fe80::1%3]:51820", "fe80::1%3", 51820),
    ],
)
def test_an_address_and_a_port_are_read(text: str, address: str, port: int) -> None:
    assert parse(text) == (ip_address(address), port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:51820\nremove=true",
        "192.0.2.256:1",
        "[192.0.2.1]:1",
        "2001:db8::1:1",
        "[2001:db8::1:1",
        "[fe80::1%eth0]:1",
        "host.example:1",
        "192.0.2.1:\u0661",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address and a port"):
        parse(text)
