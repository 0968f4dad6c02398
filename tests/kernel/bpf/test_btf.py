# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.common.errors import SystemRefused
from krait.common.layout import Layout
from krait.kernel.bpf.btf import check_enum, check_layouts
from krait.kernel.bpf.object import BpfObject

KEY = Layout("toy_key", (("length", "I"), ("slot", "B"), ("address_be", "4B"), ("zero", "3B")))
COUNT = Layout("toy_count", (("packets", "Q"), ("bytes", "Q")))
REASONS = {"TOY_PASS": 0, "TOY_DENIED": 1, "TOY_LAST": 7}


def test_layouts_that_are_the_objects_own_pass(toy: BpfObject) -> None:
    check_layouts(toy.btf, [KEY, COUNT])


@pytest.mark.parametrize(
    ("members", "difference"),
    [
        (KEY.members[:3], "toy_key.zero is 3 bytes at 9 in the object, missing here"),
        (
            (*KEY.members, ("more", "I")),
            "toy_key.more is missing in the object, 4 bytes at 12 here",
        ),
        ((("length", "Q"), *KEY.members[1:]), "toy_key.length is 4 bytes at 0 in the object, 8"),
        ((*KEY.members[:2], ("address", "4B"), KEY.members[3]), "toy_key.address is missing"),
        ((KEY.members[1], KEY.members[0], *KEY.members[2:]), "toy_key.slot is 1 bytes at 4"),
        ((*KEY.members[:3], ("zero", "2B")), "toy_key has 12 bytes in the object, 11 here"),
    ],
)
def test_a_layout_that_differs_is_refused(
    toy: BpfObject, members: tuple[tuple[str, str], ...], difference: str
) -> None:
    with pytest.raises(SystemRefused) as told:
        check_layouts(toy.btf, [Layout("toy_key", members)])
    assert difference in told.value.message


def test_all_differences_are_told_at_once(toy: BpfObject) -> None:
    absent = Layout("toy_absent", (("x", "I"),))
    narrow = Layout("toy_count", (("packets", "I"), ("bytes", "Q")))
    with pytest.raises(SystemRefused) as told:
        check_layouts(toy.btf, [absent, KEY, narrow])
    for part in ("struct toy_absent", "toy_count.packets", "toy_count.bytes", "toy_count has 16"):
        assert part in told.value.message
    assert "toy_key" not in told.value.message


def test_an_enum_that_is_the_objects_own_passes(toy: BpfObject) -> None:
    check_enum(toy.btf, "toy_reason", REASONS)


@pytest.mark.parametrize(
    ("numbers", "difference"),
    [
        (REASONS | {"TOY_DENIED": 2}, "toy_reason.TOY_DENIED is 1 in the object, 2 here"),
        (REASONS | {"TOY_NEW": 8}, "toy_reason.TOY_NEW is missing in the object, 8 here"),
        ({"TOY_PASS": 0, "TOY_DENIED": 1}, "toy_reason.TOY_LAST is 7 in the object, missing here"),
    ],
)
def test_an_enum_that_differs_is_refused(
    toy: BpfObject, numbers: dict[str, int], difference: str
) -> None:
    with pytest.raises(SystemRefused) as told:
        check_enum(toy.btf, "toy_reason", numbers)
    assert told.value.message == difference


def test_an_enum_that_the_object_does_not_have_is_refused(toy: BpfObject) -> None:
    with pytest.raises(SystemRefused, match="enum toy_absent is missing"):
        check_enum(toy.btf, "toy_absent", {})
