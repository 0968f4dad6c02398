# SPDX-License-Identifier: Apache-2.0
"""Rules that end by themselves (`until`): a policy at a moment, and when it is another.

What opens and has ended, the kernel stops by itself; what denies and has ended goes only with a
commit. Moments are seconds since 1970 (UTC).
"""

from dataclasses import replace
from datetime import UTC, datetime

from krait.policy.model import Document


def ends(document: Document) -> tuple[int, ...]:
    """The moments at which the policy becomes another, in order."""
    return tuple(sorted({rule.until for rule in document.policy.rules if rule.until is not None}))


def written(moment_s: int) -> str:
    """As a document writes it."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(document: Document, now_s: float) -> Document:
    """The document without the rules that have ended; those that stay are numbered anew."""
    policy = document.policy
    if not any(rule.has_ended(now_s) for rule in policy.rules):
        return document
    lasting = [rule for rule in policy.rules if not rule.has_ended(now_s)]
    rules = tuple(replace(rule, number=number) for number, rule in enumerate(lasting, start=1))
    return replace(document, policy=replace(policy, rules=rules))
