# SPDX-License-Identifier: Apache-2.0
"""`krait up` and `krait down` on machines with nothing but a cable, keys and one document."""

import json

from tests.netns.up.conftest import CONFIG, MESH, NAMES, RULES, Site, hosts


def links(site: Site, name: str) -> dict[str, object]:
    (link,) = json.loads(site[name].succeed("ip -j -d link show wg0"))
    return dict(link)


def test_a_mesh_comes_up_from_one_file_behind_its_filter(site: Site) -> None:
    site.start()
    for name in NAMES:
        for other in NAMES:
            if other != name:
                site.ping(name, other)
    for name in NAMES:
        status = site.status(name)
        assert status["enforced"]
        assert len(status["peers"]) == len(NAMES) - 1
        key_file = site[name].succeed("stat -c %a:%u /var/lib/krait/wg0.key").strip()
        assert key_file == "600:0"
    site.serve("bob", hosts(2)[0])
    connect = ["bash", "-c", f"exec 3<>/dev/tcp/{hosts(2)[0]}/80"]
    site["alice"].succeed(connect)
    before = site.denials("carol")
    site["carol"].fail(["timeout", "2", *connect])
    assert site.denials("carol") > before


def test_down_takes_away_all_that_up_made_and_nothing_else(site: Site) -> None:
    site.start(None, "alice")
    foreign = "172.31.0.0/24 dev eth0"
    with site.altered("alice", f"ip route add {foreign}", f"ip route del {foreign}"):
        before = site["alice"].succeed("ip route show dev eth0")
        assert site.traces("alice")
        site["alice"].succeed(["krait", "down", "wg0"])
        assert site.traces("alice") == ""
        assert site["alice"].succeed("ip route show dev eth0") == before
    assert site["alice"].succeed("ls /var/lib/krait").split() == ["wg0.key"]
    said = site["alice"].succeed(["krait", "down", "wg0"])
    assert "nothing of Krait" in said


def test_down_refuses_a_device_that_krait_did_not_make(site: Site) -> None:
    alice = site["alice"]
    alice.succeed("ip link add wg0 type veth peer name other")
    outcome = alice.run(["krait", "down", "wg0"])
    assert outcome.code == 2
    assert "krait detach wg0" in outcome.stderr
    alice.succeed("ip link show wg0")


def test_up_refuses_a_device_that_krait_did_not_make(site: Site) -> None:
    alice = site["alice"]
    site.write("alice", site.document())
    alice.succeed("ip link add wg0 type veth peer name other")
    assert "did not make" in site.refused("alice", 2)
    alice.succeed("ip link show wg0")


def test_detach_refuses_a_device_that_krait_made(site: Site) -> None:
    site.start(None, "alice")
    outcome = site["alice"].run(["krait", "detach", "wg0"])
    assert outcome.code == 2
    assert "krait down wg0" in outcome.stderr
    assert site.status("alice")["enforced"]


def test_a_document_that_others_may_change_is_said_or_refused(site: Site) -> None:
    alice, others = site["alice"], f"{CONFIG} may be changed by user 65534"
    site.write("alice", site.document())
    alice.succeed(["chown", "65534", CONFIG])
    outcome = site.up("alice")
    assert outcome.code == 0
    assert others in outcome.stderr
    assert any(others in each for each in site.status("alice")["agent"]["warnings"])
    doctor = json.loads(alice.run(["krait", "doctor", "wg0", "--json"]).stdout)
    (answer,) = (each for each in doctor["findings"] if each["name"] == "document")
    assert answer["level"] == "warn"
    assert others in answer["message"]
    alice.succeed(["chmod", "o+w", CONFIG])
    outcome = site.up("alice")
    assert outcome.code == 2
    assert f"anybody may write to {CONFIG}" in outcome.stderr
    assert site.status("alice")["enforced"]


def test_up_twice_is_up(site: Site) -> None:
    site.start(None, "alice")
    first = links(site, "alice")["ifindex"]
    outcome = site.up("alice")
    assert outcome.code == 0
    assert "up already" in outcome.stdout
    assert links(site, "alice")["ifindex"] == first
    assert site["alice"].succeed("pgrep -cf '[k]rait agent'").strip() == "1"


