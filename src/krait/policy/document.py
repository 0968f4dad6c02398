# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a policy document to its model, or to everything that is wrong with it.

Nothing here touches a file: who reads one passes its bytes and its name.
"""

from collections.abc import Sequence

from krait.common import collector
from krait.common.errors import UsageError
from krait.policy import values
from krait.policy.model import Document, Node
from krait.policy.multicast import read_multicast
from krait.policy.nodes import read_mesh, read_nodes
from krait.policy.problems import Problems, quoted
from krait.policy.reader import Reader
from krait.policy.rules import read_policy
from krait.policy.yaml_source import Tree, read

VERSION = "1"

DOCUMENT_KEYS = frozenset({"version", "interface", "node", "mesh", "nodes", "multicast", "policy"})


def load(data: bytes, source: str) -> Document:
    """Read and check a whole document; `source` is its name in messages.

    Raises DocumentError with every problem found, in order of line. The document's own tests are
    not run: `policy.expectations` does.
    """
    problems = Problems(source)
    with collector.paused():
        document = assemble(read(data, problems), source, Reader(problems))
    return problems.settle(document)


def assemble(tree: Tree, source: str, reader: Reader, kept: Sequence[Node] = ()) -> Document | None:
    """The model of a whole tree; None, or not all of it, if the reader noted problems.

    Nodes that are `kept` are not in the tree: see `policy.reread`.
    """
    fields = reader.mapping(tree, "the document", DOCUMENT_KEYS, ("nodes", "policy"))
    if fields is None or "nodes" not in fields:
        return None
    reader.value(fields.get("version"), "version", _version)
    interface = reader.value(fields.get("interface"), "interface", values.interface)
    mesh = read_mesh(fields["mesh"], reader) if "mesh" in fields else None
    nodes, names = read_nodes(fields["nodes"], mesh, reader, kept)
    node = reader.value(fields.get("node"), "node", names.node)
    multicast, names = read_multicast(fields.get("multicast"), names, reader)
    policy = read_policy(fields["policy"], reader, names) if "policy" in fields else None
    if policy is None:
        return None
    return Document(source, interface, node, mesh, nodes, policy, multicast)


def _version(text: str) -> str:
    if text != VERSION:
        raise UsageError(f"unknown version {quoted(text)}", hint=f"this Krait reads {VERSION}")
    return text
