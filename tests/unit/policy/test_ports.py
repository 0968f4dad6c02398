# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.common.errors import UsageError
from krait.policy.model import PortSpan
from krait.policy.ports import describe, parse


@pytest.mark.parametrize("text", ["tcp", "udp", "icmp4", "icmp6", "tcp/0", "udp/53", "tcp/1-65535"])
def test_a_span_is_described_as_a_document_writes_it(text: str) -> None:
    (span,) = parse(text)
    assert describe(span.protocol, span.low, span.high) == text


def test_a_range_of_all_ports_is_the_protocol() -> None:
    assert parse("tcp/0-65535") == parse("tcp")


def test_a_protocol_without_a_word_is_described_by_its_number() -> None:
    assert describe(47, 0, 0) == "protocol 47"


def test_icmp_is_both_families() -> None:
    assert parse("icmp") == (PortSpan(1, 0, 0), PortSpan(58, 0, 0))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tcp22", "write `tcp/22`"),
        ("UDP:8000-8100", "write `udp/8000-8100`"),
        ("tpc", 'did you mean "tcp"?'),
    ],
)
def test_a_port_that_lacks_its_slash_is_written_as_it_should_be(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint == hint
