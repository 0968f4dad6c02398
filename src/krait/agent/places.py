# SPDX-License-Identifier: Apache-2.0
"""Where Krait should be and is not, or is and should not be: faults of the place, in words."""

from krait.common.errors import KraitError


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
