# SPDX-License-Identifier: Apache-2.0
"""Pairs whose replies now need a flow."""

from krait.policy.compile import Compiled, compile_policy
from krait.policy.document import load
from krait.policy.tightened import become_stateful, warnings_of
from krait.policy.view import resolve
from tests.documents import key
from tests.unit.policy.bench import INTERFACE, document

ONE_WAY = ("    - {name: app-out, from: db, to: app}\n", "")
DB, APP = frozenset({"db"}), frozenset({"app"})


def compiled(*changes: tuple[str, str]) -> Compiled:
    found = document(*changes)
    return compile_policy(found, resolve(found, INTERFACE))


def test_a_pair_that_loses_one_direction_is_told() -> None:
    assert become_stateful(compiled(), compiled(ONE_WAY)) == (frozenset((DB, APP)),)
    (text,) = warnings_of(compiled(), compiled(ONE_WAY))
    assert "between app and db: replies of UDP" in text


def test_what_stays_or_becomes_free_again_or_is_denied_in_full_is_not() -> None:
    shut = (("    - {name: app-in, from: app, to: db}\n", ""), ONE_WAY)
    for before, now in (
        (compiled(), compiled()),
        (compiled(ONE_WAY), compiled()),
        (compiled(ONE_WAY), compiled(ONE_WAY)),
        (compiled(), compiled(*shut)),
    ):
        assert warnings_of(before, now) == ()


def test_identities_are_known_by_their_labels_whatever_their_numbers() -> None:
    front = ("nodes:\n", f'nodes:\n  n0: {{public_key: "{key(4)}", tags: [fresh]}}\n')
    assert become_stateful(compiled(), compiled(ONE_WAY, front)) == (frozenset((DB, APP)),)


def test_ten_are_named_and_the_others_counted() -> None:
    (text,) = warnings_of(_of_many("allow"), _of_many("allow, ports: tcp"))
    assert "between db, db and t0, db and t1, " in text
    assert ", db and t8 and 4 more: replies" in text


def _of_many(action: str) -> Compiled:
    """db1 and thirteen spokes of another identity each, which may do everything, or so much."""
    spokes = "".join(f"  n{i}: {{via: web1, tags: [t{i}]}}\n" for i in range(13))
    text = f"""
nodes:
  db1: {{public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", tags: [db]}}
  web1:
    public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
    tags: [db]
    transit: true
{spokes}policy:
  rules:
    - {{name: up, from: "*", to: db}}
    - {{name: down, from: db, to: "*", action: {action}}}
    - {{name: peers, from: db, to: db}}
"""
    found = load(text.encode(), "test.yaml")
    return compile_policy(found, resolve(found, INTERFACE))
