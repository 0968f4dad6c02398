# SPDX-License-Identifier: Apache-2.0
"""Host and port, and what only looks like them. What a document says wrong is in test_refusals."""

from ipaddress import ip_address

import pytest

from krait.policy.endpoint import Endpoint, NotAnEndpoint, numeric, parse

ADDRESSES = [
    ("192.0.2.1:51820", "192.0.2.1", 51820),
    ("[2001:db8::1]:1", "2001:db8::1", 1),
    ("[::ffff:192.0.2.1]:65535", "::ffff:192.0.2.1", 65535),
    ("[fe80::1%3]:51820", "fe80::1%3", 51820),
]


@pytest.mark.parametrize(("text", "address", "port"), ADDRESSES)
def test_an_address_and_a_port_are_read(text: str, address: str, port: int) -> None:
    assert numeric(text) == (ip_address(address), port)
    assert parse(text) == Endpoint(ip_address(address), port)
    assert parse(text).address == ip_address(address)


def test_a_host_name_is_kept_for_who_resolves_it() -> None:
    assert parse("hub.example.org:1") == Endpoint("hub.example.org", 1)
    assert parse("hub.example.org:1").address is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("192.0.2.1:051820", "192.0.2.1:51820"),
        ("[2001:0DB8::0001]:1", "[2001:db8::1]:1"),
        ("[fe80::1%3]:1", "[fe80::1%3]:1"),
        ("hub:1", "hub:1"),
    ],
)
def test_it_is_written_in_one_spelling(text: str, written: str) -> None:
    assert str(parse(text)) == written


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
        "[host.example]:1",
        "192.0.2.1:\u0661",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    for read in (parse, numeric):
        with pytest.raises(NotAnEndpoint):
            read(text)


@pytest.mark.parametrize("text", ["host.example:1", "[fe80::1%eth0]:1", "[fe80::1%3\nremove=1]:1"])
def test_wireguard_takes_no_names_neither_of_hosts_nor_of_interfaces(text: str) -> None:
    with pytest.raises(NotAnEndpoint, match="is not an address and a port"):
        numeric(text)
