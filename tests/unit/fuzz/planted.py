# SPDX-License-Identifier: Apache-2.0
"""Targets with faults, for the fuzzer to find."""

from collections.abc import Mapping

from tests.fuzz.target import Target


def read_word(data: bytes) -> None:
    """No chance sets all three bits at once; each that is right is a branch that is new."""
    if len(data) != 8:
        raise ValueError("of another length")
    if data[0] == 0x40 and data[1] == 0x08 and data[2] == 0x01:
        raise LookupError("found")


TARGETS: Mapping[str, Target] = {
    "word": Target(read_word, (ValueError,), (b"\0" * 8,), runs=60_000),
    "sound": Target(bytes.hex, (), (b"\0",), runs=100),
}
