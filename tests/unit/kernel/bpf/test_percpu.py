# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from krait.kernel.bpf.percpu import count_cpus, fold_words, stride_bytes


@pytest.mark.parametrize(
    ("text", "count"), [("0\n", 1), ("0-1\n", 2), ("0-3,8", 5), ("0,2-3,7-10\n", 7)]
)
def test_a_list_of_cpus_is_counted(text: str, count: int) -> None:
    assert count_cpus(text) == count


def test_a_copy_takes_a_multiple_of_eight_bytes() -> None:
    assert [stride_bytes(size) for size in (1, 8, 9, 16)] == [8, 8, 16, 16]


def test_each_word_of_each_entry_is_made_one_of_all_cpus() -> None:
    three_cpus_two_words = ((1, 10), (2, 40), (4, 20)), ((100, 0), (0, 5), (0, 0))
    packed = b"".join(struct.pack("<2Q", *copy) for entry in three_cpus_two_words for copy in entry)
    assert fold_words(packed, (sum, sum), cpus=3) == [(7, 70), (100, 5)]
    assert fold_words(packed, (sum, max), cpus=3) == [(7, 40), (100, 5)]
