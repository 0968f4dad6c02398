# SPDX-License-Identifier: Apache-2.0
import os

from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import load_instructions, program_id, program_info

RETURN_0 = bytes.fromhex("b7000000000000009500000000000000")


def test_the_verifiers_work_and_the_sizes_are_told(loaded: BpfObject) -> None:
    fd = load_instructions(RETURN_0)
    small = program_info(fd)
    os.close(fd)
    assert (small.verified_instructions, small.translated_bytes) == (2, 16)
    judge = program_info(loaded.programs["toy_judge"])
    assert judge.name == "toy_judge"
    assert judge.verified_instructions > 10
    assert judge.translated_bytes > 80


def test_the_same_program_has_the_same_id(loaded: BpfObject) -> None:
    judge, slow = loaded.programs["toy_judge"], loaded.programs["toy_slow"]
    twin = os.dup(judge)
    assert program_id(twin) == program_id(judge) != program_id(slow)
    os.close(twin)
