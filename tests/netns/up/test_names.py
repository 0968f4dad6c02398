# SPDX-License-Identifier: Apache-2.0
"""Endpoints by host name."""

from tests.netns.up.conftest import Site


def test_endpoints_by_name_are_looked_up_and_again_until_they_are_known(site: Site) -> None:
    text = site.document().replace("192.0.2.2:51820", "bob.krait.invalid:51820")
    site.start(site.document(), "bob")
    site.write("alice", text)
    began = site.up("alice")
    assert began.code == 0, began.stderr
    site.wait("alice", "krait status wg0 | grep 'cannot resolve bob.krait.invalid:51820'")
    assert site.status("alice")["enforced"]
    hosts = "echo 192.0.2.2 bob.krait.invalid >>/etc/hosts"
    with site.altered("alice", hosts, "sed -i '/krait.invalid/d' /etc/hosts"):
        site.wait("alice", "wg show wg0 endpoints | grep 192.0.2.2:51820")
        site.ping("alice", "bob")
        site.wait("alice", "! krait status wg0 | grep 'cannot resolve'")


def test_a_name_that_is_known_is_as_good_as_an_address(site: Site) -> None:
    text = site.document().replace("192.0.2.2:51820", "bob.krait.invalid:51820")
    hosts = "echo 192.0.2.2 bob.krait.invalid >>/etc/hosts"
    with site.altered("alice", hosts, "sed -i '/krait.invalid/d' /etc/hosts"):
        site.start(text, "alice", "bob")
        site.ping("alice", "bob")
        assert site.status("alice")["agent"]["faults"] == []
