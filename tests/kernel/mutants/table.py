# SPDX-License-Identifier: Apache-2.0
"""Faults that somebody could make in ebpf/, each of which random scenarios must bring to light.

The texts are as short as tells them apart: what moves around them does not matter.
"""

from dataclasses import dataclass
from pathlib import Path

EBPF = Path(__file__).parents[3] / "ebpf"

_PARSE, _IDENTITY, _POLICY = "krait/parse.h", "krait/identity.h", "krait/policy.h"
_FLOW, _FRAGMENT, _PROGRAM = "krait/flow.h", "krait/fragment.h", "krait.bpf.c"
_PACKET, _SHADOW, _BUDGET = "krait/packet.h", "krait/shadow.h", "krait/budget.h"
_REJECT, _REJECTION = "krait/reject.h", "krait/rejection.h"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One text of a file of ebpf/, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str
    quick: bool = False
    """A few hundred packets find it: every run of the tests looks for it."""

    def apply(self, ebpf: Path) -> None:
        """Change the copy of ebpf/ at this path."""
        file = ebpf / self.file
        text = file.read_text()
        found = text.count(self.old)
        assert found == 1, (
            f"mutant {self.name!r}: ebpf/{self.file} holds its text {found} times, not once; the "
            f"code moved on: bring tests/kernel/mutants/table.py up to date.\n{self.old}"
        )
        file.write_text(text.replace(self.old, self.new))


