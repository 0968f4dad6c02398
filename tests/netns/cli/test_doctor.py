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
            "mend: as root, where the file system is mounted for writing: "
            "install -d -m 700 -o 65534 /sys/fs/bpf/krait "
            "install -d -m 700 -o 65534 /var/lib/krait "
        ) in words
