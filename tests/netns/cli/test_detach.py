# SPDX-License-Identifier: Apache-2.0
"""`krait detach`: its last word is a command that works."""

from krait.lab.mesh import Lab, full_mesh

DOCUMENT = "/run/elsewhere.yaml"


def test_the_command_to_protect_it_again_finds_the_document_again() -> None:
    with Lab(full_mesh("x", "y")) as lab:
        x = lab["x"]
        x.succeed(f"krait init wg0 >{DOCUMENT}")
        agent = x.spawn(["krait", "--iface", "wg0", "--config", DOCUMENT])
        x.wait_until_succeeds("krait status wg0 | grep -q 'wg0: enforcing'")
        agent.kill()
        agent.wait()
        doctor = " ".join(x.run(["krait", "doctor", "wg0"]).stdout.split())
        assert f"hint: krait --iface wg0 --config {DOCUMENT}" in doctor
        said = x.run(["krait", "detach", "wg0"]).stderr
        (again,) = (line.partition("again: ")[2] for line in said.splitlines() if "again: " in line)
        assert again == f"krait --iface wg0 --config {DOCUMENT}"
        x.spawn(again.split())
        x.wait_until_succeeds("krait status wg0 | grep -q 'wg0: enforcing'")
