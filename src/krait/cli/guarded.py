# SPDX-License-Identifier: Apache-2.0
"""How the guard of the other interfaces is told: to people, and to programs."""

from krait.agent.guarded import Guarded
from krait.cli.output import Json
from krait.common.guard import MEANINGS
from krait.common.words import plural, printable
from krait.kernel.generation import Count


def where(guard: Guarded) -> str:
    """The interfaces that it is on."""
    on = (f"{name}{' (not first)' if ahead else ''}" for name, ahead in sorted(guard.on.items()))
    return f"on {printable(', '.join(on))}" if guard.on else "on no interface"


def rows(guard: Guarded | None) -> list[tuple[str, str]]:
    """What it dropped, by reason, the most first."""
    drops = guard.drops.items() if guard else ()
    return [
        (reason.label, f"{plural(count.packets, 'packet')}: {MEANINGS[reason]}")
        for reason, count in sorted(drops, key=lambda each: -each[1].packets)
    ]


def report(guard: Guarded | None) -> Json:
    """The same for programs."""
    if guard is None:
        return None
    return {
        "on": {name: list(ahead) for name, ahead in guard.on.items()},
        "missing": list(guard.missing),
        "drops": {reason.label: _count(count) for reason, count in guard.drops.items()},
    }


def _count(count: Count) -> Json:
    return {"packets": count.packets, "bytes": count.bytes}
