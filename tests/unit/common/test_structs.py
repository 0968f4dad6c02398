# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

from krait.common.structs import LAYOUTS

HEADER = (Path(__file__).parents[3] / "ebpf/krait/abi.h").read_text()
NOT_STORED = {"krait_numbers"}


def test_every_struct_of_the_header_is_held_against_its_btf() -> None:
    tags = set(re.findall(r"^struct (krait_\w+) \{", HEADER, re.MULTILINE))
    assert tags - NOT_STORED == {layout.tag for layout in LAYOUTS}
