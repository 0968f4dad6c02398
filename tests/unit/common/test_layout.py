# SPDX-License-Identifier: Apache-2.0
from krait.common.layout import Layout


def test_a_layout_knows_where_its_members_are() -> None:
    layout = Layout("t", (("a", "Q"), ("b", "2H"), ("c", "B")))
    assert layout.size_bytes == 13
    assert layout.offsets() == {"a": (0, 8), "b": (8, 4), "c": (12, 1)}