MUTANTS = (
    Mutant(
        "a total length beyond the frame is believed",
        _PARSE,
        "skb->protocol != bpf_htons(ETH_P_IP) || total > skb->len - at",
        "skb->protocol != bpf_htons(ETH_P_IP)",
    ),
    Mutant(
        "the next header may lie behind the packet's end",
        _PARSE,
        "if (at + need > p->end)",
        "if (at + need > skb->len)",
    ),
    Mutant(
        "an extension header may lie behind the packet's end",
        _PARSE,
        "if (at + length > p->end)",
        "if (at + length > skb->len)",
    ),
    Mutant(
        "a routing header with segments left passes",
        _PARSE,
        "next == NEXT_ROUTING && h.segments_left",
        "0",
    ),
    Mutant(
        "the ports of SCTP are not read",
        _PARSE,
        " && p->protocol != IPPROTO_SCTP",
        "",
    ),
    Mutant(
        "a peer may say that it is a router",
        _PACKET,
        "p->icmp_type >= ICMP6_ROUTER_SOLICITATION && p->icmp_type <= ICMP6_REDIRECT",
        "p->icmp_type == ICMP6_REDIRECT",
        quick=True,
    ),
    Mutant(
        "a peer may say that it is a router, in IPv4",
        _PACKET,
        "|| p->icmp_type == ICMP_ROUTER_ADVERTISEMENT",
        "",
    ),
    Mutant(
        "an error may quote what would have steered a host",
        _PROGRAM,
        " || steers_hosts(&inner)",
        "",
    ),
    Mutant(
        "an echo reply is judged by its own type",
        _POLICY,
        "return p->family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;",
        "return p->icmp_type;",
    ),
    Mutant(
        "the directions of a pair are swapped",
        _POLICY,
        "opener = x->from_high ^ reversed, decision;",
        "opener = !x->from_high ^ reversed, decision;",
    ),
    Mutant(
        "the source's port is judged instead of the destination's",
        _POLICY,
        "reversed ? x->p->sport : x->p->dport",
        "reversed ? x->p->dport : x->p->sport",
    ),
    Mutant(
        "the pairs of slot 0 are always in force",
        _POLICY,
        "index + s->slot * n_pair",
        "index + (s->slot & 0) * n_pair",
        quick=True,
    ),
    Mutant(
        "prefixes longer than 24 bits are not looked for",
        _IDENTITY,
        ".length = 8 + 32",
        ".length = 8 + 24",
    ),
    Mutant(
        "a link-local address of nobody is as unknown as any",
        _IDENTITY,
        "return high >> 54 == 0x3fa ? KRAIT_LINK_LOCAL : unknown;",
        "return unknown;",
    ),
    Mutant(
        "a hub relays to groups",
        _IDENTITY,
        "sides->far.flags & KRAIT_PRINCIPAL_GROUP ||",
        "0 ||",
    ),
    Mutant(
        "what goes to a group opens a flow",
        _FLOW,
        "return !x->to_group && (",
        "return (",
        quick=True,
    ),
    Mutant(
        "a segment to a group is picked up the other way round",
        _FLOW,
        " && !x->to_group;",
        ";",
    ),
    Mutant(
        "anybody may relay",
        _IDENTITY,
        "!(self->flags & KRAIT_SELF_TRANSIT)",
        "0",
    ),
    Mutant(
        "a peer's address is believed on a packet from elsewhere",
        _IDENTITY,
        "return skb->ingress_ifindex == skb->ifindex;",
        "return skb->ingress_ifindex == skb->ifindex || 1;",
    ),
    Mutant(
        "an ICMP error is believed from anyone",
        _IDENTITY,
        "(from != here && from != lost)",
        "0",
        quick=True,
    ),
    Mutant(
        "an ICMP error reaches others than the sender of what it quotes",
        _IDENTITY,
        "p->dst[0] != inner->src[0] || p->dst[1] != inner->src[1]",
        "p->dst[0] != inner->src[0]",
    ),
    Mutant(
        "a flow's verdict outlives its revision",
        _FLOW,
        "revision_of(word) == x->state->revision",
        "revision_of(word) <= x->state->revision",
        quick=True,
    ),
    Mutant(
        "a flow lives for ever",
        _FLOW,
        "<= timeout_ticks[state] + CLOCK_SLACK",
        "<= (timeout_ticks[state] | ~0u)",
    ),
    Mutant(
        "an answer to a SYN is an open",
        _PACKET,
        "(p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN",
        "(p->tcp_flags & (TCP_SYN | TCP_RST)) == TCP_SYN",
    ),
    Mutant(
        "an echo reply is an open",
        _FLOW,
        "x->error || (is_icmp(x->p) && is_echo_reply(x->p))",
        "x->error",
    ),
    Mutant(
        "the opener is always the lower end",
        _FLOW,
        "place->from_b ^ reply ? WORD_OPENER_IS_B : 0",
        "0 & place->from_b & reply",
    ),
    Mutant(
        "segments pick flows up where the policy is strict",
        _FLOW,
        "x->state->self->flags & KRAIT_SELF_STRICT || ",
        "",
    ),
    Mutant(
        "a segment of a revoked connection opens it the other way round",
        _FLOW,
        "x->error || (x->p->protocol == IPPROTO_TCP && !is_syn(x->p))",
        "x->error",
    ),
    Mutant(
        "an ICMP error keeps a flow alive",
        _FLOW,
        "if (!x->error && !x->dry)",
        "if (!x->dry)",
    ),
    Mutant(
        "identities that may do nothing are asked for flows",
        _PROGRAM,
        "verdict_class = x->pair->verdict_class;",
        "verdict_class = x->pair->verdict_class | 1;",
    ),
    Mutant(
        "a later fragment passes under another revision",
        _FRAGMENT,
        "!first || first->revision != x->state->revision",
        "!first",
    ),
    Mutant(
        "a datagram lives for ever",
        _FRAGMENT,
        "> fragment_ticks + CLOCK_SLACK",
        "> (fragment_ticks | ~0u)",
    ),
    Mutant(
        "a later fragment overwrites the first",
        _FRAGMENT,
        "x->p->fragment.offset < first->end",
        "x->p->fragment.offset + 0xffff < first->end",
        quick=True,
    ),
    Mutant(
        "the two hooks share their datagrams",
        _FRAGMENT,
        ".egress = x->egress,",
        ".egress = 0,",
    ),
    Mutant(
        "datagrams to different receivers are one",
        _FRAGMENT,
        ".dst = { p->dst[0], p->dst[1] }",
        ".dst = { p->src[0], p->src[1] }",
    ),
    Mutant(
        "what a peer opens costs it nothing",
        _BUDGET,
        "budget->left = left - cost;",
        "budget->left = left;",
    ),
    Mutant(
        "a peer's budget is not filled up again",
        _BUDGET,
        "left = budget->left + (__u64)passed * a_second;",
        "left = budget->left + 0ull * a_second;",
    ),
    Mutant(
        "what leaves this node is limited, too",
        _FLOW,
        "if (!self->opens || x->leaves)",
        "if (!self->opens)",
    ),
    Mutant(
        "a flow that was answered stays among those that wait",
        _FLOW,
        "if (place->answered || !is_answered(next))",
        "if (place->answered || is_answered(next) >= 0)",
    ),
    Mutant(
        "a side that picked a flow up answers itself",
        _FLOW,
        "!(marks & KRAIT_FLOW_OPENER_SILENT)",
        "1",
    ),
    Mutant(
        "an opener is never heard of a flow that a reply picked up",
        _FLOW,
        "marks &= ~KRAIT_FLOW_OPENER_SILENT;",
        "marks |= 0;",
    ),
    Mutant(
        "an open of a tuple that has an answered entry makes a second one",
        _FLOW,
        "if (place->answered) /* one entry",
        "if (0) /* one entry",
    ),
    Mutant(
        "the shadow takes a reply for an open of its own",
        _SHADOW,
        "v->path == KRAIT_PATH_FLOW ? v->reply :",
        "v->path == KRAIT_PATH_FLOW ? 0 :",
    ),
    Mutant(
        "the shadow mixes up what it cuts and what it opens",
        _SHADOW,
        "passes ? KRAIT_REHEARSAL_OPENS : KRAIT_REHEARSAL_CUTS",
        "passes ? KRAIT_REHEARSAL_CUTS : KRAIT_REHEARSAL_OPENS",
        quick=True,
    ),
    Mutant(
        "the shadow asks the list of the other direction",
        _SHADOW,
        "look_up_ports(pair->list[from_high & 1], tuple)",
        "look_up_ports(pair->list[(from_high ^ 1) & 1], tuple)",
    ),
    Mutant(
        "the shadow hears of packets whose ports were not read",
        _PROGRAM,
        "if (shadowing && !x->error && !unreadable && !is_later_fragment(x->p))",
        "if (shadowing && !x->error && !is_later_fragment(x->p))",
    ),
    Mutant(
        "the shadow hears of errors",
        _PROGRAM,
        "if (shadowing && !x->error && !unreadable && !is_later_fragment(x->p))",
        "if (shadowing && !unreadable && !is_later_fragment(x->p))",
    ),
    Mutant(
        "a relayed packet is rehearsed twice",
        _PROGRAM,
        "x.dry | uncounted);",
        "x.dry);",
    ),
    Mutant(
        "what a rule opened goes on after its end",
        _FLOW,
        "revision_of(word) == x->state->revision && !x->ending",
        "revision_of(word) == x->state->revision",
    ),
    Mutant(
        "a rule opens after its end",
        _POLICY,
        "return x->ending ? until_its_end(x->state->slot, decision) : decision;",
        "return decision;",
    ),
    Mutant(
        "a reset is answered",
        _REJECTION,
        "return !tcp->rst && ",
        "return ",
    ),
    Mutant(
        "an ICMP error is answered",
        _REJECTION,
        "1) && !is_error_type(family, type);",
        "1);",
    ),
    Mutant(
        "what went to a group is answered, in IPv4",
        _REJECTION,
        "!(fragment & IP_OFFSET_MASK) && bpf_ntohl(ip->daddr) >> 28 != 0xe;",
        "!(fragment & IP_OFFSET_MASK);",
    ),
    Mutant(
        "a later fragment is answered, in IPv6",
        _REJECTION,
        "if (h[2] || h[3] & 0xf8)",
        "if (0)",
    ),
    Mutant(
        "the answer to a SYN acknowledges nothing of it",
        _REJECTION,
        "denied->doff * 4 + denied->syn + denied->fin;",
        "denied->doff * 4;",
    ),
    Mutant(
        "what a rule of the other slot rejects is rejected",
        _PROGRAM,
        "(s.slot & 1) * n_rules + v->rule",
        "((s.slot & 1) ^ 1) * n_rules + v->rule",
        quick=True,
    ),
    Mutant(
        "who sent a relayed packet is told where it leaves",
        _REJECT,
        "if (egress ? came_in_here(skb) : ",
        "if (egress ? 0 : ",
    ),
    Mutant(
        "peers are told though the policy does not say so",
        _REJECT,
        "!(here->flags & KRAIT_SELF_REJECT_INGRESS))",
        "0)",
    ),
    Mutant(
        "the ends of the other slot count",
        _POLICY,
        "index = (slot & 1) * n_rules + rule;",
        "index = ((slot & 1) ^ 1) * n_rules + rule;",
    ),
)
