# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from krait.agent.backoff import LONGEST_S
from krait.agent.desired import Desired, Source
from krait.agent.rehearsing import Rehearsing
from krait.common.errors import UsageError
from tests.unit.agent.world import DESIRED

SHADOW = replace(DESIRED.source, path="/root/shadow.yaml")
UNFIT, FULL = UsageError("it does not fit"), UsageError("no room for a shadow")
PLAIN = replace(DESIRED, warnings=("without a rehearsal",))


def desire(*, shadow: Source | None = None, rehearse: bool = True) -> Desired:
    return replace(DESIRED, shadow=shadow) if rehearse else PLAIN


def unfit(*, shadow: Source | None = None, rehearse: bool = True) -> Desired:
    if shadow is not None:
        raise UNFIT
    return desire(rehearse=rehearse)


def test_a_shadow_is_rehearsed_if_it_fits_and_else_the_documents_own_audit_rules() -> None:
    rehearsing = Rehearsing()
    rehearsing.turn_to("a", 0.0)
    assert rehearsing.desire(unfit, SHADOW) == DESIRED
    assert rehearsing.fault is UNFIT
    assert rehearsing.desire(desire, SHADOW).shadow == SHADOW
    assert rehearsing.fault is None


def test_what_is_wrong_without_a_shadow_is_raised() -> None:
    def never(**_: object) -> Desired:
        raise FULL

    with pytest.raises(UsageError, match="no room"):
        Rehearsing().desire(never, SHADOW)


def test_without_tables_nothing_is_rehearsed_until_it_is_due_or_something_else_is_asked() -> None:
    rehearsing = Rehearsing()
    rehearsing.turn_to("a", 0.0)
    rehearsing.put_off(FULL, 0.0)
    rehearsing.turn_to("a", 0.0)
    assert rehearsing.desire(desire, SHADOW) == PLAIN
    rehearsing.came_into_force()
    assert rehearsing.fault is FULL, "what is in force has no shadow"
    rehearsing.turn_to("b", 0.0)
    assert rehearsing.desire(desire, SHADOW).shadow == SHADOW
    rehearsing.put_off(FULL, 0.0)
    rehearsing.turn_to("b", LONGEST_S)
    assert rehearsing.desire(desire, SHADOW).shadow == SHADOW
    assert rehearsing.fault is FULL, "until it is in force"
    rehearsing.came_into_force()
    assert rehearsing.fault is None
