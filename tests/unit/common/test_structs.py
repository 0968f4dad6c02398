# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

from krait.common.structs import LAYOUTS, PREFIX4, PREFIX6, PREFIX_SLOT_AT, PREFIX_SLOT_BITS

HEADER = (Path(__file__).parents[3] / "ebpf/krait/abi.h").read_text()
NOT_STORED = {"krait_numbers"}


def test_every_struct_of_the_header_is_held_against_its_btf() -> None:
    tags = set(re.findall(r"^struct (krait_\w+) \{", HEADER, re.MULTILINE))
    assert tags - NOT_STORED == {layout.tag for layout in LAYOUTS}


def test_the_slot_is_at_the_same_place_in_both_families_keys() -> None:
    for layout in (PREFIX4, PREFIX6):
        assert layout.offsets()["slot"] == (PREFIX_SLOT_AT, PREFIX_SLOT_BITS // 8)
