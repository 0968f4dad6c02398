# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

from tests.kernel.bpf.conftest import Tun
from tests.requirements import need_tools

EVERYTHING = """
import sys
from pathlib import Path
from krait.kernel.bpf import testrun
from krait.kernel.bpf.barrier import ReaderBarrier
from krait.kernel.bpf.link import TcxLink, tcx_query, tcx_supported
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import program_info
from krait.kernel.bpf.word import Word
from krait.kernel.hook import Hook

file, bpffs, ifindex = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with BpfObject.open(file) as toy, ReaderBarrier() as barrier:
    toy.load()
    toy.maps["known"].pin(bpffs / "known")
    Map.open_pinned(bpffs / "known").update_batch(bytes(12), bytes(4), 1)
    assert len(list(toy.maps["known"].items())) == 1
    toy.maps["counts"].folded((sum, sum))
    Word(toy.maps["control"]).value = 1
    barrier.wait()
    program_fd = toy.programs["toy_judge"]
    assert program_info(program_fd).translated_bytes
    testrun.run(program_fd, testrun.ethernet(b"E" + bytes(39)))
    if tcx_supported():
        with TcxLink.create(program_fd, ifindex, Hook.INGRESS) as link:
            link.pin(bpffs / "link")
            link.update(toy.programs["toy_slow"])
            assert tcx_query(ifindex, Hook.INGRESS)[0].link_id == link.info().link_id
            link.detach()
print(next(line for line in open("/proc/self/status") if line.startswith("CapEff")))
"""
NET_ADMIN_PERFMON_BPF = 1 << 12 | 1 << 38 | 1 << 39


def test_three_capabilities_are_enough_for_everything(
    toy_file: Path, bpffs: Path, tun: Tun
) -> None:
    need_tools("setpriv")
    limited = ("setpriv", "--bounding-set", "-all,+net_admin,+perfmon,+bpf")
    arguments = (toy_file, bpffs, str(tun.ifindex))
    done = subprocess.run(
        [*limited, sys.executable, "-c", EVERYTHING, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1], 16) == NET_ADMIN_PERFMON_BPF
