# SPDX-License-Identifier: Apache-2.0
"""A small eBPF project to build, in a folder whose name has a space."""

import shutil
from pathlib import Path

import pytest

from tests.requirements import need_tools

ROOT = Path(__file__).parents[3]

PROGRAM = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "krait/verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

SEC("tc") int krait_ingress(struct __sk_buff *skb)
{
	__u32 first = 0;
	__u64 *count = bpf_map_lookup_elem(&seen, &first);

	if (count)
		*count += skb->len;
	return VERDICT;
}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with our recipes and packaging, and a program of one map and one hook."""
    need_tools("clang", "llvm-strip")
    checkout = tmp_path / "a checkout"
    ebpf = checkout / "ebpf"
    (ebpf / "krait").mkdir(parents=True)
    (ebpf / "krait.bpf.c").write_text(PROGRAM)
    (ebpf / "krait" / "verdict.h").write_text("#define VERDICT 2\n")
    for name in ("build", "LICENSE", "LICENSE.GPL-2"):
        shutil.copy(ROOT / "ebpf" / name, ebpf)
    (checkout / "packaging").mkdir()
    shutil.copy(ROOT / "packaging" / "hatch_build.py", checkout / "packaging")
    for name in (".gitignore", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    package = checkout / "src" / "krait" / "kernel" / "bpf"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parents[1]):
        (folder / "__init__.py").touch()
    return checkout
