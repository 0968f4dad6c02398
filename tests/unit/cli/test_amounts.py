# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.cli.amounts import ago, amount, last_seen, size, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "now"),
        (0.9, "now"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7199, "1 h ago"),
        (3 * 86400, "3 d ago"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_less_than_a_second_is_no_time_as_a_span_and_just_now_as_a_moment() -> None:
    assert [span(each) for each in (0.9, 61)] == ["0 s", "1 min"]
    assert [last_seen(each) for each in (None, 0.9, 61)] == ["never", "just now", "1 min ago"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9999, "9,999"),
        (10_000, "10 k"),
        (999_999, "999 k"),
        (1_000_000, "1.0 M"),
        (1_299_999, "1.2 M"),
        (37 * 10**9, "37 G"),
        (5000 * 10**12, "5,000 T"),
    ],
)
def test_an_amount_is_exact_as_long_as_it_is_short(count: int, text: str) -> None:
    assert amount(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (37 << 30, "37 GiB"),
        (5000 << 40, "5000 TiB"),
    ],
)
def test_a_size_is_told_in_its_largest_unit(count: int, text: str) -> None:
    assert size(count) == text
