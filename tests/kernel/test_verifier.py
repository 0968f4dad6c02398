# SPDX-License-Identifier: Apache-2.0
"""The verifier of the running kernel takes both programs, with room for what they will become."""

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import pytest

from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import program_info
from krait.kernel.datapath import OBJECT, Datapath
from krait.kernel.hook import Hook
from krait.kernel.shape import prepare
from krait.policy.capacity import SMALLEST, Capacity
from tests.figures import Figures

MOST_INSTRUCTIONS = 1_000_000  # BPF_COMPLEXITY_LIMIT_INSNS
MOST_STACK_BYTES = 512  # MAX_BPF_STACK, of a program and all that it is calling
KINDS = {
    "plain": SMALLEST,
    "with a shadow": replace(SMALLEST, shadow_rules=64),
}
REHEARSE, LOOK_UP_PORTS = 48, 24
"""Bytes of stack of the two of which one calls the other; the verifier's log has no names."""
STACK = re.compile(r"^stack depth ([\d+]+)", re.MULTILINE)


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def stacks(request: pytest.FixtureRequest) -> Mapping[Hook, list[int]]:
    """Bytes that each program and each function that it calls keeps on the stack."""
    with BpfObject.open(OBJECT) as program:
        prepare(program, request.param, 0)
        logs = program.load_measured()
    found = {hook: STACK.search(logs[f"krait_{hook.value}"]) for hook in Hook}
    return {hook: list(map(int, each[1].split("+"))) for hook, each in found.items() if each}


@pytest.mark.parametrize("capacity", list(KINDS.values()), ids=list(KINDS))
def test_each_program_leaves_a_fifth_of_the_verifiers_instructions(
    capacity: Capacity, figures: Figures
) -> None:
    with closing(Datapath.load(capacity)) as datapath:
        walked = {
            hook: program_info(program.fd).verified_instructions
            for hook, program in datapath.programs.items()
        }
    for hook, instructions in walked.items():
        figures(f"{hook.value}: the verifier walked {instructions:,} of its million instructions")
        assert 0 < instructions < 0.8 * MOST_INSTRUCTIONS


def test_each_program_keeps_to_the_stack(
    stacks: Mapping[Hook, list[int]], figures: Figures
) -> None:
    for hook, (own, *called) in stacks.items():
        largest = max(called)
        figures(
            f"{hook.value}: {own} of {MOST_STACK_BYTES} bytes of stack are its own, and {largest} "
            "those of the largest function that it calls"
        )
        assert {REHEARSE, LOOK_UP_PORTS} <= set(called)
        # Up to Linux 6.4 the share of each is a multiple of 32 (check_max_stack_depth); the longest
        # chain of calls is rehearse, look_up_ports.
        chain = max(_rounded(largest), _rounded(REHEARSE) + _rounded(LOOK_UP_PORTS))
        assert _rounded(own) + chain <= MOST_STACK_BYTES
    assert stacks.keys() == set(Hook)


def _rounded(size: int) -> int:
    return -(-size // 32) * 32
