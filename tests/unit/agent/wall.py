# SPDX-License-Identifier: Apache-2.0
"""The wall clock, which passes and is set when a test says so, and a rule that ends by it."""

NS = 10**9
END_S = 1_798_740_000
UNTIL = ("{name: app-in, from: app", "{name: app-in, until: '2026-12-31T18:00:00Z', from: app")
BOOT_S = END_S - 1000


class Wall:
    """The two clocks that are read."""

    CLOCK_BOOTTIME = 7

    def __init__(self) -> None:
        self.boot_s, self.since_boot_s = float(BOOT_S), 10.0

    def time_ns(self) -> int:
        return round((self.boot_s + self.since_boot_s) * NS)

    def clock_gettime_ns(self, clock: int) -> int:
        assert clock == self.CLOCK_BOOTTIME
        return round(self.since_boot_s * NS)
