# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

from krait.common.reason import EXPLANATIONS, Reason, as_markdown

ROOT = Path(__file__).parents[3]


def test_every_drop_reason_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Reason) - {Reason.PASS}


def test_the_document_of_drop_reasons_is_current() -> None:
    assert (ROOT / "docs/drop-reasons.md").read_text() == as_markdown()


def test_the_reasons_of_the_kernel_program_are_these_in_this_order() -> None:
    header = (ROOT / "ebpf/krait/abi.h").read_text()
    body = re.search(r"enum krait_reason \{(.*?)\}", header, re.DOTALL)
    assert body is not None
    names = re.findall(r"KRAIT_(\w+)", body.group(1))
    assert names == [*(reason.name for reason in Reason), "REASONS"]


def test_labels_are_what_metrics_and_people_can_take() -> None:
    for reason in Reason:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.label)
