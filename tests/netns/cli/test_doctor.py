# SPDX-License-Identifier: Apache-2.0
"""`krait doctor` on live machines, held against what the test did to them."""

import json
from typing import Any

from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine


def findings(machine: NamespaceMachine, interface: str = "wg0") -> dict[str, Any]:
    """The finding of each check, by group and name."""
    report = json.loads(machine.run(["krait", "doctor", "--json", interface]).stdout)
    assert report["interface"] == interface
    return {f"{each['group']}/{each['name']}": each for each in report["findings"]}


def test_a_healthy_machine_passes_and_each_fault_is_found_where_it_is() -> None:
    with Lab(full_mesh("x", "y")) as lab:
        x = lab["x"]
        healthy = findings(x)
        assert not [each for each in healthy.values() if each["level"] == "fail"]
        assert healthy["machine/object"]["level"] == "ok"
        assert healthy["machine/folders"]["level"] == "ok"
        assert healthy["interface/mtu"]["level"] == "ok"
        assert healthy["interface/document"]["level"] == "note"
        assert healthy["interface/agent"]["message"].startswith("none yet")
        slower = "warn" if lab.userspace else "ok"
        assert healthy["interface/wireguard"]["level"] == slower

        x.succeed("ip link set wg0 mtu 1500")
        x.succeed("echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter")
        x.succeed("echo 1 >/proc/sys/net/ipv4/ip_forward")
        changed = findings(x)
        assert changed["interface/mtu"]["level"] == "warn"
        assert changed["limits/spoofing"]["level"] == "ok"
        assert "IPv4 forwarding is on" in changed["interface/forwarding"]["message"]
        assert "eth0" in changed["limits/weak-host"]["message"]

        x.succeed("tc qdisc add dev wg0 clsact")
        x.succeed("tc filter add dev wg0 ingress bpf bytecode '1,6 0 0 0'")
        assert "bpf on ingress" in findings(x)["interface/programs"]["message"]


def test_a_failing_check_is_an_exit_code_and_a_line_with_its_mend() -> None:
    with Lab() as lab:
        alone = lab.add("alone", on_underlay=True)
        outcome = alone.run(["krait", "doctor", "eth0"])
        assert outcome.code == 3
        assert "fail  wireguard" in outcome.stdout
        assert "eth0 is not a WireGuard interface" in outcome.stdout
        assert "1 failed" in outcome.stdout
        assert max(map(len, outcome.stdout.splitlines())) <= 80

        alone.succeed("umount /sys/fs/bpf")
        outcome = alone.run(["krait", "doctor"])
        assert outcome.code == 3
        assert "is not on a bpf file system" in outcome.stdout
        assert "mount -t bpf -o mode=0700 bpf /sys/fs/bpf" in " ".join(outcome.stdout.split())


def test_an_agent_that_is_dead_is_missed_with_its_interface_gone_too() -> None:
    with Lab(full_mesh("x", "y")) as lab:
        x = lab["x"]
        x.succeed("krait init wg0 >/run/elsewhere.yaml")
        agent = x.spawn(["krait", "--iface", "wg0", "--config", "/run/elsewhere.yaml"])
        x.wait_until_succeeds("krait status wg0 | grep -q 'wg0: enforcing'")
        assert "alive, pid" in findings(x)["interface/agent"]["message"]
        agent.kill()
        agent.wait()
        x.succeed("ip link del wg0")
        found = findings(x)
        assert found["interface/wireguard"]["level"] == "fail"
        assert found["interface/agent"]["hint"].endswith("--config /run/elsewhere.yaml")


def test_a_user_without_privileges_is_told_so_once() -> None:
    with Lab() as lab:
        alone = lab.add("alone")
        outcome = alone.run("setpriv --reuid=65534 --clear-groups krait doctor lo")
        assert outcome.code == 3
        words = " ".join(outcome.stdout.split())
        assert "run doctor as root: this process lacks CAP_NET_ADMIN" in words
        assert "1 failed" in words
        assert "MEMLOCK" not in outcome.stdout + outcome.stderr


