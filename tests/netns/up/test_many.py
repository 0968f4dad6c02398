# SPDX-License-Identifier: Apache-2.0
"""Several meshes on one machine: beside each other, and in several network namespaces."""

from tests.netns.up.conftest import CONFIG, MESH, USERSPACE, Site

SECOND = "/run/site/wg1.yaml"
RANGE = "10.9.0.0/24"
BLUE = ["nsenter", "--net=/run/netns/blue", "unshare", "-m", "sh", "-c"]
OWN_SOCKETS = "mkdir -p /run/blue /run/wireguard; mount --bind /run/blue /run/wireguard; exec "


def second(site: Site, cidr: str = RANGE) -> str:
    """Another mesh of alice and bob, over another port."""
    first = cidr.rpartition(".")[0]
    nodes = {
        name: f'tags: {name[0]}, address: "{first}.{n}", endpoint: "192.0.2.{n}:51821"'
        for n, name in enumerate(("alice", "bob"), 1)
    }
    text = site.document("\n    - {from: '*', to: '*'}", nodes, interface="wg1")
    return text.replace(f'["{MESH[0]}", "{MESH[1]}"]', cidr).replace("51820", "51821")


def test_two_meshes_share_a_machine_and_nothing_else(site: Site) -> None:
    site.start(None, "alice", "bob")
    for name in ("alice", "bob"):
        site.write(name, second(site), SECOND)
        outcome = site.up(name, config=SECOND)
        assert outcome.code == 0, outcome.stderr
    site.ping("alice", "bob", "10.9.0.2")
    refusals = "ip route show type unreachable proto 75 | cut -d ' ' -f 2 | sort"
    assert site["alice"].succeed(refusals).split() == [MESH[0], RANGE]
    site["alice"].succeed(["krait", "down", "wg0"])
    assert site["alice"].succeed(refusals).split() == [RANGE]
    assert site.status("alice", "wg1")["enforced"]
    site.ping("alice", "10.9.0.2")
    assert site["alice"].succeed("ls /var/lib/krait/*.up").split() == ["/var/lib/krait/wg1.up"]


def test_a_second_mesh_of_the_same_range_is_refused(site: Site) -> None:
    site.start(None, "alice")
    site.write("alice", second(site, MESH[0]), SECOND)
    outcome = site.up("alice", config=SECOND)
    assert outcome.code == 2
    assert "10.8.0.0/24 of the mesh overlaps: wg0 has 10.8.0.1/24" in outcome.stderr
    site["alice"].fail("ip link show wg1")


def test_interfaces_of_one_name_in_two_network_namespaces_are_two(site: Site) -> None:
    site.start(None, "alice")
    alice = site["alice"]
    with site.altered("alice", "ip netns add blue", "ip netns del blue"):
        up = f"{OWN_SOCKETS} krait up --config {CONFIG} {' '.join(USERSPACE)} --node alice"
        text = site.document()
        try:
            key = alice.succeed([*BLUE, "krait genkey wg0"]).split()[-1]
            assert key != site.key("alice")
            site.write("alice", text.replace(site.key("alice"), key), "/run/site/blue.yaml")
            alice.succeed([*BLUE, up.replace(CONFIG, "/run/site/blue.yaml")], timeout_s=120)
            state = alice.succeed("ls /var/lib/krait/").split()
            assert {"wg0.up", "blue:wg0.up", "wg0.key", "blue:wg0.key"} <= set(state)
            told = alice.succeed([*BLUE, "krait status wg0"])
            assert "blue" in told
            assert "enforcing" in told
            alice.succeed(["krait", "down", "wg0"])
            assert "wg0" in alice.succeed([*BLUE, "ip link show wg0"])
            assert "enforcing" in alice.succeed([*BLUE, "krait status wg0"])
        finally:
            alice.succeed([*BLUE, "krait down wg0"])
        state = alice.succeed("ls /var/lib/krait/").split()
        assert [each for each in state if not each.endswith(".key")] == []
        alice.succeed("rm /var/lib/krait/blue:wg0.key")


def test_one_file_at_its_place_serves_every_machine(site: Site) -> None:
    for name in ("alice", "bob"):
        site.write(name, site.document(), "/etc/krait/krait.yaml")
        site[name].succeed(["krait", "up", *USERSPACE], timeout_s=120)
    site.ping("alice", "bob")
    assert site.status("alice")["made"]["node"] == "alice"
    assert site.status("bob")["made"]["node"] == "bob"
