# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.bpf.mount import require_bpffs


def test_a_folder_that_is_not_yet_made_is_judged_by_where_it_would_be(
    bpffs: Path, tmp_path: Path
) -> None:
    require_bpffs(bpffs / "krait" / "v1")
    with pytest.raises(SystemRefused, match="not on a bpf file system"):
        require_bpffs(tmp_path / "krait" / "v1")
