# SPDX-License-Identifier: Apache-2.0
"""Whose key is whose: preshared keys in files, and nodes that are not who they are said to be."""

import pytest

from tests.netns.up.conftest import CONFIG, Site

FILE = "/etc/krait/psk/{pair}"
SHARED = "/etc/krait/psk/alice_bob"


def share(site: Site, *names: str) -> None:
    """The same preshared key on both."""
    secret = site["alice"].succeed(["wg", "genpsk"])
    for name in names:
        site[name].write(SHARED, secret)


@pytest.fixture
def document(site: Site) -> str:
    nodes = {name: fields for name, fields in site.nodes().items() if name != "carol"}
    return site.document(
        "\n    - {from: '*', to: '*'}", nodes, mesh=f', preshared_key_file: "{FILE}"'
    )


def test_a_tunnel_with_a_preshared_key_of_a_file_works(site: Site, document: str) -> None:
    share(site, "alice", "bob")
    site.start(document, "alice", "bob")
    site.ping("alice", "bob")
    assert "(none)" not in site["alice"].succeed("wg show wg0 preshared-keys")


def test_no_handshake_is_had_with_another_preshared_key_and_one_is_once_it_is_right(
    site: Site, document: str
) -> None:
    share(site, "alice")
    share(site, "bob")
    site.start(document, "alice", "bob")
    rejected = "wg show wg0 transfer | awk '{exit !($2 > 0 || $3 > 300)}'"
    site["alice"].spawn(["ping", "-c", "100", "10.8.0.2"])
    site.wait("alice", rejected)  # it sent handshakes again and again
    assert not site.handshaken("alice", "bob")
    share(site, "alice", "bob")
    for name in ("alice", "bob"):
        site.write(name, f"{document}\n# again")  # read at once, not at the next look
    site.ping("alice", "bob")
    assert site.handshaken("alice", "bob")


def test_without_the_file_the_document_is_refused_whole(site: Site, document: str) -> None:
    site.write("alice", document)
    said = site.refused("alice", 2)
    assert f"there is no preshared key {SHARED}" in said
    assert "wg genpsk" in said


def test_a_file_for_others_to_read_is_refused(site: Site, document: str) -> None:
    share(site, "alice")
    site["alice"].succeed(["chmod", "644", SHARED])
    site.write("alice", document)
    assert "chmod 600" in site.refused("alice", 2)


def test_a_saved_document_that_names_a_missing_file_changes_neither_device_nor_policy(
    site: Site, document: str
) -> None:
    plain = document.replace(f', preshared_key_file: "{FILE}"', "")
    site.start(plain, "alice")
    revision = site.status("alice")["policy"]["revision"]
    site.write("alice", document.replace("from: '*'", "from: a"))
    site.wait("alice", f"krait status wg0 | grep '{SHARED}'")
    assert site.status("alice")["policy"]["revision"] == revision
    assert "(none)" in site["alice"].succeed("wg show wg0 preshared-keys")
    share(site, "alice")
    site.write("alice", document.replace("from: '*'", "from: b"))
    site.wait("alice", "! wg show wg0 preshared-keys | grep '(none)'")


def test_a_machine_that_no_node_names_is_told_both_ways_out(site: Site) -> None:
    nodes = site.nodes()
    del nodes["alice"]
    site.write("alice", site.document("\n    - {from: b, to: c}", nodes))
    said = site.refused("alice", 2)
    assert 'no node is called "alice"' in said
    assert "--node" in said
    assert f"krait add {CONFIG} alice --key {site.key('alice')}" in said


def test_a_node_of_this_name_with_anothers_key_is_named_with_both_ways_out(site: Site) -> None:
    text = site.document().replace(site.key("alice"), site["alice"].succeed("wg genkey").strip())
    site.write("alice", text)
    said = site.refused("alice", 2)
    assert "alice has the public key" in said
    assert site.key("alice") in said
    assert f"public_key: {site.key('alice')}" in said
    assert "krait genkey wg0 --import" in said


def test_the_node_may_be_said_and_is_kept(site: Site) -> None:
    site.write("alice", site.document().replace("  alice:", "  anna:"))
    outcome = site.up("alice", "--node", "anna")
    assert outcome.code == 0, outcome.stderr
    assert site.status("alice")["made"]["node"] == "anna"
    wrong = site.up("alice", "--node", "bob")
    assert wrong.code == 2
    assert "--node says bob, but this machine's key is that of anna" in wrong.stderr


def test_where_no_key_tells_the_host_name_does(site: Site) -> None:
    text = site.document().replace(f'public_key: "{site.key("alice")}", ', "via: bob, ")
    site.write("alice", text.replace("tags: b,", "tags: b, transit: true,"))
    said = site.refused("alice", 2)
    assert 'node "alice" lacks `public_key`' in said
    assert "krait genkey wg0" in said