def test_a_machine_without_a_key_makes_one_and_says_what_to_do_with_it(site: Site) -> None:
    alice, nodes = site["alice"], site.nodes()
    del nodes["alice"]
    site.write("alice", site.document("\n    - {from: b, to: c}", nodes))
    site.key("alice")
    with site.altered("alice", "mv /var/lib/krait/wg0.key /run", "mv /run/wg0.key /var/lib/krait"):
        said = site.refused("alice", 2)
        public = alice.succeed(["krait", "genkey", "wg0"]).split()[-1]
        assert f"public_key: {public}" in said
        assert f"krait add {CONFIG} alice --key {public}" in said
        assert alice.succeed("cat /var/lib/krait/wg0.key").strip() not in said


def test_nothing_for_the_mesh_leaves_by_the_default_route_when_the_device_is_away(
    site: Site,
) -> None:
    site.start(None, "alice")
    alice = site["alice"]
    ways = "ip route {0} default via 192.0.2.2; ip -6 route {0} default via 2001:db8::2"
    with site.altered("alice", ways.format("add"), ways.format("del")):
        assert "dev wg0" in alice.succeed(["ip", "route", "get", hosts(2)[0]])
        alice.succeed("pkill -9 -f '[k]rait agent'")
        alice.succeed("ip link del wg0")
        for host in hosts(2):
            alice.fail(["ip", "route", "get", host])
        alice.succeed("ip route get 198.51.100.1")


def test_an_overlap_with_what_the_host_has_is_refused_with_the_mend(site: Site) -> None:
    site.write("alice", site.document())
    address = "10.8.0.77/16 dev eth0"
    with site.altered("alice", f"ip address add {address}", f"ip address del {address}"):
        said = site.refused("alice", 2)
    assert "10.8.0.0/24 of the mesh overlaps: eth0 has 10.8.0.77/16" in said
    assert "another range" in said


def test_a_range_that_the_host_has_is_refused_in_an_edit_too_and_what_is_in_force_stays(
    site: Site,
) -> None:
    site.start(None, "alice", "bob")
    alice, address = site["alice"], "10.50.0.9/16 dev eth0"
    other = site.document().replace("10.8.0.", "10.50.0.")
    with site.altered("alice", f"ip address add {address}", f"ip address del {address}"):
        site.write("alice", other)
        site.wait("alice", "krait status wg0 | grep 'eth0 has 10.50.0.9/16'")
        assert "dev eth0" in alice.succeed("ip route get 10.50.0.2")
        site.ping("alice", "bob")
        copy = "/run/site/copy.yaml"
        site.write("alice", other, copy)
        outcome = site.up("alice", config=copy)
        assert outcome.code == 2
        assert "eth0 has 10.50.0.9/16" in outcome.stderr
        site.ping("alice", "bob")


def test_an_overlap_that_comes_later_is_told_and_an_agent_begins_over_it(site: Site) -> None:
    site.start(None, "alice", "bob")
    alice, address = site["alice"], "10.8.0.77/16 dev eth0"
    with site.altered("alice", f"ip address add {address}", f"ip address del {address}"):
        alice.succeed("pkill -9 -f '[k]rait agent'")
        outcome = site.up("alice")
        assert outcome.code == 0, outcome.stderr
        site.wait("alice", "krait status wg0 | grep 'eth0 has 10.8.0.77/16'")
        site.ping("alice", "bob")
        assert site.status("alice")["enforced"]


def test_a_subnet_behind_a_node_that_is_around_this_machine_too_is_told(site: Site) -> None:
    nodes = site.nodes()
    nodes["bob"] += ", routes: [{cidr: 10.20.0.0/24, tags: [lan]}]"
    site.write("alice", site.document(nodes=nodes))
    address = "10.20.0.7/24 dev eth0"
    with site.altered("alice", f"ip address add {address}", f"ip address del {address}"):
        outcome = site.up("alice")
        assert outcome.code == 0, outcome.stderr
        said = "10.20.0.0/24 is behind a node of the mesh, and eth0 has 10.20.0.7/24"
        assert said in " ".join(outcome.stderr.split())
        assert "dev eth0" in site["alice"].succeed("ip route get 10.20.0.9")


def test_a_route_that_would_draw_its_own_nodes_endpoint_into_the_tunnel_is_refused(
    site: Site,
) -> None:
    nodes = site.nodes()
    nodes["bob"] += ", routes: [{cidr: 192.0.2.0/25, tags: [lan]}]"
    looped, alice = site.document(nodes=nodes), site["alice"]
    site.write("alice", looped)
    said = site.refused("alice", 2)
    assert "the endpoint of bob, 192.0.2.2, is in 192.0.2.0/25" in said
    assert "take the route out" in said

    site.start(None, "alice", "bob")
    site.write("alice", looped)
    site.wait("alice", "krait status wg0 | grep 'the endpoint of bob, 192.0.2.2, is in'")
    site.ping("alice", "bob")

    nodes["bob"] = nodes["bob"].replace("0/25", "0/24")  # as the cable's, which counts first
    site.write("alice", site.document(nodes=nodes))
    site.wait("alice", "ip route | grep '192.0.2.0/24 dev wg0'")
    assert "dev eth0" in alice.succeed("ip route get 192.0.2.2")
    site.ping("alice", "bob")


