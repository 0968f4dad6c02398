# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from krait.common.errors import UsageError
from krait.policy.model import PortSpan
from krait.policy.ports import describe, parse


@pytest.mark.parametrize("text", [
        "tcp", "udp", "icmp4", "icmp6", "tcp/0", "udp/53", "tcp/1-65535",
        "sctp", "sctp/2905", "gre", "ip/0", "ip/200", "ip/254",
        "icmp4/echo", "icmp6/echo", "icmp4/13", "icmp6/130-132", "icmp4/0-8",
    ],
)  # fmt: skip
def test_a_span_is_described_as_a_document_writes_it(text: str) -> None:
    (span,) = parse(text)
    assert describe(span.protocol, span.low, span.high) == text


def test_a_range_of_all_ports_is_the_protocol() -> None:
    assert parse("tcp/0-65535") == parse("tcp")


@pytest.mark.parametrize(("number", "word"), [("47", "gre"), ("6", "tcp"), ("1", "icmp4")])
def test_the_number_of_a_protocol_that_has_a_word_means_the_word(number: str, word: str) -> None:
    assert parse(f"ip/{number}") == parse(word)


def test_icmp_is_both_families() -> None:
    assert parse("icmp") == (PortSpan(1, 0, 255), PortSpan(58, 0, 255))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tcp22", "write `tcp/22`"),
        ("UDP:8000-8100", "write `udp/8000-8100`"),
        ("tpc", 'did you mean "tcp"?'),
        ("icmp/13", "write `icmp/echo`, or `icmp4/13`"),
        ("icmp/150", "write `icmp/echo`, or `icmp4/150` or `icmp6/150`"),
        ("icmp/pong", "write `icmp/echo`"),
    ],
)
def test_a_port_that_lacks_its_slash_is_written_as_it_should_be(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint == hint


def test_an_echo_is_one_type_of_each_kind_of_icmp() -> None:
    assert parse("icmp/echo") == (PortSpan(1, 8, 8), PortSpan(58, 128, 128))
    assert parse("icmp4/8") == parse("icmp4/echo")


EVERYTHING = "leave the ports out, which means every protocol"
MEANT = {
    "80/tcp": "write `tcp/80`",
    "8000-8100/UDP": "write `udp/8000-8100`",
    "http": "write `tcp/80`",
    "HTTPS": "write `tcp/443`",
    "ssh": "write `tcp/22`",
    "dns": "write each by itself: `[tcp/53, udp/53]`",
    "tcp/ssh": "write `tcp/22`",
    "udp/dns": "write `udp/53`",
    "ping": "write `icmp/echo`",
    "icmp/ping": "write `icmp/echo`",
    "icmp/8": "write `icmp/echo`",
    "icmp4/ping": "write `icmp4/echo`",
    "any": EVERYTHING,
    "all": EVERYTHING,
    "*": EVERYTHING,
    "tcp/any": "write `tcp`",
    "udp/*": "write `udp`",
    "icmp/all": "write `icmp`",
    "tcp/80:90": "write `tcp/80-90`",
    "tcp/80,443": "write each by itself: `[tcp/80, tcp/443]`",
    "udp/53, 8000-8100": "write each by itself: `[udp/53, udp/8000-8100]`",
}


@pytest.mark.parametrize(("text", "hint"), MEANT.items())
def test_what_other_tools_write_is_told_as_it_is_written_here(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "text",
    ["70000/tcp", "90-80/tcp", "tcp/90:80", "tcp/80,70000", "gre/ssh", "icmp/4", "22/ping", *MEANT],
)
def test_no_hint_names_ports_that_are_refused_too(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    for written in re.findall("`([^`]+)`", caught.value.hint.partition("such as")[0]):
        for each in written.strip("[]").split(", "):
            assert each == "ports" or parse(each)
