# SPDX-License-Identifier: Apache-2.0
"""What a change of the policy asks of live flows although it allows them.

Between identities that may do everything to each other nothing is remembered. Once a rule says
more of them, replies pass by the flow they belong to, and there is none yet: TCP makes it again
with its next segment (unless `strict`), UDP and ICMP only when the opener sends.
"""

from collections.abc import Iterator, Set

from krait.common.abi import FIRST_IDENTITY, PairClass
from krait.policy.compile import Compiled
from krait.policy.identities import in_words
from krait.policy.model import Labels

Identities = frozenset[Labels]
"""One or two of them: those of a pair."""

_NAMED = 10


def become_stateful(before: Compiled, now: Compiled) -> tuple[Identities, ...]:
    """The pairs of identities that were ALLOW_STATELESS and have flows, in the order of now."""
    free = set(_pairs(before, {PairClass.ALLOW_STATELESS}))
    stateful = _pairs(now, {PairClass.STATEFUL, PairClass.ENDING})
    return tuple(dict.fromkeys(pair for pair in stateful if pair in free))


def warnings_of(before: Compiled, now: Compiled) -> tuple[str, ...]:
    """For the operator, at the commit: one line, or none."""
    pairs = become_stateful(before, now)
    if not pairs:
        return ()
    named = ", ".join(" and ".join(sorted(map(in_words, pair))) for pair in pairs[:_NAMED])
    more = f" and {len(pairs) - _NAMED:,} more" if len(pairs) > _NAMED else ""
    text = (
        f"flows are remembered from now on between {named}{more}: replies of UDP that is under "
        "way drop (no-flow) until its opener sends again"
    )
    return (text,)


def _pairs(compiled: Compiled, wanted: Set[PairClass]) -> Iterator[Identities]:
    labels = compiled.numbers.identities
    for identity, row in compiled.rows.items():
        own = labels[identity - FIRST_IDENTITY]
        for column, pair in enumerate(row):
            other = labels[column]
            if pair.verdict_class in wanted and own is not None and other is not None:
                yield frozenset((own, other))
