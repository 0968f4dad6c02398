# SPDX-License-Identifier: Apache-2.0
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
        ("icmp/13", "write `icmp/echo`, or `icmp4/13` or `icmp6/13`"),
    ],
)
def test_a_port_that_lacks_its_slash_is_written_as_it_should_be(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint == hint


def test_an_echo_is_one_type_of_each_kind_of_icmp() -> None:
    assert parse("icmp/echo") == (PortSpan(1, 8, 8), PortSpan(58, 128, 128))
    assert parse("icmp4/8") == parse("icmp4/echo")
