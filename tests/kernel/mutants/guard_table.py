# SPDX-License-Identifier: Apache-2.0
"""Faults that somebody could make in the guard, each of which random frames must bring to light."""

from tests.kernel.mutants.mutant import Mutant

_GUARD = "guard.bpf.c"


def _mutant(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, _GUARD, old, new)


GUARD_MUTANTS = (
    _mutant("a source of the mesh passes", "if (source & KRAIT_GUARD_MESH)", "if (0 && source)"),
    _mutant(
        "only this node's own address is no source",
        "if (source & KRAIT_GUARD_MESH)",
        "if (source & KRAIT_GUARD_OWN)",
    ),
    _mutant(
        "what goes to this node passes",
        "return destination & KRAIT_GUARD_OWN ?",
        "return 0 && destination ?",
    ),
    _mutant(
        "what goes to any node drops",
        "return destination & KRAIT_GUARD_OWN ?",
        "return destination & KRAIT_GUARD_MESH ?",
    ),
    _mutant(
        "source and destination of IPv4 are swapped",
        "judge_ends(mark4(ip.saddr), mark4(ip.daddr))",
        "judge_ends(mark4(ip.daddr), mark4(ip.saddr))",
    ),
    _mutant(
        "source and destination of IPv6 are swapped",
        "judge_ends(mark6(&ip.saddr), mark6(&ip.daddr))",
        "judge_ends(mark6(&ip.daddr), mark6(&ip.saddr))",
    ),
    _mutant("an IPv4 address's own mark is not found", ".length = 32 ", ".length = 31 "),
    _mutant("an IPv6 address's own mark is not found", ".length = 128 ", ".length = 127 "),
    _mutant("IPv4 is not judged", "if (protocol == bpf_htons(ETH_P_IP))", "if (0)"),
    _mutant("IPv6 is not judged", "if (protocol == bpf_htons(ETH_P_IPV6))", "if (0)"),
    _mutant("ARP is not judged", "if (protocol == bpf_htons(ETH_P_ARP))", "if (0)"),
    _mutant(
        "IPv6 is read as IPv4",
        "return judge_ipv6(",
        "return 0 ? judge_ipv6(skb, at) : judge_ipv4(",
    ),
    _mutant("one tag is skipped, and no second", "MAX_TAGS = 3", "MAX_TAGS = 1"),
    _mutant("an outer tag is not skipped", "htons(ETH_P_8021AD)", "htons(ETH_P_8021AD + 1)"),
    _mutant("an inner tag is not skipped", "htons(ETH_P_8021Q)", "htons(ETH_P_8021Q + 1)"),
    _mutant("two tags are skipped, and no third", "MAX_TAGS = 3", "MAX_TAGS = 2"),
    _mutant("a fourth tag is skipped", "MAX_TAGS = 3", "MAX_TAGS = 4"),
    _mutant("what has more tags passes", "if (is_tag(protocol)) /*", "if (0) /*"),
    _mutant("a tag is skipped by half", "at += sizeof(tag);", "at += sizeof(tag[0]);"),
    _mutant("what a tag says is what follows it", "protocol = tag[1];", "protocol = tag[0];"),
    _mutant(
        "the sender of ARP is not looked at",
        "judge_neighbour(mark4(sender),",
        "judge_neighbour(0 * mark4(sender),",
    ),
    _mutant(
        "whom ARP asks for is not looked at",
        "header.operation == bpf_htons(ARP_ASKS) ?",
        "0 ?",
    ),
    _mutant(
        "an answer of ARP asks for whom it goes to",
        "header.operation == bpf_htons(ARP_ASKS) ?",
        "1 ?",
    ),
    _mutant(
        "an operation of ARP is read in the host's order",
        "header.operation == bpf_htons(ARP_ASKS)",
        "header.operation == ARP_ASKS",
    ),
    _mutant(
        "hardware addresses of ARP are six bytes long",
        "address_at += header.hardware_bytes;",
        "address_at += 6;",
    ),
    _mutant(
        "the sender's hardware address is before the target's, too",
        "address_at += sizeof(sender) + header.hardware_bytes;",
        "address_at += sizeof(sender);",
    ),
    _mutant(
        "ARP of any protocol is read as IPv4's",
        "if (header.protocol_bytes != sizeof(sender))",
        "if (0)",
    ),
    _mutant(
        "whoever claims an address of the mesh may, unless it is this node's",
        "return claimed & KRAIT_GUARD_MESH ||",
        "return claimed & KRAIT_GUARD_OWN ||",
    ),
    _mutant(
        "nobody may ask for any node",
        "asked & KRAIT_GUARD_OWN ? KRAIT_GUARD_NEIGHBOUR",
        "asked & KRAIT_GUARD_MESH ? KRAIT_GUARD_NEIGHBOUR",
    ),
    _mutant(
        "neighbour discovery is not looked at",
        "return reason ? reason : judge_icmp6(skb, at + sizeof(ip), ip.nexthdr, ip.hop_limit);",
        "return reason ? reason : 0 * judge_icmp6(skb, at + sizeof(ip), ip.nexthdr, ip.hop_limit);",
    ),
    _mutant(
        "whom a solicitation asks for is not looked at",
        "return judge_neighbour(0, mark6(&nd.target));",
        "return KRAIT_GUARD_PASS;",
    ),
    _mutant(
        "a solicitation claims what it asks for",
        "return judge_neighbour(0, mark6(&nd.target));",
        "return judge_neighbour(mark6(&nd.target), 0);",
    ),
    _mutant(
        "an advertisement asks for what it claims",
        "return judge_neighbour(mark6(&nd.target), 0);",
        "return judge_neighbour(0, mark6(&nd.target));",
    ),
    _mutant(
        "advertisements pass",
        "nd.type != ND_SOLICITATION && nd.type != ND_ADVERTISEMENT",
        "nd.type != ND_SOLICITATION",
    ),
    _mutant("an extension header is eight bytes long", "(extension[1] + 1) * 8", "8"),
    _mutant(
        "an extension header lacks its first eight bytes",
        "(extension[1] + 1) * 8",
        "extension[1] * 8",
    ),
    _mutant("three extension headers are the most", "MAX_EXTENSIONS = 4", "MAX_EXTENSIONS = 3"),
    _mutant("destination options hide what follows", " || next == NEXT_OPTIONS", ""),
    _mutant("a routing header hides what follows", " || next == NEXT_ROUTING", ""),
    _mutant("hop-by-hop options hide what follows", "next == NEXT_HOP_BY_HOP || ", ""),
    _mutant(
        "what is behind more headers passes",
        "if (is_extension(next) && hop_limit == ND_HOP_LIMIT)",
        "if (0 && hop_limit)",
    ),
    _mutant(
        "what is behind more headers drops though it was forwarded",
        "if (is_extension(next) && hop_limit == ND_HOP_LIMIT)",
        "if (is_extension(next) && hop_limit)",
    ),
    _mutant(
        "what is cut in its IPv4 header passes",
        "if (read(skb, at, &ip, sizeof(ip)))\n\t\treturn KRAIT_GUARD_TRUNCATED;\n"
        "\treturn judge_ends(mark4",
        "if (read(skb, at, &ip, sizeof(ip)))\n\t\treturn KRAIT_GUARD_PASS;\n"
        "\treturn judge_ends(mark4",
    ),
    _mutant(
        "what is cut in its tags passes",
        "if (read(skb, at, tag, sizeof(tag)))\n\t\t\treturn KRAIT_GUARD_TRUNCATED;",
        "if (read(skb, at, tag, sizeof(tag)))\n\t\t\treturn KRAIT_GUARD_PASS;",
    ),
    _mutant(
        "a solicitation that is cut short passes",
        "if (read(skb, at, &nd, sizeof(nd)))\n\t\treturn KRAIT_GUARD_TRUNCATED;",
        "if (read(skb, at, &nd, sizeof(nd)))\n\t\treturn KRAIT_GUARD_PASS;",
    ),
    _mutant(
        "ARP that is cut before its target passes",
        "if (read(skb, address_at, &target, sizeof(target)))\n\t\treturn KRAIT_GUARD_TRUNCATED;",
        "if (read(skb, address_at, &target, sizeof(target)))\n\t\treturn KRAIT_GUARD_PASS;",
    ),
    _mutant("what is dropped goes on", "return TC_ACT_SHOT;", "return TC_ACT_UNSPEC;"),
    _mutant(
        "what passes keeps the next program from its turn",
        "return TC_ACT_UNSPEC; /*",
        "return TC_ACT_OK; /*",
    ),
    _mutant("no bytes are counted", "count->bytes += skb->len;", ""),
)
