# SPDX-License-Identifier: Apache-2.0
"""What a tier needs of the machine, and what happens where it is missing.

A test that cannot run is skipped on a developer's machine and fails in CI: a green CI means that
everything ran.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NoReturn

import pytest

from krait.common.errors import KraitError
from krait.kernel.filter import supported_kind
from krait.kernel.seat import AttachKind
from krait.lab.virtual.kernels import tool


def cannot_run(reason: str) -> NoReturn:
    """End this test, or at import this file, because the machine lacks something.

    `reason` says what is missing and how to mend it. Under CI=true it is a failure, else a skip.
    """
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(f"cannot run, and CI must run everything: {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def need_tools(*names: str) -> None:
    """End this test unless every program is installed (packaging/packages.txt lists them)."""
    if reason := _missing(*names):
        cannot_run(reason)


def _missing(*names: str) -> str:
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return ""
    return f"no {', '.join(missing)} here: `./just test` installs what tests need"


def _kinds() -> tuple[AttachKind, ...]:
    if os.geteuid() == 0:
        with suppress(KraitError):  # who may not even ask will hear why from the tests
            return tuple(AttachKind)[tuple(AttachKind).index(supported_kind()) :]
    return tuple(AttachKind)


KINDS = _kinds()
"""The ways to attach that this kernel knows, the best first: what tests of both kinds run over."""

NEEDS_TCX = pytest.mark.skipif(
    AttachKind.TCX not in KINDS, reason="does not apply: TCX came with Linux 6.6"
)
"""For tests of TCX itself. On an older kernel nothing is missing, so that CI is content as well."""


def _unit() -> str:
    return ""


@cache
def _kernel() -> str:
    if os.geteuid() != 0:
        return "needs root: `sudo ./just test`"
    if not files("krait.kernel.bpf").joinpath("krait.bpf.o").is_file():
        return "the eBPF object is not built: `./just build-all`"
    return ""


@cache
def _netns() -> str:
    return _kernel() or _missing("ip", "wg", "wireguard-go")


@cache
def _vm() -> str:
    try:
        for program in ("qemu-system-x86_64", "virtiofsd", "busybox", "depmod", "lz4", "zstd"):
            tool(program)
    except KraitError as error:
        return f"{error.message}: {error.hint}"
    return _netns()


TIERS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"unit": _unit, "kernel": _kernel, "netns": _netns, "vm": _vm}
)
"""Each tier's folder and marker, and why it cannot run here; "" where it can."""
