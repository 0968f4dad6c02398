# SPDX-License-Identifier: Apache-2.0
import errno

from krait.cli.doctor.finding import Answer, Finding, Level, answer, examine, ok
from krait.common.errors import SystemRefused
from krait.kernel.bpf.errors import BpfRefused


def refuses() -> Answer:
    raise SystemRefused("no bpf file system", hint="mount one")


def test_a_check_that_raises_fails_and_the_next_one_still_runs() -> None:
    checks = {"bpffs": refuses, "jit": lambda: ok("compiled")}
    assert list(examine("machine", checks)) == [
        Finding("machine", "bpffs", Answer(Level.FAIL, "no bpf file system", "mount one")),
        Finding("machine", "jit", Answer(Level.OK, "compiled")),
    ]


def test_a_refusal_that_no_layer_put_into_words_fails_its_check_alone() -> None:
    def stray() -> Answer:
        raise PermissionError(errno.EACCES, "", "/run/krait")

    first, second = examine("machine", {"run": stray, "jit": lambda: ok("compiled")})
    assert first.answer.level is Level.FAIL
    assert first.answer.message == "/run/krait: Permission denied"
    assert second.answer.level is Level.OK


def test_the_verifiers_words_are_kept() -> None:
    def refused() -> Answer:
        raise BpfRefused("krait_ingress: load: refused", errno=errno.EACCES, log="R1 is bad\n")

    assert answer(refused).details == ("R1 is bad",)
