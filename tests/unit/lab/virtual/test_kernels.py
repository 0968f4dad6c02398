# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.common.errors import SystemRefused
from krait.lab.virtual.kernels import newest, vmlinux

NAMES = [
    "linux-image-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-57-amd64",
    "linux-image-6.1.0-57-cloud-amd64-dbg",
    "linux-image-6.1.0-57-cloud-amd64-unsigned",
    "linux-image-6.12.9+deb12-cloud-amd64",
    "linux-image-6.12.117+deb12-cloud-amd64",
    "linux-image-6.12-cloud-amd64",
]


def test_the_newest_of_a_series_is_found_by_numbers() -> None:
    assert newest("6.1", NAMES) == "linux-image-6.1.0-56-cloud-amd64"
    assert newest("6.12", NAMES) == "linux-image-6.12.117+deb12-cloud-amd64"


def test_a_series_that_the_archive_has_not_is_none() -> None:
    assert newest("6.9", NAMES) is None


def test_a_kernel_that_nobody_can_inflate_is_refused() -> None:
    with pytest.raises(SystemRefused, match="unknown way"):
        vmlinux(bytes(0x400))
