# SPDX-License-Identifier: Apache-2.0
"""What an agent writes down for others after a round: what to start from another time, and itself.

What a disk refuses is raised as KraitError and tried again by the next round; it holds nothing up.
"""

import time
from pathlib import Path

from krait.agent import source, state
from krait.agent.desired import Source
from krait.kernel.files import sweep, writing


class Account:
    """Two files, each written when there is something new to say."""

    def __init__(self, kept: Path, live: Path) -> None:
        """`kept` is for the document in force, `live` for what the agent says of itself."""
        self._kept_path, self._live_path = kept, live
        self.since_s = time.time()
        """Wall clock: when the agent began."""
        self._kept: Source | None = None
        self._told: state.Live | None = None

    def sweep(self) -> None:
        """Take away what an agent left that died as it wrote."""
        for each in (self._kept_path, self._live_path):
            sweep(each)

    def has_kept(self, document: Source) -> bool:
        """Whether a start would go back to this document."""
        return document == self._kept

    def keep(self, document: Source) -> None:
        """Have a start go back to it."""
        source.keep(self._kept_path, document)
        self._kept = document

    def tell(self, live: state.Live) -> None:
        """The agent is as `live` says."""
        if live != self._told:
            with writing(self._live_path):
                state.write_live(self._live_path, live)
            self._told = live
