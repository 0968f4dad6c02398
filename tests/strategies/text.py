# SPDX-License-Identifier: Apache-2.0
"""Scenarios as JSON that a person can read and keep; a document in it is one that `load` takes."""

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from ipaddress import ip_interface, ip_network
from typing import Any

from krait.policy.document import load
from krait.policy.limits import UNLIMITED
from krait.policy.model import Document, Labels, Node, Policy, Route, Rule, Selector
from krait.policy.ports import describe
from krait.policy.view import Interface, Peer
from tests.strategies.scenario import Commit, Scenario, Send, Side, Step, Wait
from tests.strategies.worlds import World


def scenario_as_json(scenario: Scenario) -> str:
    worlds = ",\n  ".join(_world(world) for world in scenario.worlds)
    steps = ",\n  ".join(json.dumps(_step(step)) for step in scenario.steps)
    return f'{{"worlds": [\n  {worlds}\n],\n"steps": [\n  {steps}\n]}}\n'


def _world(world: World) -> str:
    parts = {"document": _document(world.document), "interface": _interface(world.interface)}
    return json.dumps(parts)


def scenario_from_json(text: str) -> Scenario:
    tree = json.loads(text)
    worlds = tuple(
        World(
            load(json.dumps(each["document"]).encode(), "world.yaml"),
            _read_interface(each["interface"]),
        )
        for each in tree["worlds"]
    )
    return Scenario(worlds, tuple(map(_read_step, tree["steps"])))


def document_as_yaml(document: Document) -> bytes:
    """JSON, which is YAML, and loads as `document`, marks aside. It has no tests of its own."""
    return json.dumps(_document(document)).encode()


def _document(document: Document) -> dict[str, Any]:
    mesh = {"mesh": {"cidr": list(map(str, document.mesh.cidrs))}} if document.mesh else {}
    return {
        **mesh,
        "nodes": {node.name: _node(node) for node in document.nodes},
        **_multicast(document),
        "policy": _policy(document.policy),
    }


def _multicast(document: Document) -> dict[str, Any]:
    groups = {
        group.name: {"address": list(map(str, group.cidrs)), "tags": sorted(group.tags)}
        for group in document.multicast
    }
    return {"multicast": groups} if groups else {}


def _node(node: Node) -> dict[str, Any]:
    fields = {
        "public_key": node.public_key and b64encode(node.public_key).decode(),
        "tags": sorted(node.tags),
        "address": list(map(str, node.addresses)),
        "routes": list(map(_route, node.routes)),
        "transit": node.transit,
        "via": node.via,
    }
    guard = {} if node.guard is None else {"guard": node.guard}
    return {name: value for name, value in fields.items() if value} | guard


def _route(route: Route) -> dict[str, Any]:
    return {"cidr": str(route.cidr)} | ({"tags": sorted(route.tags)} if route.tags else {})


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "default": policy.default,
        "reject_ingress": policy.reject_ingress,
        "strict": policy.strict,
        "guard": policy.guard,
        "limits": {
            "opens": policy.limits.opens_per_s or UNLIMITED,
            **({"burst": policy.limits.burst} if policy.limits.opens_per_s else {}),
        },
        "rules": [_rule(rule) for rule in policy.rules],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    ports = [describe(span.protocol, span.low, span.high) for span in rule.ports]
    return {
        "name": rule.name,
        "from": _selector(rule.sources),
        "to": _selector(rule.destinations),
        **({"ports": ports} if ports else {}),
        "action": rule.action,
        "audit": rule.audit,
        **({} if rule.until is None else {"until": _moment(rule.until)}),
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _selector(selector: Selector) -> list[Any]:
    return list(map(_term, selector.terms))


def _term(term: Labels) -> str | dict[str, list[str]]:
    return {"all": sorted(term)} if len(term) > 1 else next(iter(term), "*")


def _interface(interface: Interface) -> dict[str, Any]:
    return {
        "public_key": b64encode(interface.public_key).decode(),
        "addresses": list(map(str, interface.addresses)),
        "peers": [
            {
                "public_key": b64encode(peer.public_key).decode(),
                "allowed_ips": list(map(str, peer.allowed_ips)),
            }
            for peer in interface.peers
        ],
    }


def _read_interface(tree: dict[str, Any]) -> Interface:
    return Interface(
        b64decode(tree["public_key"]),
        tuple(map(ip_interface, tree["addresses"])),
        tuple(
            Peer(b64decode(peer["public_key"]), tuple(map(ip_network, peer["allowed_ips"])))
            for peer in tree["peers"]
        ),
    )


def _step(step: Step) -> dict[str, Any]:
    match step:
        case Wait(seconds):
            return {"wait_s": seconds}
        case Commit(world):
            return {"commit": world}
        case Send():
            came_in = {"came_in": True} if step.came_in else {}
            return {step.side: step.frame.hex(), "ethertype": f"{step.ethertype:#06x}", **came_in}


def _read_step(tree: dict[str, Any]) -> Step:
    if "wait_s" in tree:
        return Wait(tree["wait_s"])
    if "commit" in tree:
        return Commit(tree["commit"])
    side: Side = "ingress" if "ingress" in tree else "egress"
    frame, number = bytes.fromhex(tree[side]), int(tree["ethertype"], 16)
    return Send(frame, number, side, tree.get("came_in", False))
