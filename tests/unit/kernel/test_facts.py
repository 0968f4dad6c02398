# SPDX-License-Identifier: Apache-2.0
"""What files of the kernel say, on files as kernels write them."""

from pathlib import Path

import pytest

from krait.kernel.facts import clsact_built, packet_sockets

PACKET = """\
sk               RefCnt Type Proto  Iface R Rmem   User   Inode
000000001a2b3c4d 3      3    0003   0     1 0      0      4711
000000001a2b3c4e 3      3    0003   7     1 0      0      4712
000000001a2b3c4f 3      3    0003   8     1 0      0      4713
"""


def test_packet_sockets_on_the_interface_or_on_all_are_counted(tmp_path: Path) -> None:
    table = tmp_path / "packet"
    table.write_text(PACKET)
    assert packet_sockets(7, table) == 2
    assert packet_sockets(9, table) == 1
    table.write_text(PACKET.splitlines()[0])
    assert packet_sockets(7, table) == 0
    assert packet_sockets(7, tmp_path / "nothing") == 0


@pytest.mark.parametrize(
    ("files", "built"),
    [
        ({}, None),
        ({"modules.builtin": "kernel/net/sched/sch_ingress.ko\n"}, False),
        (
            {
                "modules.builtin": "kernel/net/sched/sch_ingress.ko\n",
                "modules.dep": "kernel/net/sched/cls_bpf.ko.xz:\n",
            },
            True,
        ),
    ],
)
def test_clsact_needs_a_qdisc_and_a_classifier_built_in_or_loadable(
    tmp_path: Path, files: dict[str, str], built: bool | None
) -> None:
    folder = tmp_path / "6.1.0"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert clsact_built("6.1.0", tmp_path) is built
