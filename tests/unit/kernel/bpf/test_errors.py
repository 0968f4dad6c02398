# SPDX-License-Identifier: Apache-2.0
import errno

from krait.kernel.bpf.errors import ENOTSUPP, refused


def test_a_refusal_says_who_met_what_in_one_line() -> None:
    error = refused(errno.E2BIG, "map flow", "map update elem")
    assert error.message == "map flow: map update elem: Argument list too long (E2BIG)"
    assert error.errno == errno.E2BIG


def test_a_missing_capability_is_hinted_at() -> None:
    assert "CAP_BPF" in refused(errno.EPERM, "map flow", "map create").hint


def test_numbers_without_a_name_in_user_space_are_told_all_the_same() -> None:
    assert "not supported (ENOTSUPP)" in refused(ENOTSUPP, "map", "x").message
    assert "(4001)" in refused(4001, "krait.bpf.o", "open").message


def test_the_text_ends_with_the_end_of_the_log_and_the_message_stays_one_line() -> None:
    log = "".join(f"line {n}\n" for n in range(1000))
    error = refused(errno.EACCES, "krait.bpf.o", "load", log=log)
    assert "\n" not in error.message
    assert str(error).startswith(error.message + "\n")
    assert str(error).endswith("line 999")
    assert "line 900\n" not in str(error)
