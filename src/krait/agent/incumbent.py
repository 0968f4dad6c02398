# SPDX-License-Identifier: Apache-2.0
"""What is in force, as it has to be by now, for as long as what should follow it cannot.

It only ever grows stricter, or tells the time: rules that have ended go, a clock that was set is
told, and a prefix that moved to another peer is nobody's, rather than its former owner's.
"""

from typing import NamedTuple

from krait.agent.backoff import Backoff
from krait.agent.desired import Clock, Desired, desire, moved
from krait.agent.ends import Ends
from krait.agent.fitting import Question
from krait.common.errors import KraitError
from krait.policy.model import Network
from krait.policy.numbering import Numbers
from krait.policy.view import Interface


class _Now(NamedTuple):
    """What moved on under a policy in force."""

    clock: Clock
    interface: Interface
    withheld: frozenset[Network]


class Incumbent:
    """Of one commit after the other. Moments are monotonic, in seconds."""

    def __init__(self) -> None:
        self._committed: Desired | None = None
        self._ends = Ends()
        self._now: _Now | None = None
        self._answer: Desired | None = None
        self._backoff = Backoff()

    def of(self, committed: Desired, known: Numbers, asked: Question, now_s: float) -> Desired:
        """What should be in force now; it is `committed` itself unless something moved on.

        `known` are the numbers in the tables in use; of what is `asked` the document does not
        count.
        """
        if committed is not self._committed:
            self._committed, self._ends = committed, Ends(committed.compiled.clock_ns)
            self._now, self._answer = None, committed
            self._backoff.reset()
        now = _Now(self._ends.clock(committed.source), asked.interface, asked.withheld)
        if now != self._now:
            self._now, self._answer = now, _at(committed, now, known)
            self._backoff.reset()
        if self._answer is None or not self._backoff.is_due(now_s):
            return committed
        return self._answer

    def put_off(self, now_s: float) -> None:
        """The kernel did not take that either: try again later, and ever later."""
        self._backoff.failed(now_s)


def _at(committed: Desired, now: _Now, known: Numbers) -> Desired | None:
    """Without its rehearsal, whatever it may be that this cannot go on for.

    None: it is in force as it should be, or cannot be worked out.
    """
    withheld = now.withheld | moved(committed.interface, now.interface)
    for rehearse in (True, False) if committed.compiled.shadow else (False,):
        try:
            found = desire(
                committed.source,
                committed.interface,
                known,
                withheld,
                before=committed,
                shadow=committed.shadow,
                clock=now.clock,
                rehearse=rehearse,
                room=committed.need.shadow_rules > 0,
            )
        except Exception as error:
            if not (rehearse or isinstance(error, KraitError)):
                raise
        else:
            return None if found == committed else found
    return None
