# SPDX-License-Identifier: Apache-2.0
"""What can be done to the loads and hooks of one interface: `diff` says when, `apply` does it.

A step's text is the account of the change that a person reads in the log.
"""

from dataclasses import dataclass, field

from krait.agent.desired import Desired
from krait.common.words import plural
from krait.kernel.generation import Generation
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from krait.policy.capacity import Capacity
from krait.policy.image import Image


@dataclass(frozen=True, slots=True)
class Load:
    """Load the object anew; what follows is about these tables. Both slots are empty."""

    capacity: Capacity
    go_on: bool  # with the flows and counters of the tables now in use
    inherit: bool = False  # the flows of another version's, if this one can read them

    def __str__(self) -> str:
        flows = "keeping flows and counters" if self.go_on else "with no flows yet"
        if self.inherit:
            flows = "keeping another version's flows where they can be read"
        size = self.capacity
        return f"load tables for {size.principal} principals, {size.columns} identities, {flows}"


@dataclass(frozen=True, slots=True)
class Commit:
    """Write the idle slot and put it in force by one store."""

    image: Image = field(repr=False)
    desired: Desired | None  # None: the slot is empty, nothing passes

    def __str__(self) -> str:
        if self.desired is None:
            return "commit an empty slot: nothing passes"
        numbers, held_back = self.desired.compiled.numbers, self.desired.withheld
        rules, peers = (sum(each is not None for each in n) for n in (numbers.rules, numbers.peers))
        withheld = f", withholding {', '.join(map(str, sorted(held_back, key=str)))}"
        what = f"{plural(rules, 'rule')} for {plural(peers, 'peer')}"
        return f"commit {self.desired.source.path}: {what}{withheld if held_back else ''}"


@dataclass(frozen=True, slots=True)
class Attach:
    """Put the tables' program on a hook, at the head; an earlier one there goes after that."""

    hook: Hook

    def __str__(self) -> str:
        return f"attach to {self.hook.value}"


@dataclass(frozen=True, slots=True)
class Swap:
    """Change the program on a hook for the tables' in one step."""

    hook: Hook

    def __str__(self) -> str:
        return f"swap the program on {self.hook.value}"


@dataclass(frozen=True, slots=True)
class Detach:
    """Take off the program that is attached in the other way."""

    hook: Hook
    kind: AttachKind

    def __str__(self) -> str:
        return f"detach {self.kind.value} from {self.hook.value}"


@dataclass(frozen=True, slots=True)
class Unlink:
    """Remove the link that a deleted interface left behind."""

    hook: Hook

    def __str__(self) -> str:
        return f"remove the severed link of {self.hook.value}"


@dataclass(frozen=True, slots=True)
class Pin:
    """Pin the tables again, whose folder somebody removed."""

    def __str__(self) -> str:
        return "pin the tables again"


@dataclass(frozen=True, slots=True)
class Drop:
    """Unpin a load that is not used any more."""

    generation: Generation

    def __str__(self) -> str:
        return f"remove tables {self.generation.name}"


Step = Load | Commit | Attach | Swap | Detach | Unlink | Pin | Drop
