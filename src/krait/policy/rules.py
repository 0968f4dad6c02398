# SPDX-License-Identifier: Apache-2.0
"""The section `policy`: rules, and the tests that a document makes of itself."""

from types import MappingProxyType

from krait.policy import values
from krait.policy.groups import Groups, read_groups
from krait.policy.limits import read_limits
from krait.policy.model import Action, Mark, Policy, PolicyTest, PortSpan, Rule
from krait.policy.problems import quoted
from krait.policy.reader import Reader
from krait.policy.selectors import Names, Selectors
from krait.policy.yaml_source import Scalar, Sequence, Tree

POLICY_KEYS = frozenset(
    {"default", "strict", "guard", "reject_ingress", "limits", "groups", "rules", "tests"}
)
RULE_KEYS = frozenset({"name", "from", "to", "ports", "action", "audit", "until"})
TEST_KEYS = frozenset({"from", "to", "port", "expect"})
SIDES = MappingProxyType({"src": "from", "source": "from", "dst": "to", "destination": "to"})
"""What other tools call the two sides of a rule."""

DEFAULTS = (Action.DENY, Action.REJECT, Action.ALLOW)
ACTIONS = (Action.ALLOW, Action.DENY, Action.REJECT)
EXPECTED = (Action.ALLOW, Action.DENY)
"""The words of `default`, `action` and `expect`; the first is meant where the key is missing."""

DEFAULT_RULE = "default"
"""What explanations and counters call the policy's default; no rule may take the name."""


def read_policy(tree: Tree, reader: Reader, names: Names) -> Policy | None:
    """Rules get the numbers 1, 2, … in the order of the file."""
    fields = reader.mapping(tree, "policy", POLICY_KEYS)
    if fields is None:
        return None
    groups = read_groups(fields.get("groups"), reader)
    section = _Section(reader, names, groups)
    rules, tests = fields.get("rules"), fields.get("tests")
    default = fields.get("default")
    return Policy(
        default=reader.choice(default, "default", DEFAULTS),
        reject_ingress=reader.flag(fields.get("reject_ingress"), "reject_ingress"),
        strict=reader.flag(fields.get("strict"), "strict"),
        rules=section.rules(reader.items(rules, "rules")) if rules else (),
        tests=section.tests(reader.items(tests, "tests")) if tests else (),
        limits=read_limits(fields.get("limits"), reader),
        groups=groups.found(),
        guard=reader.flag(fields.get("guard"), "guard"),
        default_mark=Mark(default.line, default.column) if default else None,
    )


class _Section:
    """What the rules and tests of one policy share while they are read."""

    def __init__(self, reader: Reader, names: Names, groups: Groups) -> None:
        self._reader = reader
        self._groups = groups
        self._selectors = Selectors(reader, names)
        self._ports: dict[tuple[str, ...], tuple[PortSpan, ...]] = {}
        self._named: dict[str, Scalar] = {}
        self._unnamed: dict[str, Tree] = {}

    def rules(self, trees: list[Tree]) -> tuple[Rule, ...]:
        read = [self._rule(number, tree) for number, tree in enumerate(trees, start=1)]
        for name, tree in self._unnamed.items():
            if written := self._named.get(name):
                self._reader.problems.add(
                    written,
                    f"{quoted(name)} is what the unnamed rule in line {tree.line} is called",
                    "choose another name, or name that rule",
                )
        return tuple(rule for rule in read if rule)

    def tests(self, trees: list[Tree]) -> tuple[PolicyTest, ...]:
        return tuple(test for tree in trees if (test := self._test(tree)))

    def _rule(self, number: int, tree: Tree) -> Rule | None:
        fields = self._reader.mapping(tree, "a rule", RULE_KEYS, ("from", "to"), slips=SIDES)
        if fields is None:
            return None
        name = self._name(fields.get("name"), number, tree)
        sources = self._selectors.read(fields.get("from"), "from")
        destinations = self._selectors.read(fields.get("to"), "to")
        spans = self._spans(fields.get("ports"))
        action = self._reader.choice(fields.get("action"), "action", ACTIONS)
        audit = self._reader.flag(fields.get("audit"), "audit")
        until = self._reader.value(fields.get("until"), "until", values.moment)
        if sources is None or destinations is None:
            return None
        return Rule(
            number,
            name,
            sources,
            destinations,
            spans,
            action=action,
            audit=audit,
            mark=Mark(tree.line, tree.column),
            until=until,
        )

    def _test(self, tree: Tree) -> PolicyTest | None:
        required = ("from", "to", "expect")
        fields = self._reader.mapping(tree, "a test", TEST_KEYS, required, slips=SIDES)
        if fields is None:
            return None
        sources = self._selectors.read(fields.get("from"), "from")
        destinations = self._selectors.read(fields.get("to"), "to")
        port = fields.get("port")
        if isinstance(port, Sequence):
            self._reader.problems.add(
                port,
                "port: expected one value, found a list",
                "write one test for each, or a group of ports",
            )
        spans = self._reader.value(port, "port", self._groups.parse) or ()
        expect = self._reader.choice(fields.get("expect"), "expect", EXPECTED)
        if sources is None or destinations is None:
            return None
        text = port.text if isinstance(port, Scalar) else ""
        mark = Mark(tree.line, tree.column)
        return PolicyTest(sources, destinations, spans, text, expect.allows, mark)

    def _name(self, tree: Tree | None, number: int, rule: Tree) -> str:
        """The written name, or `rule-N` where there is none."""
        if tree is None:
            name = f"rule-{number}"
            self._unnamed[name] = rule
            return name
        name = self._reader.value(tree, "name", values.name) or ""
        if name == DEFAULT_RULE:
            self._reader.problems.add(
                tree, f"{quoted(name)} means the policy's default", "choose another name"
            )
        elif name in self._named:
            self._reader.problems.add(
                tree,
                f"duplicate rule name {quoted(name)}",
                f"it is already in line {self._named[name].line}",
            )
        elif name and isinstance(tree, Scalar):
            self._named[name] = tree
        return name

    def _spans(self, tree: Tree | None) -> tuple[PortSpan, ...]:
        """The spans of `ports`; lists that repeat are read once and shared."""
        if tree is None:
            return ()
        items = tree.items if isinstance(tree, Sequence) else [tree]
        words = tuple(item.text for item in items if isinstance(item, Scalar))
        simple = len(words) == len(items)
        if simple and (known := self._ports.get(words)):
            return known
        if not items:
            self._reader.problems.add(
                tree, "ports: expected at least one", "leave `ports` out for every protocol"
            )
        read = [self._reader.value(item, "ports", self._groups.parse) for item in items]
        spans = tuple(dict.fromkeys(span for each in read if each for span in each))
        if simple and all(read):
            self._ports[words] = spans
        return spans
