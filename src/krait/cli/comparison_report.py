# SPDX-License-Identifier: Apache-2.0
"""What another document would change, for programs; docs/cli.md has the keys."""

from collections.abc import Sequence

from krait.agent.foresight import Cut, Cuts, Foresight
from krait.cli.comparison import changes, rules_of
from krait.cli.output import Json
from krait.common.abi import PairClass
from krait.policy import flow as flows
from krait.policy.alike import Group
from krait.policy.compare import Cause, Comparison, Row, Without
from krait.policy.explain import words
from krait.policy.model import Rule
from krait.policy.parties import Parties


def report(comparison: Comparison, seen: Foresight | None) -> Json:
    """As JSON; keys are only ever added."""
    cuts, parties = seen.cuts if seen else None, Parties(comparison.everyone)
    settings = comparison.settings
    return {
        "changes": changes(comparison, cuts),
        "nodes": {
            "came": [{"name": node.name, "tags": sorted(node.tags)} for node in settings.came],
            "went": [{"name": node.name, "tags": sorted(node.tags)} for node in settings.went],
            "changed": [
                {
                    "name": each.name,
                    "before": sorted(each.before),
                    "now": sorted(each.now),
                    "keys": each.fields,
                }
                for each in settings.changed
            ],
        },
        "settings": settings.other,
        "opens": [_row_report(row, parties) for row in comparison.rows if row.opens],
        "closes": [_row_report(row, parties) for row in comparison.rows if not row.opens],
        "classes": [
            {
                "before": _class_name(each.before),
                "now": _class_name(each.now),
                "some": _side(each.some, parties, ()),
                "others": _side(each.others, parties, ()),
            }
            for each in comparison.classes
        ],
        "pairs_opening": comparison.opening,
        "pairs_closing": comparison.closing,
        "flows": _cuts_report(cuts),
        "unseen": (seen.unseen or None) if seen else None,
    }


def _row_report(row: Row, parties: Parties) -> Json:
    rules = rules_of(row)
    return {
        "from": _side(row.sources, parties.senders, rules),
        "to": _side(row.destinations, parties, rules),
        "ports": words(row.spans),
        "before": [_cause(each) for each in row.before],
        "now": _cause(row.now),
    }


def _side(groups: Sequence[Group], parties: Parties, rules: Sequence[Rule]) -> Json:
    return {
        "names": parties.names(groups, rules),
        "members": [name for group in groups for name in group.members],
    }


def _cause(cause: Cause) -> Json:
    if isinstance(cause, Without):
        return {"by": cause.value, "rule": None, "line": None}
    return {"by": "rule", "rule": cause.name, "line": cause.mark.line}


def _class_name(pair_class: PairClass) -> str:
    return pair_class.name.lower().replace("_", "-")


def _cuts_report(cuts: Cuts | None) -> Json:
    if cuts is None:
        return None
    return {
        "cut": cuts.total,
        "pairs": [
            {"from": sorted(opener), "to": sorted(other), "cut": count}
            for (opener, other), count in cuts.pairs.items()
        ],
        "reopening": cuts.reopening,
        "longest": [_cut_report(cut) for cut in cuts.longest],
    }


def _cut_report(cut: Cut) -> Json:
    flow = cut.flow
    (source, source_port), (destination, port) = flow.opener.source, flow.opener.destination
    return {
        "protocol": flow.opener.protocol,
        "source": str(source),
        "source_port": source_port,
        "destination": str(destination),
        "destination_port": port,
        "state": flows.label(flow.state),
        "age_s": flow.age_s,
        "reason": cut.now.reason.label,
        "reopens": cut.reopens,
    }
