# SPDX-License-Identifier: Apache-2.0
"""Why a packet was dropped: one append-only number each, shared with ebpf/krait/abi.h.

Never renumber, never reuse: the numbers index counters that outlive the agent. The kernel tier
holds this table against the object's BTF; docs/drop-reasons.md is generated from it.
"""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Reason(IntEnum):
    """Verdict of one packet at one hook; PASS lets it go on, all others drop it."""

    PASS = 0
    MALFORMED = 1
    FRAGMENT = 2
    MULTICAST = 3
    LINK_LOCAL = 4
    NOT_READY = 5
    UNKNOWN_SOURCE = 6
    UNKNOWN_DESTINATION = 7
    WRONG_SIDE = 8
    NOT_TRANSIT = 9
    NO_IDENTITY = 10
    UNKNOWN_PEER = 11
    DENIED = 12
    NO_FLOW = 13
    FLOW_FULL = 14
    REDIRECT = 15
    BAD_ERROR = 16
    NO_PAIR = 17
    SOURCE_ROUTE = 18
    FRAGMENT_OVERLAP = 19
    OPEN_LIMIT = 20

    @property
    def label(self) -> str:
        """The name in metrics, in `--json` and in the documentation, such as `no-flow`."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a drop reason means to an operator, and what to do about it."""

    meaning: str
    hint: str


_TABLE: dict[Reason, Explanation] = {
    Reason.MALFORMED: Explanation(
        "A header is cut short, lies about its length, or contradicts the packet's protocol.",
        "Capture it on the interface; a healthy peer never sends one.",
    ),
    Reason.FRAGMENT: Explanation(
        "A fragment of which no first one passed: it carries no ports to judge.",
        "Fragments that arrive before their first drop; if there are many, lower the sender's MTU.",
    ),
    Reason.MULTICAST: Explanation(
        "The destination is broadcast, or multicast of a group that the document does not name.",
        "Expected for discovery protocols; list the group under `multicast` if it is wanted.",
    ),
    Reason.LINK_LOCAL: Explanation(
        "A link-local address (169.254.0.0/16, fe80::/10) that is nobody's by itself.",
        "If something needs it, list it as `address` of its node, or in allowed IPs by itself.",
    ),
    Reason.NOT_READY: Explanation(
        "No policy is in force: the filter is armed and its slot is empty.",
        "See `krait status` and the agent's log for why no policy was committed.",
    ),
    Reason.UNKNOWN_SOURCE: Explanation(
        "The source address belongs to no principal.",
        "Add the address to the sender's allowed IPs, or its subnet to the node's routes.",
    ),
    Reason.UNKNOWN_DESTINATION: Explanation(
        "The destination address belongs to no principal.",
        "Add the address to the receiver's allowed IPs, or its subnet to the node's routes.",
    ),
    Reason.WRONG_SIDE: Explanation(
        "An address of this node arrives as a source from the tunnel, or leaves as a destination "
        "into it; or a peer's address leaves as a source, and came from somewhere else.",
        "Look for overlapping allowed IPs and routes, a peer that spoofs, or a host behind this "
        "node that poses as a peer.",
    ),
    Reason.NOT_TRANSIT: Explanation(
        "The packet would pass through this node from one peer to another.",
        "Say `transit: true` on this node if it is meant to be a hub.",
    ),
    Reason.NO_IDENTITY: Explanation(
        "An address is known but stands for no tags: a routed subnet without tags of its own.",
        "Give the route tags, and a rule that names them.",
    ),
    Reason.UNKNOWN_PEER: Explanation(
        "A WireGuard peer that the document does not name.",
        "Add a node with the peer's public key to the document.",
    ),
    Reason.DENIED: Explanation(
        "The policy denies this flow: a deny rule, or no rule that allows it.",
        "`krait explain FILE FROM TO PORT` names the rule and its line.",
    ),
    Reason.NO_FLOW: Explanation(
        "A reply, reset or stray segment that belongs to no live flow and may not open one.",
        "Often a late reply after a time-out; if not, the opening direction is missing a rule.",
    ),
    Reason.FLOW_FULL: Explanation(
        "The flow table took no new entry.",
        "Look for a peer that opens flows without end, by its drops in `krait status`.",
    ),
    Reason.REDIRECT: Explanation(
        "ICMP that would change a host's routes or neighbours: a redirect, or discovery of routers "
        "(also to a group) or of neighbours; a tunnel has no use for one.",
        "Nothing to mend unless a peer sends many; a kernel may ask for routers of its own accord.",
    ),
    Reason.BAD_ERROR: Explanation(
        "An ICMP error that does not come from where the lost packet was going.",
        "A spoofed error, or a router whose address is in no peer's allowed IPs.",
    ),
    Reason.NO_PAIR: Explanation(
        "The pair of identities is missing from the tables: a fault in Krait.",
        "Restart the agent, which writes the tables anew, and report it.",
    ),
    Reason.SOURCE_ROUTE: Explanation(
        "An IPv6 routing header that has segments left: its real destination is hidden.",
        "Nothing to mend; source routing through the mesh is not supported.",
    ),
    Reason.FRAGMENT_OVERLAP: Explanation(
        "A fragment that begins before the end of the first one, whose ports were judged.",
        "Capture it on the interface; a healthy peer never sends one.",
    ),
    Reason.OPEN_LIMIT: Explanation(
        "The policy allows this flow, but its peer opens more of them than a peer may.",
        "`krait status` names the peer; if it may, raise `limits: {opens: …}` in the policy.",
    ),
}

EXPLANATIONS = MappingProxyType(_TABLE)


def as_markdown() -> str:
    """docs/drop-reasons.md."""
    lines = [
        "# Why packets drop",
        "",
        "Printed from `src/krait/common/reason.py` by `python -m krait.common.reason`; a test",
        "holds it current. Every dropped packet has one reason; `krait status` shows how often",
        "each came up. Numbers are never changed or used again. Which question comes first says",
        "[How a packet is judged](packet-path.md).",
        "",
        "| number | reason | what it means | what to do |",
        "|---|---|---|---|",
        *(
            f"| {reason.value} | `{reason.label}` | {about.meaning} | {about.hint} |"
            for reason, about in EXPLANATIONS.items()
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_markdown(), end="")  # noqa: T201 - printing the document is what the module is run for