def test_a_device_with_our_mark_that_is_of_another_kind_is_not_ours(site: Site) -> None:
    alice = site["alice"]
    with site.altered(
        "alice", "ip link add wg0 group 1802658153 type bridge", "ip link delete wg0"
    ):
        site.write("alice", site.document())
        assert site.up("alice").code == 2
        assert alice.run(["krait", "down", "wg0"]).code == 2
        alice.succeed("ip link show wg0")


def test_a_changed_file_changes_the_device_and_the_policy(site: Site) -> None:
    site.start()
    site.ping("alice", "carol")
    nodes = site.nodes()
    del nodes["carol"]
    text = site.document(RULES, nodes, mesh=", mtu: 1360")
    site.write("alice", text)
    site["alice"].wait_until_fails(f"wg show wg0 peers | grep -F '{site.key('carol')}'")
    site.wait("alice", "ip link show wg0 | grep 'mtu 1360'")
    site.ping("alice", "bob")
    assert len(site.status("alice")["peers"]) == 1


def test_a_document_that_does_not_make_a_device_changes_nothing(site: Site) -> None:
    site.start(None, "alice")
    before = site["alice"].succeed("wg show wg0 dump | tail -n +2 | cut -f 1,4 | sort")
    revision = site.status("alice")["policy"]["revision"]
    nodes = site.nodes()
    nodes["bob"] = "tags: b"  # without an address there is no way to it
    site.write("alice", site.document(nodes=nodes))
    site.wait("alice", "krait status wg0 | grep 'lacks'")
    assert site["alice"].succeed("wg show wg0 dump | tail -n +2 | cut -f 1,4 | sort") == before
    assert site.status("alice")["policy"]["revision"] == revision


def test_the_agent_killed_and_begun_again_finds_all_as_it_was(site: Site) -> None:
    site.start()
    site.ping("alice", "bob")
    ifindex = links(site, "alice")["ifindex"]
    site["alice"].succeed("pkill -9 -f '[k]rait agent'")
    site.ping("alice", "bob")
    assert site.up("alice").code == 0
    assert links(site, "alice")["ifindex"] == ifindex
    site.ping("alice", "bob")
    site.ping("bob", "alice")


def test_a_device_deleted_under_the_agent_is_made_again(site: Site) -> None:
    site.start()
    site.ping("alice", "bob")
    site["alice"].succeed("ip link del wg0")
    site.wait("alice", "ip link show wg0 up | grep wg0")
    site.ping("alice", "bob")
    assert site.status("alice")["enforced"]


def test_what_another_tool_changes_is_put_right(site: Site) -> None:
    site.start()
    site.ping("alice", "bob")
    site["alice"].succeed(f"wg set wg0 peer {site.key('bob')} remove")
    site["alice"].succeed("ip address del 10.8.0.1/24 dev wg0")
    site.wait("alice", f"wg show wg0 peers | grep -F '{site.key('bob')}'")
    site.wait("alice", "ip address show wg0 | grep 10.8.0.1/24")
    site.ping("alice", "bob")
    assert f"{MESH[0]} dev wg0" in site["alice"].succeed("ip route show table main")


def test_no_config_is_needed_where_the_default_place_has_one(site: Site) -> None:
    site["alice"].succeed(["krait", "genkey", "wg0"])
    outcome = site["alice"].run(["krait", "up", "wg0"])
    assert outcome.code == 2
    assert "/etc/krait/wg0.yaml" in outcome.stderr
    assert CONFIG not in outcome.stderr


def test_without_a_document_it_is_told_how_to_begin_by_whether_there_is_an_interface(
    site: Site,
) -> None:
    alice = site["alice"]
    for command in ("krait up wg0", f"krait up wg0 --config {CONFIG}"):
        said = alice.run(command)
        assert said.code == 2
        assert "krait example --minimal >FILE" in said.stderr
        assert "krait init" not in said.stderr
        with site.altered("alice", "ip link add wg0 type bridge", "ip link delete wg0"):
            assert "krait init wg0 >FILE" in alice.run(command).stderr
