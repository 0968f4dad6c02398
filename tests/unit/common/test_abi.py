# SPDX-License-Identifier: Apache-2.0
import re
from hashlib import sha256
from pathlib import Path

from krait.common import abi, structs
from krait.common.abi import ENUMERATIONS

HEADER = (Path(__file__).parents[3] / "ebpf/krait/abi.h").read_text()


def test_every_enumeration_of_the_header_is_held_against_its_btf() -> None:
    assert set(re.findall(r"^enum (krait_\w+) \{", HEADER, re.MULTILINE)) == set(ENUMERATIONS)
    anchored = re.search(r"struct krait_numbers \{(.*?)\}", HEADER, re.DOTALL)
    assert anchored is not None
    assert set(re.findall(r"enum (krait_\w+)", anchored.group(1))) == set(ENUMERATIONS)


def test_a_list_reference_takes_the_highest_offset_there_is() -> None:
    assert abi.list_reference((1 << 22) - 1, abi.MAX_LIST_LENGTH) == (1 << 32) - 1


def test_an_interval_keeps_its_fields_apart() -> None:
    packed = abi.interval(0x06_0050, 0x06_FFFF, allow=True, rule=abi.MAX_RULES - 1)
    assert (packed >> 40, packed >> 16 & 0xFF_FFFF) == (0x06_0050, 0x06_FFFF)
    assert packed & 0xFFFF == abi.MAY_OPEN | (abi.MAX_RULES - 1)


def test_flows_that_mean_something_else_have_another_version() -> None:
    """Else an upgrade would read another version's flows by this one's layout: raise
    FLOW_VERSION, and write down here what it stands for.
    """
    told = repr((structs.FLOW_KEY, structs.FLOW, list(abi.FlowState), abi.control_word(0x1234, 1)))
    assert (abi.FLOW_VERSION, sha256(told.encode()).hexdigest()[:16]) == (1, "68f3fe6b0f4b3295")
