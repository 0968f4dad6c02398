# SPDX-License-Identifier: Apache-2.0
"""Documents as people write them: keys in any order, comments and blank lines all over."""

import json
import re
from typing import Any

import yaml
from hypothesis import strategies as st

from krait.policy.example import EXAMPLE
from tests.strategies.meshes import meshes
from tests.strategies.text import document_as_yaml
from tests.strategies.worlds import worlds

_GROUPS = {"web": ["tcp/80", "tcp/443", "udp/443"], "dns": "udp/53"}
_PIECE = re.compile(r'"[^"]*"|[][{},:]|[^][{},:"\s]+')
_WIDE = 1 << 20


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Any document, in any style, with some comments, each of which is another."""
    document = draw(worlds().map(lambda world: world.document) | meshes())
    tree = draw(_shuffled(json.loads(document_as_yaml(document))))
    if draw(st.booleans()):
        tree["policy"]["groups"] = _GROUPS
    style = draw(st.sampled_from(("flow", "block", "mixed", "mixed")))
    if style == "flow":
        return draw(_in_braces(json.dumps(tree)))
    text = yaml.safe_dump(
        tree,
        default_flow_style=None if style == "mixed" else False,
        sort_keys=False,
        width=_WIDE,
        indent=draw(st.sampled_from((2, 4))),
    )
    return draw(in_lines(text))


@st.composite
def examples(draw: st.DrawFn) -> str:
    """What `krait example` prints, with more comments."""
    return draw(in_lines(EXAMPLE))


@st.composite
def in_lines(draw: st.DrawFn, text: str) -> str:
    """A text of single lines with comments and blank ones between, and comments behind some."""
    numbers = iter(range(1000))
    lines: list[str] = []
    for line in text.splitlines():
        for kind in draw(st.lists(st.sampled_from(("", "#")), max_size=2) if draw(_few) else _none):
            margin = " " * draw(st.integers(0, 9))
            lines.append(f"{margin}# {next(numbers)}" if kind else margin)
        behind = "#" not in line and draw(_few)
        spaces = " " * draw(st.integers(1, 5)) if behind else ""
        lines.append(f"{line}{spaces}# {next(numbers)}" if behind else line)
    if draw(st.booleans()):
        lines += ["", f"{' ' * draw(st.integers(0, 4))}# {next(numbers)}"]
    return "\n".join(lines) + draw(st.sampled_from(("", "\n", "\n\n")))


@st.composite
def _in_braces(draw: st.DrawFn, text: str) -> str:
    numbers = iter(range(1000))
    pieces = []
    found = _PIECE.findall(text)
    for piece, following in zip(found, [*found[1:], ""], strict=True):
        pieces.append(piece)
        if following != ":" and draw(_rarely):
            apart = draw(st.sampled_from((" ", "\n", "\n\n  ")))
            pieces.append(f"{apart}# {next(numbers)}\n")
        else:
            pieces.append(" " if piece in ":," else "")
    return "".join(pieces) + "\n"


_few = st.sampled_from((False, False, False, True))
_rarely = st.integers(0, 15).map(lambda number: number == 0)
_none: st.SearchStrategy[list[str]] = st.just([])


@st.composite
def _shuffled(draw: st.DrawFn, tree: Any) -> Any:  # noqa: ANN401 - JSON
    """The same with the keys of each mapping in some order, those of nodes in theirs."""
    if isinstance(tree, list):
        return [draw(_shuffled(each)) for each in tree]
    if not isinstance(tree, dict):
        return tree
    keys = list(tree) if "alpha" in tree or "n1" in tree else draw(st.permutations(list(tree)))
    return {key: draw(_shuffled(tree[key])) for key in keys}
