# SPDX-License-Identifier: Apache-2.0
"""What an agent works with; `krait.agent.wiring` puts it together."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from krait.agent import source
from krait.agent.apply import Enforcement
from krait.agent.guarding import Guarding
from krait.agent.managed.keeper import Keeper
from krait.agent.notify import Notifier
from krait.agent.ports import Eyes


@dataclass(frozen=True, slots=True)
class Setup:
    """What an agent works with."""

    interface: str
    document: Path
    shadow: Path  # the document to rehearse, if it is there
    kept: Path  # what was put in force last
    live: Path
    eyes: Eyes
    enforcement: Enforcement
    notifier: Notifier
    keeper: Callable[[Callable[[], None]], Keeper] | None = None
    """Of the device, where Krait makes it; given how to wake the agent from another thread."""
    guarding: Guarding | None = None
    """Of the other interfaces."""
    is_overdue: Callable[[], bool] = lambda: False
    """Whether what is done here was on trial, and nobody has ended that."""
    is_on_trial: Callable[[], bool] = lambda: False
    """Whether what is in force may go back: then it is not what to start from another time."""
    on_ready: Callable[[], None] = lambda: None
    """Called once what is wanted is in force."""
    changes: Callable[[Path], AsyncGenerator[None, None]] = source.changes
