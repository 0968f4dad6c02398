# SPDX-License-Identifier: Apache-2.0
"""Multicast groups of a document: read, named by rules, and what else they touch."""

from base64 import b64decode
from ipaddress import ip_interface, ip_network

import pytest

from krait.common.errors import UsageError
from krait.policy import expectations
from krait.policy.advice import advise
from krait.policy.compare import compare
from krait.policy.compile import compile_policy
from krait.policy.document import load
from krait.policy.explain import Verdict, explain
from krait.policy.formatted import formatted
from krait.policy.identities import identities
from krait.policy.idle import Why, idle_rules
from krait.policy.lint import lint
from krait.policy.model import Document
from krait.policy.owners import find
from krait.policy.parties import Parties
from krait.policy.problems import DocumentError
from krait.policy.reread import reread
from krait.policy.retagged import retagged
from krait.policy.view import HERE, Interface, Peer, Principal, resolve
from tests.documents import key

GROUPS = """
  babel: {address: ["ff02::1:6", 224.0.0.111], tags: [routing]}
  site: {address: 239.0.0.0/8}
"""
RULES = """
    - {name: hello, from: router, to: routing, ports: udp/6696}
    - {name: site, from: a, to: site}
"""


def text(groups: str = GROUPS, rules: str = RULES, tests: str = "") -> bytes:
    return f"""nodes:
  a: {{public_key: "{key(1)}", tags: [router], address: ["fe80::1"]}}
  b: {{public_key: "{key(2)}", tags: [router], address: ["fe80::2"]}}
multicast:{groups}
policy:
  rules:{rules}
  tests: [{tests}]
""".encode()


def read(groups: str = GROUPS, rules: str = RULES, tests: str = "") -> Document:
    return load(text(groups, rules, tests), "krait.yaml")


def interface(*allowed: str) -> Interface:
    peer = Peer(b64decode(key(2)), tuple(map(ip_network, allowed)))
    return Interface(b64decode(key(1)), (ip_interface("fe80::1/64"),), (peer,))


def test_a_group_has_addresses_ranges_and_tags() -> None:
    babel, site = read().multicast
    assert (babel.name, babel.tags) == ("babel", frozenset({"routing"}))
    assert babel.cidrs == (ip_network("ff02::1:6/128"), ip_network("224.0.0.111/32"))
    assert (site.cidrs, site.tags) == ((ip_network("239.0.0.0/8"),), frozenset())


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        (" [babel]", "4:12: multicast: expected a mapping of names to groups"),
        ("\n  g: 224.0.0.5", '5:6: group "g": expected a mapping'),
        ("\n  g: {}", '5:6: group "g" lacks `address`'),
        ("\n  g: {address: []}", '5:6: group "g": expected at least one address'),
        ("\n  g: {address: 10.8.0.1}", '"10.8.0.1" is not multicast: it is in neither'),
        ("\n  g: {address: 224.0.0.0/3}", '"224.0.0.0/3" is not multicast'),
        ("\n  g: {address: 'ffff::/16'}", '"ffff::/16" is reserved: nothing passes to it'),
        ("\n  g: {address: 255.255.255.255}", '"255.255.255.255" is not multicast'),
        ("\n  g: {address: 224.0.0.5/8}", "has host bits set"),
        ("\n  g: {address: 'ff02::1%eth0'}", "has a zone"),
        ("\n  g: {address: 224.0.0.5, to: a}", 'unknown key "to" in group "g"'),
        ("\n  G: {address: 224.0.0.5}", '"G" is not a name'),
        ("\n  a: {address: 224.0.0.5}", 'group "a": a node is called so, too'),
        ("\n  router: {address: 224.0.0.5}", 'group "router": a tag is called so, too'),
        ("\n  g: {address: 224.0.0.5, tags: g}", 'group "g": a tag is called so, too'),
        ("\n  g: {address: 224.0.0.5, tags: a}", 'tag "a" is also the name of a node'),
        (
            "\n  g: {address: 224.0.0.5}\n  h: {address: 224.0.0.5/32}",
            '6:16: address: "224.0.0.5/32" already belongs to g; it is listed in line 5',
        ),
    ],
)
def test_a_group_that_is_wrong_is_told_with_its_place(groups: str, problem: str) -> None:
    with pytest.raises(DocumentError) as raised:
        read(groups, " []")
    assert problem in str(raised.value.message) + str(raised.value)


def test_a_misspelt_group_is_found() -> None:
    with pytest.raises(DocumentError, match="babel"):
        read(rules="\n    - {from: a, to: babl}")


def test_a_group_has_the_identity_of_its_tags_and_of_its_name_where_a_rule_names_it() -> None:
    found = identities(read())
    assert frozenset({"routing"}) in found
    assert frozenset({"site"}) in found
    view = resolve(read(), interface("fe80::2/128"))
    group = Principal("site", frozenset({"site"}), HERE, group=True)
    assert view.owners[ip_network("239.0.0.0/8")] == group


def test_allowed_ips_make_no_group_somebodys() -> None:
    wide = interface("::/0", "0.0.0.0/0", "224.0.0.0/4", "ff02::5/128", "224.0.0.111/32")
    owners = resolve(read(), wide).owners
    assert owners[ip_network("ff00::/8")] is None
    assert owners[ip_network("224.0.0.0/4")] is None
    assert ip_network("ff02::5/128") not in owners
    found = owners[ip_network("224.0.0.111/32")]
    assert found is not None
    assert found.group


