# SPDX-License-Identifier: Apache-2.0
from krait.kernel.clsact import Filter


def test_a_filter_is_called_by_kind_and_name_and_by_its_kind_where_it_has_no_name() -> None:
    assert str(Filter(1, 1, "bpf", "other", 7, ours=False)) == "bpf other"
    assert str(Filter(1, 1, "matchall", "", 0, ours=False)) == "matchall"
