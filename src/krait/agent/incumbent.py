# SPDX-License-Identifier: Apache-2.0
"""What is in force, by the clock as it is now, for as long as what should follow it cannot.

Nothing but the clock moves on: rules that have ended go, and one that was set is told.
"""

from krait.agent.backoff import Backoff
from krait.agent.desired import Clock, Desired, desire
from krait.agent.ends import Ends
from krait.common.errors import KraitError
from krait.policy.numbering import Numbers


class Incumbent:
    """Of one commit after the other. Moments are monotonic, in seconds."""

    def __init__(self) -> None:
        self._committed: Desired | None = None
        self._ends = Ends()
        self._clock: Clock | None = None
        self._answer: Desired | None = None
        self._backoff = Backoff()

    def of(self, committed: Desired, known: Numbers, now_s: float) -> Desired:
        """What should be in force now; it is `committed` itself unless the clock says otherwise.

        `known` are the numbers in the tables in use.
        """
        if committed is not self._committed:
            self._committed, self._ends = committed, Ends(committed.compiled.clock_ns)
            self._clock, self._answer = None, committed
            self._backoff.reset()
        clock = self._ends.clock(committed.source)
        if clock != self._clock:
            self._clock, self._answer = clock, _at(committed, clock, known)
            self._backoff.reset()
        if self._answer is None or not self._backoff.is_due(now_s):
            return committed
        return self._answer

    def put_off(self, now_s: float) -> None:
        """The kernel did not take that either: try again later, and ever later."""
        self._backoff.failed(now_s)


def _at(committed: Desired, clock: Clock, known: Numbers) -> Desired | None:
    """Without its rehearsal, whatever it may be that this cannot go on for.

    None: it is in force as it should be, or cannot be worked out.
    """
    for rehearse in (True, False) if committed.compiled.shadow else (False,):
        try:
            found = desire(
                committed.source,
                committed.interface,
                known,
                committed.withheld,
                before=committed,
                shadow=committed.shadow,
                clock=clock,
                rehearse=rehearse,
                room=committed.need.shadow_rules > 0,
            )
        except Exception as error:
            if not (rehearse or isinstance(error, KraitError)):
                raise
        else:
            return None if found == committed else found
    return None
