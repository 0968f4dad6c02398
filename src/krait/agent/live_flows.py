# SPDX-License-Identifier: Apache-2.0
"""The live flows of an interface, by the names of who speaks in them: for `krait flows`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from krait.agent import in_force
from krait.agent.adapters import adapters
from krait.agent.diff import choose
from krait.agent.in_force import Governed
from krait.agent.paths import Paths
from krait.common.errors import SystemRefused
from krait.kernel.flows import LiveFlow
from krait.policy.model import Address, Document
from krait.policy.owners import find
from krait.policy.rules import DEFAULT_RULE
from krait.policy.survival import Survival
from krait.policy.view import resolve

Owner = Callable[[Address], str | None]
"""From an address to the node or subnet whose it is; None: nobody's, as far as is known."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Which flows are asked for: each a node's name, an address or a subnet; None is anybody."""

    opener: str | None = None
    other: str | None = None
    either: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A live flow, and who speaks in it."""

    flow: LiveFlow
    opener: str | None
    other: str | None
    is_stale: bool  # judged under another revision: its next packet is judged anew
    rule: str | None  # that decided; None where it is stale, or not known


@dataclass(frozen=True, slots=True)
class Flows:
    """What there is to tell of an interface; its flows can be gone through once."""

    interface: str
    revision: int
    seen: Iterator[Seen]


@contextmanager
def live_flows(interface: str, paths: Paths, sought: Sought) -> Iterator[Flows]:
    """The flows that are asked for, as the kernel's table is walked; few are held at a time.

    Raises UsageError where no policy is in force, or it knows nobody of a name; SystemRefused where
    the kernel does not let us look, or it is not known whose an address is.
    """
    hint = f"`krait status {interface}` tells what is known of it"
    here = in_force.look(interface, paths, hint=hint)
    owner = _owners(here, sought)
    is_asked_for = asked_for(here.document, sought)
    with closing(adapters(interface, paths).loads) as loads:
        generation = choose(loads.found(), here.found.seats)
        if generation is None:
            raise SystemRefused(f"the tables of {interface} are not pinned any more", hint=hint)
        tables = loads.open(generation)
        record = here.found.record
        rules = (DEFAULT_RULE, *(record.numbers.rules if record else ()))
        revision = here.tables.revision
        seen = (told(flow, owner, rules, revision) for flow in tables.flows())
        yield Flows(interface, revision, filter(is_asked_for, seen))


def told(flow: LiveFlow, owner: Owner, rules: Sequence[str | None], revision: int) -> Seen:
    """A flow by names: those of the rules are by their numbers in the revision in force."""
    is_known = flow.revision == revision and flow.rule < len(rules)
    return Seen(
        flow,
        owner(flow.opener.source[0]),
        owner(flow.opener.destination[0]),
        is_stale=flow.revision < revision,  # a later one was committed since we looked
        rule=rules[flow.rule] if is_known else None,
    )


def _owners(here: Governed, sought: Sought) -> Owner:
    """Whose an address is, by the document and WireGuard; without that, nobody is known."""
    found, _, document = here
    if found.device is not None and found.link is not None:
        view = resolve(document, found.device.as_policy_sees_it(found.link.addresses))
        principal = Survival(document.policy, view).owner
        return lambda address: who.name if (who := principal(address)) else None
    if sought != Sought():
        why = found.unseen.message if found.unseen else f"there is no interface {found.interface}"
        raise SystemRefused(
            f"whose an address is cannot be told: {why}",
            hint=found.unseen.hint if found.unseen else "ask without a name: krait flows",
        )
    return lambda _: None


def asked_for(document: Document, sought: Sought) -> Callable[[Seen], bool]:
    """Whether a flow is one of those. Raises UsageError for a name that the document lacks."""
    opener, other, either = (
        _end(document, each) for each in (sought.opener, sought.other, sought.either)
    )

    def is_asked_for(seen: Seen) -> bool:
        tuple_ = seen.flow.opener
        source = tuple_.source[0], seen.opener
        destination = tuple_.destination[0], seen.other
        return opener(*source) and other(*destination) and (either(*source) or either(*destination))

    return is_asked_for


def _end(document: Document, text: str | None) -> Callable[[Address, str | None], bool]:
    """Whether an address, or its owner's name, is what `text` asks for.

    A node is meant with the subnets behind it, a subnet alone.
    """
    if text is None:
        return lambda _, __: True
    try:
        wanted = ip_address(text)
    except ValueError:
        owner = find(document, text)
        if owner.name != text:  # a subnet
            return lambda _, name: name == owner.name
        node, behind = owner.name, f" behind {owner.name}"
        return lambda _, name: name is not None and (name == node or name.endswith(behind))
    return lambda address, _: address == wanted
