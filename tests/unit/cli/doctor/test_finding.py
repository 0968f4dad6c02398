# SPDX-License-Identifier: Apache-2.0
from krait.cli.doctor.finding import Answer, Finding, Level, examine, ok
from krait.common.errors import SystemRefused


def refuses() -> Answer:
    raise SystemRefused("no bpf file system", hint="mount one")


def test_a_check_that_raises_fails_and_the_next_one_still_runs() -> None:
    checks = {"bpffs": refuses, "jit": lambda: ok("compiled")}
    assert list(examine("machine", checks)) == [
        Finding("machine", "bpffs", Answer(Level.FAIL, "no bpf file system", "mount one")),
        Finding("machine", "jit", Answer(Level.OK, "compiled")),
    ]
