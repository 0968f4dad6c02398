# SPDX-License-Identifier: Apache-2.0
"""The section `multicast`: groups that rules may name as destinations."""

from ipaddress import ip_network

from krait.common.errors import UsageError
from krait.policy import values
from krait.policy.model import Labels, Mark, MulticastGroup, Network, is_within
from krait.policy.problems import quoted
from krait.policy.reader import Reader
from krait.policy.reserved import MULTICAST, RESERVED
from krait.policy.selectors import Names
from krait.policy.yaml_source import Mapping, Scalar, Tree

GROUP_KEYS = frozenset({"address", "tags"})


def read_multicast(
    tree: Tree | None, names: Names, reader: Reader
) -> tuple[tuple[MulticastGroup, ...], Names]:
    """The groups in the order of the file, and `names` with theirs.

    `names` are those of the nodes and of all that is behind them: no group is called like one.
    """
    if tree is None:
        return (), names
    if not isinstance(tree, Mapping):
        reader.problems.add(
            tree,
            "multicast: expected a mapping of names to groups",
            'as in {ospf: {address: [224.0.0.5, "ff02::5"]}}',
        )
        return (), names
    section = _Section(reader)
    read = [section.group(key, tree.values[name]) for name, key in tree.keys.items()]
    called = frozenset(tree.keys)
    tags = names.tags.union(section.tags)
    for name in called & (names.nodes | tags):
        what = "a node" if name in names.nodes else "a tag"
        reader.problems.add(
            tree.keys[name], f"group {quoted(name)}: {what} is called so, too", "rename one"
        )
    for tag in section.tags.keys() & names.nodes:
        reader.problems.add(
            section.tags[tag], f"tag {quoted(tag)} is also the name of a node", "rename one"
        )
    return tuple(group for group in read if group), Names(names.nodes, tags, called)


class _Section:
    """What the groups of one document must not share, and where each was first seen."""

    def __init__(self, reader: Reader) -> None:
        self.tags: dict[str, Scalar] = {}
        self._reader = reader
        self._owners: dict[Network, tuple[Scalar, Scalar]] = {}

    def group(self, key: Scalar, tree: Tree) -> MulticastGroup | None:
        self._reader.value(key, "group", values.name)
        what = f"group {quoted(key.text)}"
        fields = self._reader.mapping(tree, what, GROUP_KEYS, ("address",))
        if fields is None:
            return None
        cidrs = self._reader.values(fields.get("address"), "address", _addresses)
        if not cidrs and not self._reader.one_or_more(fields.get("address"), "address"):
            self._reader.problems.add(tree, f"{what}: expected at least one address")
        for at, cidr in cidrs:
            self._own(key, at, cidr)
        return MulticastGroup(
            key.text,
            tuple(cidr for _, cidr in cidrs),
            self._tags(fields.get("tags")),
            Mark(key.line, key.column),
        )

    def _tags(self, tree: Tree | None) -> Labels:
        tags = self._reader.values(tree, "tags", values.name)
        for at, tag in tags:
            self.tags.setdefault(tag, at)
        return frozenset(tag for _, tag in tags)

    def _own(self, group: Scalar, at: Scalar, cidr: Network) -> None:
        owner, first = self._owners.setdefault(cidr, (group, at))
        if first is not at:
            self._reader.problems.add(
                at,
                f"address: {quoted(at.text)} already belongs to {owner.text}",
                f"it is listed in line {first.line}",
            )


def _addresses(text: str) -> Network:
    """One multicast address, or a range of them."""
    cidr = values.network(text) if "/" in text else ip_network(values.ip(text))
    if not any(is_within(cidr, each) for each in MULTICAST):
        ranges = " nor ".join(map(str, MULTICAST))
        raise UsageError(
            f"{quoted(text)} is not multicast: it is in neither {ranges}",
            hint="what belongs to a node is its `address`, what is behind it in its `routes`",
        )
    if any(is_within(cidr, each) for each in RESERVED):
        raise UsageError(f"{quoted(text)} is reserved: nothing passes to it", hint="leave it out")
    return cidr