def test_this_node_has_a_row_for_each_group_that_it_may_listen_to() -> None:
    document = read()
    compiled = compile_policy(document, resolve(document, interface("fe80::2/128")))
    here = [compiled.numbers.identities[row - 256] for row in compiled.rows]
    assert set(here) == {frozenset({"router", "a"}), frozenset({"routing"}), frozenset({"site"})}


def test_other_groups_are_another_view() -> None:
    before, now = read(), read(GROUPS.replace("239", "238"))
    view = resolve(before, interface("fe80::2/128"))
    assert retagged(view, before, now) is None
    assert retagged(view, before, read(GROUPS + "  # a comment")) == view


def test_explain_answers_for_a_group_by_name_and_by_address_and_never_from_one() -> None:
    assert explain(read(), "b", "babel", "udp/6696").verdict is Verdict.ALLOWED
    assert explain(read(), "b", "ff02::1:6", "udp/6697").verdict is Verdict.DENIED
    assert explain(read(), "b", "239.255.0.1").verdict is Verdict.DENIED
    with pytest.raises(UsageError, match=r"gives .* to nobody"):
        explain(read(), "b", "224.0.0.5")
    with pytest.raises(UsageError, match="babel is a multicast group: nobody sends from one"):
        explain(read(), "babel", "b")


def test_of_ranges_inside_each_other_the_longer_has_an_address() -> None:
    inner = "  inner: {address: 239.1.0.0/16}\n"
    assert find(read(GROUPS + inner), "239.1.2.3").name == "inner"


def test_no_route_around_a_link_local_address_has_it() -> None:
    routed = text().replace(b'address: ["fe80::2"]', b'routes: [{cidr: "::/0", tags: [lan]}]')
    document = load(routed, "krait.yaml")
    assert find(document, "fe80::1").name == "a"
    assert find(document, "2001:db8::1").node == "b"
    with pytest.raises(UsageError, match="to nobody"):
        find(document, "fe80::2")


def test_tests_of_a_document_may_name_a_group_as_a_destination_alone() -> None:
    holds = "{from: router, to: babel, port: udp/6696, expect: allow}"
    assert expectations.run(read(tests=holds)) == ()
    (failure,) = expectations.run(read(tests=holds.replace("allow", "deny")))
    assert (failure.source, failure.destination) == ("a", "babel")
    (failure,) = expectations.run(read(tests="{from: routing, to: router, expect: deny}"))
    assert failure.source is None


def test_a_rule_from_a_group_never_decides() -> None:
    document = read(rules=f"{RULES}    - {{name: back, from: babel, to: router}}\n")
    (idle,) = idle_rules(document)
    assert (idle.rule.name, idle.why) == ("back", Why.NOBODY)
    assert [each.message for each in advise(document) if each.id == "matches-nobody"]


def test_a_group_that_nothing_names_is_worth_a_word() -> None:
    assert advise(read()) == ()
    (advice,) = advise(read(GROUPS + "  lone: {address: 224.0.0.9}\n"))
    assert (advice.id, advice.line) == ("unnamed-node", 7)
    more = GROUPS + "  lone: {address: 224.0.0.9, tags: [unsaid]}\n"
    assert [each.id for each in advise(read(more))] == ["unused-tag"]


def test_what_goes_to_a_group_needs_no_way_back() -> None:
    assert [each for each in lint(read()) if each.id == "one-way"] == []
    to_both = read(rules="\n    - {name: r, from: a, to: [site, b]}")
    assert [each.id for each in lint(to_both) if each.id == "one-way"] == ["one-way"]


def test_what_opens_to_a_group_is_compared_and_nothing_opens_from_one() -> None:
    before, now = (
        load(text(rules=rules).replace(b'[router], address: ["fe80::2"]', b"[leaf]"), "krait.yaml")
        for rules in (" []", '\n    - {name: every, from: "*", to: "*"}')
    )
    found = compare(before, now)
    (row,) = found.rows
    parties = Parties(found.everyone)
    assert parties.senders.names(row.sources) == ("*",)
    assert parties.names(row.destinations) == ("*",)
    assert not any("babel" in group.members for group in row.sources)
    assert (found.opening, found.closing) == (6, 0)
    assert compare(read(), read(GROUPS.replace("239", "238"))).settings.other == ("multicast",)


def test_an_edited_node_beside_groups_is_read_as_ever() -> None:
    old = text()
    new = old.replace(b'tags: [router], address: ["fe80::1"]', b"tags: [router]")
    known = load(old, "krait.yaml")
    assert reread(known, old, new) == load(new, "krait.yaml")
    clash = old.replace(b"a: {public_key", b"site: {public_key").replace(b"from: a", b"from: b")
    assert reread(known, old, clash) is None


def test_a_group_is_written_in_one_form() -> None:
    messy = text().replace(b"{address: 239.0.0.0/8}", b'{tags: [], "address": 239.0.0.0/8}')
    assert b"  site: {address: 239.0.0.0/8, tags: []}\n" in formatted(messy, "krait.yaml")
