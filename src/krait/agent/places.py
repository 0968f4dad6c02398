# SPDX-License-Identifier: Apache-2.0
"""Where Krait should be and is not, or is and should not be: faults of the place, in words."""

from collections.abc import Mapping

from krait.agent.backoff import Backoff
from krait.agent.diff import Observed
from krait.agent.steps import Load, Step
from krait.agent.subject import Subject
from krait.common.errors import KraitError
from krait.kernel.seat import AttachKind


class Behind(KraitError):
    """Others see packets first."""

    def __init__(self, ahead: tuple[str, ...]) -> None:
        super().__init__(
            f"degraded: ahead of Krait: {', '.join(ahead)}",
            hint="Start that tool before Krait, or end it if it puts itself first again and again.",
        )


class Elsewhere(KraitError):
    """A device took the filter along."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"a device that was called {interface} was renamed or moved away with its filter: "
            "nothing passes there",
            hint=f"Give it the name back, delete it, or free it: krait detach {interface}",
        )


class Gone(KraitError):
    """A device left for another network namespace, and no filter of ours went with it."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"{interface} was moved to another network namespace, without its filter: it is bare "
            "there, and every packet passes",
            hint="Run Krait in that namespace, or bring the device back. If it was deleted there, "
            "nobody told: restart the agent.",
        )


class Away(KraitError):
    """The device that Krait made has another name, or is in another network namespace."""

    def __init__(self, interface: str) -> None:
        super().__init__(
            f"the device that was {interface} was renamed or moved away: none is made beside it",
            hint=f"give it the name {interface} back, or delete it",
        )


class Place:
    """The place of one interface's filter, as one round after the other finds it."""

    def __init__(self, interface: str, kind: AttachKind) -> None:
        """`kind` is how the filter is attached."""
        self.is_elsewhere = False
        """A device that had the name is not here any more, or has another one."""
        self._interface, self._kind = interface, kind
        self._has_moved = False
        self._leading = Backoff()

    def appeared(self) -> None:
        """An interface of that name is here now."""
        self._has_moved = False

    def moved(self) -> None:
        """It is in another network namespace now."""
        self._has_moved = self._kind is AttachKind.CLSACT  # a TCX link goes along

    def yields(self, now_s: float) -> bool:
        """Whether to stay behind others for now; `now_s` is monotonic."""
        return not self._leading.is_due(now_s)

    def judge(
        self, observed: Observed, steps: tuple[Step, ...], now_s: float
    ) -> Mapping[Subject, KraitError | None]:
        """What is wrong, by subject, before the steps are done; None: nothing is.

        Whether it is behind others is not said while the steps try to get ahead of them.
        """
        where = self._where_else(observed)
        self.is_elsewhere = where is not None
        reloads = any(isinstance(each, Load) for each in steps)
        if observed.ahead and reloads and self._kind is AttachKind.TCX:
            self._leading.failed(now_s)  # if it is the last time, nobody will ask
            return {Subject.ELSEWHERE: where}
        return {
            Subject.ELSEWHERE: where,
            Subject.ORDER: Behind(observed.ahead) if observed.ahead else None,
        }

    def _where_else(self, observed: Observed) -> KraitError | None:
        if observed.elsewhere:
            return Elsewhere(self._interface)
        is_away = self._has_moved and observed.ifindex is None
        return Gone(self._interface) if is_away else None
