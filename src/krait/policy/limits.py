# SPDX-License-Identifier: Apache-2.0
"""`limits: {opens: 1000, burst: 4000}`: what a peer may open, and the reference for it."""

from dataclasses import dataclass

from krait.common.errors import UsageError
from krait.policy.model import DEFAULT_LIMITS, Limits
from krait.policy.problems import quoted
from krait.policy.reader import Reader
from krait.policy.yaml_source import Tree

LIMIT_KEYS = frozenset({"opens", "burst"})
UNLIMITED = "unlimited"

MAX_OPENS = 1_000_000
"""A peer that may do more is as good as unlimited; and the kernel counts in 32 bits."""
_BURST_S = DEFAULT_LIMITS.burst // (DEFAULT_LIMITS.opens_per_s or 1)


def read_limits(tree: Tree | None, reader: Reader) -> Limits:
    """What holds where nothing is said: 1,000 opens a second, and four seconds' worth at once."""
    fields = reader.mapping(tree, "limits", LIMIT_KEYS) if tree else None
    if not fields:
        return DEFAULT_LIMITS
    opens = reader.value(fields.get("opens"), "opens", _opens)
    burst = reader.value(fields.get("burst"), "burst", _count)
    if opens is None:
        opens = DEFAULT_LIMITS.opens_per_s or 0
    if opens == 0 and burst is not None:
        reader.problems.add(
            fields["burst"], "burst: there is no limit on opens", "leave `burst` out"
        )
    return Limits(opens or None, burst or min(opens * _BURST_S, MAX_OPENS))


def _opens(text: str) -> int:
    """A number of opens a second; 0: as many as it likes."""
    return 0 if text == UNLIMITED else _count(text, f", or `{UNLIMITED}`")


def _count(text: str, other: str = "") -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_OPENS:
        raise UsageError(
            f"{quoted(text)} is no number of opens",
            hint=f"write one from 1 to {MAX_OPENS}{other}",
        )
    return int(text)


@dataclass(slots=True)
class Budget:
    """What one peer may still open; full at first."""

    left: float
    seen_s: float

    def now(self, limits: Limits, now_s: float) -> float:
        """How many opens it would be let pass at once; `now_s` is on the clock of `seen_s`."""
        gained = (now_s - self.seen_s) * (limits.opens_per_s or 0)
        return min(limits.burst, self.left + gained)

    def spend(self, limits: Limits, now_s: float) -> bool:
        """Whether there is one left, which then is none any more."""
        left = self.now(limits, now_s)
        if left < 1:
            return False
        self.left, self.seen_s = left - 1, now_s
        return True
