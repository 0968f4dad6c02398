# SPDX-License-Identifier: Apache-2.0
"""Reading capabilities out of a process's status."""

from krait.kernel.capability import Capability, effective


def test_the_effective_set_is_read_and_not_the_others() -> None:
    status = "Name:\tkrait\nCapPrm:\t000001ffffffffff\nCapEff:\t0000004000001000\nCapBnd:\t0\n"
    assert effective(status) == {Capability.NET_ADMIN, Capability.PERFMON}


def test_a_process_without_any_has_none() -> None:
    assert effective("CapEff:\t0000000000000000\n") == frozenset()