def test_a_user_with_capabilities_alone_is_told_which_folders_to_make() -> None:
    capabilities = "+net_admin,+bpf,+perfmon"
    with Lab() as lab:
        alone = lab.add("alone")
        outcome = alone.run(
            "setpriv --reuid=65534 --clear-groups "
            f"--inh-caps={capabilities} --ambient-caps={capabilities} krait doctor"
        )
        assert outcome.code == 3
        words = " ".join(outcome.stdout.split())
        assert "run doctor as root" not in words
        assert (
            "this user may not write to /sys/fs/bpf/krait, /var/lib/krait, /run/krait "
            "hint: as root, where the file system is mounted for writing: "
            "install -d -m 700 -o 65534 /sys/fs/bpf/krait "
            "install -d -m 700 -o 65534 /var/lib/krait "
        ) in words


DOCUMENT = "/etc/krait/wg0.yaml"
XDP = """
__attribute__((section("xdp"))) int pass(void *c) { return 2; }
char _license[] __attribute__((section("license"))) = "GPL";
"""
SILENT = (
    *(f"interface/{name}" for name in ("document", "mtu", "forwarding")),
    *(f"underlay/{name}" for name in ("programs", "range", "replies", "calico")),
)


def test_a_fault_around_the_tunnel_is_found_by_its_check_and_by_no_other() -> None:
    with Lab(full_mesh("x", "y")) as lab:
        x = lab["x"]
        x.succeed("mkdir -p /etc/krait")
        x.write(DOCUMENT, x.succeed("krait init wg0 | sed '/routes:/d; /lan/d'"))

        def loud() -> dict[str, tuple[str, str]]:
            """Message and mend of each check that is not content."""
            found = findings(x)
            assert set(SILENT) <= found.keys()
            said = {name: found[name] for name in SILENT if found[name]["level"] != "ok"}
            return {name: (each["message"], each["hint"]) for name, each in said.items()}

        assert loud() == {}

        def fault(name: str, make: str, mend: str) -> tuple[str, str]:
            """What is said while the fault is there, and nothing else: no fault before is left."""
            x.succeed(make)
            try:
                found = loud()
            finally:
                x.succeed(mend)
            assert found.keys() == {name}
            return found[name]

        said, hint = fault(
            "underlay/programs",
            "tc qdisc add dev eth0 clsact"
            " && tc filter add dev eth0 egress bpf bytecode '1,6 0 0 4294967295'",
            "tc qdisc delete dev eth0 clsact",
        )
        assert said.startswith("bpf on egress of eth0:")
        assert "bpftool net show dev eth0" in hint

        x.write("/run/xdp.c", XDP)
        said, _ = fault(
            "underlay/programs",
            "cd /run && clang -O2 -target bpf -c xdp.c -o xdp.o"
            " && ip link set eth0 xdpgeneric obj xdp.o sec xdp",
            "ip link set eth0 xdpgeneric off",
        )
        assert said.startswith("XDP program ")

        said, hint = fault(
            "interface/mtu", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"
        )
        assert "of the 1400 of eth0, WireGuard leaves 1340 over IPv4" in said
        assert hint == "ip link set wg0 mtu 1340"

        said, hint = fault(
            "underlay/range",
            "ip link add cloud0 type bridge && ip address add 10.8.0.9/16 dev cloud0",
            "ip link delete cloud0",
        )
        assert "cloud0 has 10.8.0.9/16, and 10.8.0.0/24 is the mesh's" in said
        assert "ip address show to 10.8.0.9" in hint

        said, _ = fault(
            "underlay/range",
            "ip route add 10.0.0.0/8 via 192.0.2.2",
            "ip route delete 10.0.0.0/8",
        )
        assert "eth0 has a route to 10.0.0.0/8" in said

        said, hint = fault(
            "underlay/replies",
            "ip route delete fd7a:6b72::/64 dev wg0 && ip route add default via 2001:db8::2",
            "ip route delete default via 2001:db8::2; ip route add fd7a:6b72::/64 dev wg0",
        )
        assert "fd7a:6b72::2/128 of a peer is answered through eth0, outside the tunnel" in said
        assert hint == "ip route add fd7a:6b72::2/128 dev wg0"

        said, hint = fault(
            "underlay/calico",
            "ip link add cali42 type bridge && ip link set cali42 up",
            "ip link delete cali42",
        )
        assert "calico#12900" in said
        assert "another port" in hint

        said, hint = fault(
            "interface/forwarding",
            f"cp {DOCUMENT} /run/leaf && sed -i 's/^  x:.*/&\\n    transit: true/' {DOCUMENT}",
            f"cp /run/leaf {DOCUMENT}",
        )
        assert "forwarding is off: nothing is passed on" in said
        assert hint.splitlines()[0] == "sysctl -w net.ipv4.ip_forward=1"
        assert loud() == {}
