# SPDX-License-Identifier: Apache-2.0
"""Packing and unpacking messages and attributes."""

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.netlink import (
    ATTRIBUTE,
    GENERIC_HEADER,
    HEADER,
    U16,
    DumpInterrupted,
    Message,
    attribute,
    attributes,
    consistent,
    decode_family,
    messages,
    nested,
    refusal,
    refused,
    string,
    text,
)


def test_attributes_come_back_in_order_without_their_padding() -> None:
    packed = attribute(1, b"a") + attribute(2, b"") + text(3, "wg0")
    assert len(packed) % 4 == 0
    assert [(kind, bytes(value)) for kind, value in attributes(memoryview(packed))] == [
        (1, b"a"),
        (2, b""),
        (3, b"wg0\0"),
    ]


def test_the_mark_of_a_nest_is_no_part_of_its_number() -> None:
    ((kind, inside),) = attributes(memoryview(nested(5, attribute(1, b"x"))))
    assert kind == 5
    assert [(inner, bytes(value)) for inner, value in attributes(inside)] == [(1, b"x")]


@pytest.mark.parametrize("length", [0, 3, 9])
def test_an_attribute_that_lies_about_its_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="where 8 are left"):
        list(attributes(memoryview(ATTRIBUTE.pack(length, 1) + bytes(4))))


@pytest.mark.parametrize("length", [0, 15, 21])
def test_a_message_that_lies_about_its_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="where 20 are left"):
        list(messages(memoryview(HEADER.pack(length, 16, 0, 1, 0) + bytes(4))))


def test_several_messages_of_one_read_come_apart() -> None:
    read = HEADER.pack(17, 16, 2, 7, 0) + b"a\0\0\0" + HEADER.pack(16, 3, 2, 7, 0)
    assert [(each.kind, bytes(each.body)) for each in messages(memoryview(read))] == [
        (16, b"a"),
        (3, b""),
    ]


def test_a_string_ends_at_its_first_zero() -> None:
    assert string(memoryview(b"wg0\0\0\0")) == "wg0"


def test_a_look_that_was_interrupted_is_repeated_and_given_up_in_the_end() -> None:
    looks = iter([False, False, True])

    def look() -> str:
        if not next(looks, False):
            raise DumpInterrupted
        return "seen"

    assert consistent(look) == "seen"
    with pytest.raises(SystemRefused, match="changed during each of 3 looks"):
        consistent(look, attempts=3)


@pytest.mark.parametrize("code", [5, -4096, -(1 << 31)])
def test_an_answer_of_no_error_that_there_is_is_none(code: int) -> None:
    body = memoryview(code.to_bytes(4, "little", signed=True))
    with pytest.raises(ValueError, match=f"number {-code}$"):
        refusal(Message(2, 0, 1, body))


def test_an_answer_that_is_cut_short_is_none() -> None:
    with pytest.raises(ValueError, match="netlink answer lacks a part"):
        refusal(Message(2, 0, 1, memoryview(b"abc")))


def test_what_the_kernel_said_and_cannot_be_read_is_told_with_a_hint() -> None:
    error = refused("cannot look at the routes", ValueError("a route lacks a part"))
    assert "cannot look at the routes" in error.message
    assert "a route lacks a part" in error.message
    assert "report it" in error.hint


def test_no_family_has_the_number_of_a_message_of_netlinks_own() -> None:
    head = GENERIC_HEADER.pack(1, 2, 0)
    assert decode_family(memoryview(head + attribute(1, U16.pack(0x10)))) == 0x10
    with pytest.raises(ValueError, match="number 2"):
        decode_family(memoryview(head + attribute(1, U16.pack(2))))
