# SPDX-License-Identifier: Apache-2.0
"""What `document.load` refuses: each bad input with its line, its column and its mend."""

from base64 import b64encode

import pytest

from krait.common.errors import ExitCode
from krait.policy.document import load
from krait.policy.nodes import MAX_RANGES
from krait.policy.problems import MAX_PROBLEMS, DocumentError, Problem
from krait.policy.yaml_source import MAX_BYTES
from tests.documents import key, mesh, nodes, policy, ports, rule, several
from tests.unit.policy.refusal import HERE, assert_refused_there, problems

BAD = {
    # the file
    "empty": (HERE, "the document is empty"),
    "only a comment": (f"{HERE}# nothing\n", "the document is empty"),
    "a list": (f"{HERE}- a\n", "the document: expected a mapping, found a list"),
    "one word": (f"{HERE}krait\n", 'the document: expected a mapping, found "krait"'),
    "nothing but a dash": (f"---\n{HERE}", "the document: expected a mapping, found nothing"),
    "two documents": (f"{policy('{}')}{HERE}---\na: 1\n", "a second document"),
    "a tab": (f"nodes:\n{HERE}\tdb1: {{}}\n", "a tab in the indentation"),
    "a control character": (f"nodes: a{HERE}\x07\n", "a control character, U+0007"),
    "no YAML": (f"nodes: {{a: b{HERE}: c}}\n", "not valid YAML"),
    "an unclosed list": (f"nodes: [a\n{HERE}", "not valid YAML"),
    "a star without quotes": (rule(f"from: [*{HERE}], to: db"), "not valid YAML"),
    "an anchor": (nodes(f"tags: {HERE}&t [db]"), "an anchor, &t"),
    "a tag of YAML": (nodes(f"tags: {HERE}!!python/name:os.system x"), "a YAML tag"),
    "a duplicate key": (nodes(f"tags: [db], {HERE}tags: [x]"), 'duplicate key "tags"'),
    "a list as a key": (nodes(f"{HERE}[a]: b"), "a list or mapping as a key"),
    "depth": ("nodes: " + "[" * 15 + HERE + "[", "nested deeper than 16 levels"),
    # its sections
    "an unknown section": (f"{policy('{}')}{HERE}polcy: {{}}\n", 'unknown key "polcy"'),
    "no policy": (
        f"{HERE}nodes: {{db1: {{public_key: {key(1)}}}}}\n",
        "the document lacks `policy`",
    ),
    "no nodes": (f"{HERE}policy: {{}}\n", "the document lacks `nodes`"),
    "nodes without nodes": (f"nodes: {HERE}{{}}\npolicy: {{}}\n", "at least one"),
    "an unknown version": (f"version: {HERE}2\n{policy('{}')}", 'unknown version "2"'),
    "a long interface name": (
        f"interface: {HERE}wireguard-to-berlin\n{policy('{}')}",
        '"wireguard-to-berlin" is not an interface name',
    ),
    "an interface named ..": (f"interface: {HERE}..\n{policy('{}')}", "not an interface name"),
    "an unknown node": (f"node: {HERE}db2\n{policy('{}')}", 'unknown node "db2"'),
    # the mesh
    "a mesh without a range": (mesh(f"{HERE}{{listen_port: 1}}"), "mesh lacks `cidr`"),
    "a mesh of no range": (mesh(f"{{cidr: {HERE}[]}}"), "expected at least one range"),
    "host bits": (mesh(f"{{cidr: {HERE}10.8.0.1/24}}"), '"10.8.0.1/24" has host bits set'),
    "a range without length": (mesh(f"{{cidr: {HERE}10.8.0.0}}"), '"10.8.0.0" is not a CIDR'),
    "a netmask": (mesh(f"{{cidr: {HERE}10.8.0.0/255.255.0.0}}"), "is not a CIDR"),
    "a length out of range": (mesh(f"{{cidr: {HERE}10.8.0.0/33}}"), "is not a CIDR"),
    "overlapping ranges": (
        mesh(f"{{cidr: [10.8.0.0/16, {HERE}10.8.1.0/24]}}"),
        "10.8.1.0/24 overlaps 10.8.0.0/16",
    ),
    "a mesh of everything": (mesh(f"{{cidr: {HERE}0.0.0.0/0}}"), "every address, or half"),
    "a mesh of a half": (mesh(f"{{cidr: {HERE}'8000::/1'}}"), "every address, or half"),
    "a mesh of loopback": (mesh(f"{{cidr: {HERE}127.8.0.0/16}}"), "holds loopback addresses"),
    "a mesh around loopback": (mesh(f"{{cidr: {HERE}126.0.0.0/7}}"), "loopback"),
    "a mesh of multicast": (mesh(f"{{cidr: {HERE}239.0.0.0/24}}"), "holds multicast addresses"),
    "a mesh of link-local": (mesh(f"{{cidr: {HERE}169.254.1.0/24}}"), "link-local"),
    "a mesh of broadcast": (mesh(f"{{cidr: {HERE}255.255.255.0/24}}"), "broadcast"),
    "a mesh of nothing": (mesh(f"{{cidr: {HERE}0.0.0.0/24}}"), "holds unspecified addresses"),
    "a mesh of IPv6's loopback": (mesh(f"{{cidr: {HERE}'::/64'}}"), "unspecified"),
    "a mesh of IPv6's link-local": (mesh(f"{{cidr: {HERE}'fe80::/64'}}"), "link-local"),
    "a mesh of IPv6's multicast": (mesh(f"{{cidr: {HERE}'ff02::/64'}}"), "multicast"),
    "too many ranges": (
        mesh(f"{{cidr: [{', '.join(f'10.{i}.0.0/24' for i in range(64))}, {HERE}10.64.0.0/24]}}"),
        "more than 64 ranges",
    ),
    "a listen port out of range": (
        mesh(f"{{cidr: 10.8.0.0/24, listen_port: {HERE}65536}}"),
        '"65536" is not a port',
    ),
    "a small mtu": (mesh(f"{{cidr: 10.8.0.0/24, mtu: {HERE}575}}"), '"575" is not an MTU'),
    "an mtu too small for IPv6": (
        mesh(f"{{mtu: {HERE}1279, cidr: [10.8.0.0/24, 'fd00::/64']}}"),
        '"1279" is not an MTU',
    ),
    "an mtu too small for the mesh's IPv6": (
        nodes(f"mtu: {HERE}1279", rest="mesh: {cidr: [10.8.0.0/16, 'fd00::/64']}\n"),
        '"1279" is not an MTU',
    ),
    "an mtu too small for a node's own IPv6": (
        nodes(f"address: 'fe80::1', mtu: {HERE}1279", rest="mesh: {cidr: 10.8.0.0/16}\n"),
        '"1279" is not an MTU',
    ),
    "a mesh's mtu too small for a node's IPv6": (
        nodes(f"address: [{HERE}'fe80::1']", rest="mesh: {cidr: 10.8.0.0/16, mtu: 1279}\n"),
        "address: fe80::1 needs an MTU of 1280, the mesh has 1279",
    ),
    "an mtu beyond a datagram": (
        mesh(f"{{cidr: 10.8.0.0/24, mtu: {HERE}65476}}"),
        '"65476" is not an MTU',
    ),
    "a keepalive that is too long": (nodes(f"keepalive: {HERE}65536"), "is not an interval"),
    "a keepalive with a unit": (nodes(f"keepalive: {HERE}25s"), '"25s" is not an interval'),
    "a keepalive that is on": (nodes(f"keepalive: {HERE}on"), '"on" is not an interval'),
    "a node's listen port": (nodes(f"listen_port: {HERE}ssh"), '"ssh" is not a port'),
    "listen port 0": (mesh(f"{{cidr: 10.8.0.0/24, listen_port: {HERE}0}}"), "is not a port"),
    # nodes
    "a node in capitals": (
        several(f"{HERE}DB1: {{public_key: {key(1)}}}"),
        '"DB1" is not a name',
    ),
    "a name that is too long": (nodes(f"tags: [{HERE}{'a' * 64}]"), "is not a name"),
    "a name that starts with a dash": (nodes(f"tags: [{HERE}-a]"), '"-a" is not a name'),
    "a reserved node": (
        several(f"{HERE}self: {{public_key: {key(1)}}}"),
        '"self" is a reserved word',
    ),
    "a reserved tag": (nodes(f"tags: [{HERE}all]"), '"all" is a reserved word'),
    "a tag in a list in a list": (nodes(f"tags: [{HERE}[db]]"), "expected one value, found a list"),
    "tags that are nothing": (nodes(f"tags: {HERE}~"), "expected a value or a list, found nothing"),
    "a node that is a word": (
        several(f"db1: {HERE}db"),
        'node "db1": expected a mapping, found "db"',
    ),
    "a node without a key": (
        several(f"{HERE}db1: {{tags: [a]}}"),
        'node "db1" lacks `public_key`',
    ),
    "an unknown field": (nodes(f"{HERE}adress: 10.8.0.1"), 'unknown key "adress" in node "db1"'),
    "a duplicate node": (
        several(f"db1: {{public_key: {key(1)}}}", f"{HERE}db1: {{}}"),
        'duplicate key "db1"',
    ),
    "a tag named as a node": (nodes(f"tags: [db, {HERE}web1]"), 'tag "web1" is also the name'),
    "a tag named as its own node": (nodes(f"tags: [{HERE}db1]"), 'tag "db1" is also the name'),
    "a route's tag named as a node": (
        nodes(f"routes: [{{cidr: 10.1.0.0/16, tags: [{HERE}hub]}}]"),
        'tag "hub" is also the name',
    ),
    "a duplicate public key": (
        several(f"db1: {{public_key: {key(1)}}}", f"db2: {{public_key: {HERE}{key(1)}}}"),
        "it is already that of db1 in line 2",
    ),
    "a short key": (several(f"a: {{public_key: {HERE}AAAA}}"), "not a public key"),
    "a key of 33 bytes": (
        several(f"a: {{public_key: {HERE}{b64encode(b'x' * 33).decode()}}}"),
        "not a public key",
    ),
    "a key without its padding": (
        several(f"a: {{public_key: {HERE}{key(1)[:-1]}}}"),
        "not a public key",
    ),
    "a key whose last bits are not zero": (
        several(f"a: {{public_key: {HERE}{key(1)[:-2]}F=}}"),
        "not a public key",
    ),
    "a key that is no base64": (
        several(f"a: {{public_key: {HERE}{'ü' * 43}=}}"),
        "not a public key",
    ),
    "a key of zeros": (
        several(f"a: {{public_key: {HERE}{key(0)}}}"),
        "the public key is all zeros",
    ),
    "an address of another node": (
        several(
            f"a: {{public_key: {key(1)}, address: 10.8.0.1}}",
            f"b: {{public_key: {key(2)}, address: [10.8.0.2, {HERE}10.8.0.1]}}",
        ),
        'address: "10.8.0.1" already belongs to a',
    ),
    "an address twice": (
        nodes(f"address: ['fd00::1', {HERE}'fd00:0::1']"),
        '"fd00:0::1" already belongs to db1',
    ),
    "a route of another node": (
        several(
            f"a: {{public_key: {key(1)}, routes: 10.9.0.0/16}}",
            f"b: {{public_key: {key(2)}, routes: [{{cidr: {HERE}10.9.0.0/16, tags: lan}}]}}",
        ),
        'routes: "10.9.0.0/16" already belongs to a',
    ),
    "a route that is another's address": (
        several(
            f"a: {{public_key: {key(1)}, address: 10.8.0.1}}",
            f"b: {{public_key: {key(2)}, routes: {HERE}10.8.0.1/32}}",
        ),
        'routes: "10.8.0.1/32" already belongs to a',
    ),
    "an address outside the mesh": (
        nodes(f"address: {HERE}10.9.0.1", rest="mesh: {cidr: 10.8.0.0/24}\n"),
        "10.9.0.1 is outside the mesh",
    ),
    "an address of a family that the mesh lacks": (
        nodes(f"address: {HERE}fd00::1", rest="mesh: {cidr: 10.8.0.0/24}\n"),
        "fd00::1 is outside the mesh",
    ),
    "a link-local address of a route": (
        nodes(f"address: fe80::1, routes: {HERE}'fe80::1/128'"),
        "already belongs to",
    ),
    "an address with a length": (nodes(f"address: {HERE}10.8.0.1/24"), "is not one address"),
    "an address with a zone": (nodes(f"address: {HERE}'fe80::1%eth0'"), "has a zone"),
    "no address": (nodes(f"address: {HERE}10.8.0.256"), '"10.8.0.256" is not an IP address'),
    "a number as an address": (nodes(f"address: {HERE}1234"), '"1234" is not an IP address'),
    "a multicast address": (nodes(f"address: {HERE}224.0.0.1"), "cannot be the address"),
    "a mapping as an address": (nodes(f"address: {HERE}{{a: b}}"), "found a mapping"),
    "a route with host bits": (nodes(f"routes: {HERE}10.1.2.3/16"), "has host bits set"),
    "a route of link-local": (nodes(f"routes: {HERE}169.254.0.0/16"), "is link-local: nothing"),
    "a route in link-local": (nodes(f"routes: {HERE}'fe80:0:0:1::/64'"), "is link-local: nothing"),
    "a route of multicast": (nodes(f"routes: {HERE}224.0.0.0/4"), "is multicast: nothing"),
    "a route of one group": (nodes(f"routes: {HERE}'ff02::5/128'"), "is multicast: nothing"),
    "a route of a reserved address": (nodes(f"routes: {HERE}240.0.0.1/32"), "is reserved: nothing"),
    "a route of all that is dropped": (nodes(f"routes: {HERE}224.0.0.0/3"), "is reserved: nothing"),
    "a reserved address": (nodes(f"address: {HERE}240.0.0.1"), "cannot be the address"),
    "a mesh of reserved addresses": (mesh(f"{{cidr: {HERE}250.0.0.0/24}}"), "holds reserved"),
    "a route without its range": (nodes(f"routes: [{HERE}{{tags: lan}}]"), "a route lacks `cidr`"),
    "an endpoint without a port": (nodes(f"endpoint: {HERE}db.example"), "has no port"),
    "an endpoint with port 0": (nodes(f"endpoint: {HERE}'db.example:0'"), "has no port"),
    "an endpoint with a far port": (nodes(f"endpoint: {HERE}'db.example:65536'"), "has no port"),
    "a bare IPv6 endpoint": (nodes(f"endpoint: {HERE}'fd00::1:51820'"), "stand in brackets"),
    "a bracketed IPv4 endpoint": (nodes(f"endpoint: {HERE}'[192.0.2.1]:51820'"), "brackets"),
    "an endpoint that is no address": (nodes(f"endpoint: {HERE}'192.0.2.300:1'"), "neither"),
    "an endpoint with a space": (nodes(f"endpoint: {HERE}'db example:1'"), "neither an address"),
    "an endpoint with a zone": (nodes(f"endpoint: {HERE}'[fe80::1%eth0]:1'"), "has a zone"),
    "an endpoint with a number for one": (nodes(f"endpoint: {HERE}'[fe80::1%3]:1'"), "has a zone"),
    "an empty endpoint": (nodes(f"endpoint: {HERE}''"), "has no port"),
    "a relative key file": (nodes(f"preshared_key_file: {HERE}psk"), "not an absolute path"),
    "a folder as a key file": (nodes(f"preshared_key_file: {HERE}/psk/"), "not the path of a file"),
    "an unknown placeholder": (
        nodes(f"preshared_key_file: {HERE}'/psk/{{peer}}'"),
        "this has braces",
    ),
    "a key for its file": (nodes(f"preshared_key_file: {HERE}{key(1)}"), "looks like a key"),
    "a key for its file, with a slash": (
        nodes(f"preshared_key_file: {HERE}/{key(1)[1:]}"),
        "looks like a key",
    ),
    "an odd character in a key file": (
        nodes(f'preshared_key_file: {HERE}"/psk\\0"'),
        "not the path of a file",
    ),
    "a flag in words": (nodes(f"transit: {HERE}yes"), 'expected true or false, found "yes"'),
    "a flag in quotes": (nodes(f"transit: {HERE}'true'"), "expected true or false"),
    "via nobody": (nodes(f"via: {HERE}huub"), 'unknown node "huub"'),
    "via no hub": (nodes(f"via: {HERE}web1"), "web1 is no hub"),
    "via itself": (nodes(f"transit: true, via: {HERE}db1"), "db1 cannot be reached through itself"),
    "a chain of vias": (
        several(
            f"hub: {{public_key: {key(1)}, transit: true}}",
            "mid: {transit: true, via: hub}",
            f"far: {{via: {HERE}mid}}",
        ),
        "mid has a via of its own",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_at_its_line_and_column(text: str, message: str) -> None:
    assert_refused_there(text, message)


SUGGESTIONS = {
    "a tag": (rule("from: prd, to: db"), 'did you mean "prod"?'),
    "a node": (f"node: web2\n{policy('{}')}", 'did you mean "web1"?'),
    "a key": (nodes("adress: 10.8.0.1"), 'did you mean "address"?'),
    "a protocol": (ports("TCP/22"), 'did you mean "tcp"?'),
    "a group": (
        policy("{groups: {web: tcp}, rules: [{from: web, to: db, ports: '@wbe'}]}"),
        'did you mean "@web"?',
    ),
    "a group of a group": (
        policy("{groups: {web: '@dns'}}"),
        "a group names no groups: write its ports out",
    ),
    "a group with its sign": (
        policy("{groups: {'@web': tcp}}"),
        "the @ stands only where a group is used: write `web`",
    ),
    "a group without quotes": (ports("[@web]"), "put the text in quotes"),
    "a bare port": (ports("22"), "write `tcp/22`"),
    "host bits": (mesh("{cidr: 10.8.0.1/24}"), "write `10.8.0.0/24`"),
    "a star without quotes": (rule("from: *, to: db"), 'write "*" in quotes'),
    "a bare IPv6 endpoint": (nodes("endpoint: 'fd00::1:51820'"), "write `[fd00::1]:51820`"),
}


@pytest.mark.parametrize(("text", "hint"), SUGGESTIONS.values(), ids=SUGGESTIONS.keys())
def test_a_hint_says_how_to_mend_it(text: str, hint: str) -> None:
    assert [problem.hint for problem in problems(text)] == [hint]


def test_an_alias_is_refused_as_well_as_its_anchor() -> None:
    text = f"node: &n db1\n{nodes('tags: [db], via: *n')}"
    assert [problem.message for problem in problems(text)] == ["an anchor, &n", "an alias, *n"]


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    layers = (f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9))
    found = problems("l0: &l0 [x]\n" + "\n".join(layers))
    assert len(found) == MAX_PROBLEMS
    assert found[0].message == "an anchor, &l0"


def test_every_problem_is_reported_at_once_in_order_of_line() -> None:
    text = policy(
        "\n  rules:\n    - {from: prd, to: db, ports: tcp/0-99999}\n    - {to: [], action: no}"
    )
    found = problems(f"version: 3\n{text}")
    assert [(problem.line, problem.column) for problem in found] == [
        (1, 10),
        (7, 14),
        (7, 34),
        (8, 7),
        (8, 12),
        (8, 24),
    ]


KEY = b64encode(bytes(range(200, 232))).decode()

MISPLACED = {
    "a preshared key": nodes(f"preshared_key_file: {KEY}"),
    "with a slash": nodes(f"preshared_key_file: /{KEY[1:]}"),
    "a part of one": nodes(f"preshared_key_file: {KEY[:40]}"),
    "one as wg-quick writes it": nodes(f"preshared_key_file: PresharedKey = {KEY}"),
    "a setting with it": nodes(f"private_key: {KEY}"),
    "as a setting": nodes(f'"{KEY}": 1'),
    "twice": nodes(f'"{KEY}": 1, "{KEY}": 2'),
    "two as a public key": several(f"a: {{public_key: '{KEY}{KEY}'}}"),
    "as an endpoint": nodes(f"endpoint: {KEY}"),
    "as an endpoint with a port": nodes(f"endpoint: '{KEY}:51820'"),
    "as an address": nodes(f"address: '{KEY}'"),
    "as a route": nodes(f"routes: '{KEY}'"),
    "as a tag": nodes(f"tags: '{KEY}'"),
    "as a hub": nodes(f"via: '{KEY}'"),
    "as a node": several(f"{KEY}: {{public_key: {key(1)}}}"),
    "as a flag": nodes(f"transit: {KEY}"),
    "in a list of flags": nodes(f"listen_port: {KEY}, mtu: {KEY}, keepalive: {KEY}"),
    "in a rule": rule(f"from: '{KEY}', to: db"),
    "as ports": rule(f"from: web, to: db, ports: ['{KEY}']"),
}


@pytest.mark.parametrize("text", MISPLACED.values(), ids=MISPLACED.keys())
def test_a_key_in_the_wrong_place_is_never_quoted(text: str) -> None:
    """It may be a secret one, and what is wrong with a document goes to logs."""
    assert KEY[4:24] in text
    for problem in problems(text):
        assert KEY[4:24] not in problem.render("krait.yaml")


def test_as_many_ranges_as_may_be_are_read() -> None:
    ranges = ", ".join(f"10.{number}.0.0/24" for number in range(MAX_RANGES))
    read = load(mesh(f"{{cidr: [{ranges}]}}").encode(), "krait.yaml").mesh
    assert read is not None
    assert len(read.cidrs) == MAX_RANGES


def test_problems_are_in_order_of_line_whatever_the_order_of_sections() -> None:
    text = "policy: {default: x}\nnodes: {a: {public_key: y}}\nversion: 2\n"
    assert [problem.line for problem in problems(text)] == [1, 2, 3]


def test_what_follows_from_an_unreadable_mesh_is_not_reported() -> None:
    text = nodes("address: 10.8.0.1", rest="mesh: {cidr: 10.8.0.1/24}\n")
    assert len(problems(text)) == 1


def test_an_error_shows_file_line_column_and_hint_and_is_bad_usage() -> None:
    with pytest.raises(DocumentError) as caught:
        load(rule("from: prd, to: db").encode(), "krait.yaml")
    assert caught.value.message == (
        'krait.yaml:4:46: from: unknown tag or node "prd"; did you mean "prod"?'
    )
    assert caught.value.exit_code is ExitCode.USAGE


def test_control_sequences_of_a_document_never_reach_the_terminal() -> None:
    with pytest.raises(DocumentError) as caught:
        load(rule('from: "\\e[31mred", to: db').encode(), "krait.yaml")
    assert "\x1b" not in caught.value.message
    assert '"\\x1b[31mred"' in caught.value.message


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8_are_refused_where_they_stand(mark: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        load(mark + "nodes:\n  ü: ".encode() + b"\xff", "krait.yaml")
    (problem,) = caught.value.problems
    assert problem == Problem(2, 6, "not UTF-8: byte 0xff", "save the file as UTF-8")


def test_a_document_larger_than_the_bound_is_refused_unread() -> None:
    with pytest.raises(DocumentError, match="larger than 16 MiB"):
        load(b"#" * (MAX_BYTES + 1), "krait.yaml")


def test_a_document_that_starts_with_a_byte_order_mark_is_read() -> None:
    assert load(b"\xef\xbb\xbf" + policy("{}").encode(), "krait.yaml").nodes[0].name == "db1"
