# SPDX-License-Identifier: Apache-2.0
"""An edited document that is read in part is the one that is read as a whole."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krait.policy.document import load
from krait.policy.model import TCP, UDP, Document, PortSpan
from krait.policy.problems import DocumentError
from krait.policy.reread import reread
from tests.documents import key
from tests.strategies.text import document_as_yaml
from tests.strategies.worlds import World, worlds

DOCUMENT = f"""# the mesh
mesh:
  cidr: [10.8.0.0/16]
nodes:
  hub:
    public_key: "{key(1)}"
    tags: [core]
    address: 10.8.0.1
    transit: true
  db1: {{public_key: "{key(2)}", tags: [db], address: 10.8.0.2}}
  # a comment between
  web1: {{public_key: "{key(3)}", tags: [web],
         address: 10.8.0.3}}
  web2:
    public_key: "{key(4)}"
    tags: [web, prod]
    routes:
      - 10.20.0.0/16
      - {{cidr: 10.30.0.0/16, tags: [lan]}}
  web3: {{public_key: "{key(5)}", tags: [web]}}
  leaf: {{tags: [far], via: hub, address: 10.8.0.9}}
  last: {{public_key: "{key(6)}", tags: [db]}}
policy:
  groups:
    sql: [tcp/5432]
  rules:
    - {{name: one, from: web, to: db, ports: ["@sql"]}}
    - {{name: two, from: [far, core], to: lan}}
  tests:
    - {{from: web1, to: db1, port: tcp/5432, expect: allow}}
"""

PIECES = (
    "",
    "#",
    "---",
    "nodes:",
    "  nodes:",
    "policy: {}",
    "  new: {public_key: " + key(7) + ", tags: [web]}",
    "  web3: {public_key: " + key(8) + "}",
    "  other: {public_key: " + key(3) + "}",
    "  web: {public_key: " + key(9) + "}",
    "  far2: {via: hub, address: 10.8.0.77}",
    "    tags: [prod, web1]",
    "    tags: |+",
    "    endpoint: >-",
    '    endpoint: "192.0.2.1',
    "    endpoint: 'a",
    "      10.8.0.2",
    "    address: [10.8.0.3,",
    "  ? web9",
    "  : {public_key: " + key(9) + "}",
    "  &a web8: *a",
    "    address: 10.8.0.2",
    "    routes: [10.20.0.0/16]",
    "    transit: false",
    "  }",
    "nodes: {",
    "mesh: {cidr: 10.8.0.0/15}",
    "    sql: udp",
    "    other: '@sql'",
    "  groups: {sql: tcp/1}",
    "\tx",
    "a\u2028b",
)


def loaded(text: bytes) -> Document | None:
    try:
        return load(text, "krait.yaml")
    except DocumentError:
        return None


def agree(old: bytes, new: bytes) -> Document | None:
    """What is read in part, once it was held against what is read as a whole."""
    known = load(old, "krait.yaml")
    found = reread(known, old, new)
    assert found is None or found == loaded(new)
    return found


def edited(*changes: tuple[str, str]) -> bytes:
    text = DOCUMENT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text.encode()


READ_IN_PART: dict[str, bytes] = {
    "nothing": edited(),
    "tags": edited(("tags: [web]}\n  leaf", "tags: [web, prod]}\n  leaf")),
    "tags of the first": edited(("tags: [core]", "tags: [core, prod]")),
    "tags of the last": edited(('", tags: [db]}\npolicy', '", tags: [db, prod]}\npolicy')),
    "a new node in the middle": edited(("  web3:", f'  new: {{public_key: "{key(7)}"}}\n  web3:')),
    "a new node at the end": edited(("policy:", f'  new: {{public_key: "{key(7)}"}}\npolicy:')),
    "a node that left": edited((f'  web3: {{public_key: "{key(5)}", tags: [web]}}\n', "")),
    "a rule": edited(('"@sql"]', '"@sql", icmp]')),
    "a group": edited(("[tcp/5432]", "[tcp/5433, udp]")),
    "a group that is new": edited(
        ("    sql:", "    ping: icmp\n    sql:"), ('"@sql"]', '"@ping"]')
    ),
    "a spoke of a hub that stays": edited(("tags: [far]", "tags: [far, prod]")),
    "a comment more": edited(("# the mesh", "# the mesh\n# of all")),
}


@pytest.mark.parametrize("new", READ_IN_PART.values(), ids=READ_IN_PART)
def test_an_edit_is_read_in_part(new: bytes) -> None:
    assert agree(DOCUMENT.encode(), new) is not None


def test_a_group_that_changed_changes_what_names_it() -> None:
    new = agree(DOCUMENT.encode(), READ_IN_PART["a group"])
    assert new is not None
    assert new.policy.rules[0].ports == (PortSpan(TCP, 5433, 5433), PortSpan(UDP, 0, 0xFFFF))


REFUSED: dict[str, bytes] = {
    "a key of a node that was kept": edited((key(5), key(2))),
    "an address of a node that was kept": edited(
        (" leaf:", " x: {via: hub, address: 10.8.0.2}\n  leaf:")
    ),
    "a route of a node that was kept": edited(
        ("tags: [web]}\n  leaf", "tags: [web], routes: [10.20.0.0/16]}\n  leaf")
    ),
    "a name of a node that was kept": edited(
        ("  leaf:", f'  db1: {{public_key: "{key(7)}"}}\n  leaf:')
    ),
    "a name that is a tag of one that was kept": edited(("web3:", "prod:")),
    "a tag that is the name of one that was kept": edited(
        ("tags: [web]}\n  leaf", "tags: [db1]}\n  leaf")
    ),
    "a hub that is none any more": edited(("    transit: true\n", "")),
    "a tag that a rule names": edited(("tags: [core]", "tags: []")),
    "a group that a rule names": edited(("    sql:", "    sq:")),
    "a group that is wrong": edited(("[tcp/5432]", "[tcp/54321, tcp/543210]")),
    "a second document": edited(("  web3:", "---\n  web3:")),
    "a smaller mesh": edited(("10.8.0.0/16", "10.8.0.0/31")),
}


@pytest.mark.parametrize("new", REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_left_to_the_whole(new: bytes) -> None:
    assert loaded(new) is None
    assert agree(DOCUMENT.encode(), new) is None


def small(nodes: str) -> bytes:
    return f"nodes:{nodes}policy: {{}}\n".encode()


def test_an_open_quote_does_not_spare_what_it_swallows() -> None:
    old = small(
        f"""
  a: {{public_key: {key(1)}, transit: true}}
  b: {{public_key: {key(2)}}}
  c:
    via: a
  last:
    via: a # "}}
