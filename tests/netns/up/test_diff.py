# SPDX-License-Identifier: Apache-2.0
"""`krait diff` of a document from which `krait up` makes the interface."""

import json
from typing import Any

from tests.netns.up.conftest import RULES, Site, hosts

OTHER = "/run/site/other.yaml"


def diff(site: Site, text: str) -> dict[str, Any]:
    site.write("alice", text, OTHER)
    found = json.loads(
        site["alice"].run(["krait", "diff", OTHER, "--iface", "wg0", "--json"]).stdout
    )
    assert isinstance(found, dict)
    return found


def test_an_address_that_moves_takes_its_flows_along(site: Site) -> None:
    site.start(None, "alice", "bob")
    site.ping("alice", "bob")
    assert diff(site, site.document())["changes"] is False
    old = hosts(2)[0]
    found = diff(site, site.document().replace(f'"{old}"', '"10.8.0.77"'))
    (changed,) = found["nodes"]["changed"]
    assert (changed["name"], changed["keys"]) == ("bob", ["address"])
    assert found["opens"] == found["closes"] == []
    cut = {(each["destination"], each["reason"]) for each in found["flows"]["longest"]}
    assert cut == {(old, "unknown-destination")}, "its new allowed IPs do not have it"


def test_what_is_on_trial_is_what_is_in_force(site: Site) -> None:
    site.start(None, "alice")
    tried = site.document(RULES.replace("tcp/80", "tcp/81"))
    site.write("alice", tried, OTHER)
    assert site.up("alice", "--confirm", "10m", config=OTHER).code == 0
    assert site["alice"].run(["krait", "diff", OTHER, "--iface", "wg0"]).code == 0
    site["alice"].succeed(["krait", "rollback", "wg0"])
    assert site["alice"].run(["krait", "diff", OTHER, "--iface", "wg0"]).code == 1