"""
    )
    edited = f'{key(2)}, preshared_key_file: "/x'
    new = old.replace(f"{key(2)}}}".encode(), edited.encode())
    whole = loaded(new)
    assert whole
    assert [node.name for node in whole.nodes] == ["a", "b"]
    assert agree(old, new) is None


@pytest.mark.parametrize("brace", [" {", "\n  {"])
def test_nodes_in_braces_are_read_as_a_whole(brace: str) -> None:
    old = small(
        f"""{brace}
  a: {{public_key: "{key(1)}"}},
  b: {{public_key: "{key(2)}"}},
  c: {{public_key: "{key(3)}"}},
  d: {{public_key: "{key(4)}"}}
  }}
"""
    )
    new = old.replace(key(3).encode(), key(5).encode())
    assert loaded(new)
    assert agree(old, new) is None


def test_what_ends_a_line_for_yaml_alone_is_not_read() -> None:
    for sign in ("\r", "\x85", "\u2028"):
        new = DOCUMENT.replace("the mesh", f"the{sign}# mesh").encode()
        assert loaded(new) is None
        assert agree(DOCUMENT.encode(), new) is None


def test_lines_of_dos_are_read_in_part_too() -> None:
    old = DOCUMENT.replace("\n", "\r\n").encode()
    assert agree(old, old.replace(b"web3", b"web4"))


@st.composite
def edits(draw: st.DrawFn) -> Callable[[str], bytes]:
    """Some lines of a text taken away, moved, doubled or made up."""
    kind = draw(st.sampled_from(("cut", "double", "move", "insert", "replace", "indent", "swap")))
    first, other, length = draw(st.tuples(*[st.integers(0, 60)] * 2, st.integers(1, 4)))
    made_up = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3))

    def edit(text: str) -> bytes:
        lines = text.split("\n")
        at, to = first % len(lines), other % len(lines)
        some = lines[at : at + length]
        if kind == "cut":
            del lines[at : at + length]
        elif kind == "double":
            lines[to:to] = some
        elif kind == "move":
            del lines[at : at + length]
            lines[to:to] = some
        elif kind == "insert":
            lines[at:at] = made_up
        elif kind == "replace":
            lines[at : at + length] = made_up
        elif kind == "indent":
            lines[at : at + length] = [f"  {each}" if other % 2 else each[2:] for each in some]
        else:
            lines[at], lines[to] = lines[to], lines[at]
        return "\n".join(lines).encode()

    return edit


@settings(max_examples=200, deadline=None)
@given(edits())
def test_any_edit_of_lines_is_read_as_the_whole_would_be(edit: Callable[[str], bytes]) -> None:
    agree(DOCUMENT.encode(), edit(DOCUMENT))


@settings(max_examples=50, deadline=None)
@given(worlds(), edits())
def test_so_it_is_for_any_document(world: World, edit: Callable[[str], bytes]) -> None:
    old = document_as_yaml(world.document)
    agree(old, edit(old.decode()))
