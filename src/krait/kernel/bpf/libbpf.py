# SPDX-License-Identifier: Apache-2.0
"""The system's libbpf.so.1 (1.0 or newer), as far as Krait needs it: objects and their BTF.

Functions return what libbpf returns; `pointer()` and `success()` turn a refusal into BpfRefused
with what libbpf printed since the last one.
"""

import ctypes
import mmap
import threading
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32
from functools import cache

from krait.common.errors import SystemRefused
from krait.kernel.bpf.errors import BpfRefused, refused
from krait.kernel.bpf.syscall import LIBC

Handle = ctypes.c_void_p
"""A pointer into libbpf: an object, a map, a program or types."""

_PROTOTYPES = {
    "libbpf_set_print": (Handle, Handle),
    "bpf_object__open_file": (Handle, c_char_p, Handle),
    "bpf_object__load": (c_int, Handle),
    "bpf_object__close": (None, Handle),
    "bpf_object__btf": (Handle, Handle),
    "bpf_object__next_map": (Handle, Handle, Handle),
    "bpf_object__next_program": (Handle, Handle, Handle),
    "bpf_map__name": (c_char_p, Handle),
    "bpf_map__fd": (c_int, Handle),
    "bpf_map__type": (c_int, Handle),
    "bpf_map__key_size": (c_uint32, Handle),
    "bpf_map__value_size": (c_uint32, Handle),
    "bpf_map__max_entries": (c_uint32, Handle),
    "bpf_map__map_flags": (c_uint32, Handle),
    "bpf_map__is_internal": (ctypes.c_bool, Handle),
    "bpf_map__initial_value": (Handle, Handle, POINTER(c_size_t)),
    "bpf_map__set_max_entries": (c_int, Handle, c_uint32),
    "bpf_map__reuse_fd": (c_int, Handle, c_int),
    "bpf_program__name": (c_char_p, Handle),
    "bpf_program__fd": (c_int, Handle),
    "bpf_program__set_log_level": (c_int, Handle, c_uint32),
    "bpf_program__set_log_buf": (c_int, Handle, Handle, c_size_t),
    "btf__find_by_name_kind": (c_int32, Handle, c_char_p, c_uint32),
    "btf__type_by_id": (Handle, Handle, c_uint32),
    "btf__name_by_offset": (c_char_p, Handle, c_uint32),
    "btf__resolve_size": (c_int64, Handle, c_uint32),
    "btf__resolve_type": (c_int, Handle, c_uint32),
}

_WARN = 0  # enum libbpf_print_level
_LOG_BYTES = 1 << 24  # the longest log the verifier writes; only pages written to exist


class _Log(threading.local):
    """What libbpf printed to this thread."""

    def __init__(self) -> None:
        self.text = ""

    def drain(self) -> str:
        text, self.text = self.text, ""
        return text


_log = _Log()


@cache
def libbpf() -> ctypes.CDLL:
    """The library with its prototypes set; loaded by the first call, which may raise."""
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        for name, (result, *arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise SystemRefused(
            f"libbpf cannot be used: {error}",
            hint="apt install libbpf1 (or your system's libbpf 1.x)",
        ) from None
    library.libbpf_set_print(_print_callback)
    return library


def pointer(result: int | None, subject: object, doing: str) -> int:
    """`result`, which libbpf makes NULL to refuse."""
    if not result:
        raise _refusal(ctypes.get_errno(), subject, doing)
    _log.drain()
    return result


def success(result: int, subject: object, doing: str) -> int:
    """`result`, which libbpf makes a negative errno to refuse."""
    if result < 0:
        raise _refusal(-result, subject, doing)
    _log.drain()
    return result


def _refusal(number: int, subject: object, doing: str) -> BpfRefused:
    return refused(number, subject, doing, log=_log.drain())


def _print(level: int, message_format: bytes, arguments: int) -> int:
    if level != _WARN:
        return 0
    # A va_list can be walked once only, so there is no asking for the length first. It is passed
    # as a pointer on every architecture Krait knows.
    with mmap.mmap(-1, _LOG_BYTES) as page:
        buffer = ctypes.c_char.from_buffer(page)
        LIBC.vsnprintf(
            ctypes.byref(buffer), c_size_t(_LOG_BYTES), message_format, Handle(arguments)
        )
        del buffer
        _log.text += page[: page.find(b"\0")].decode(errors="replace")
    return 0


_print_callback = CFUNCTYPE(c_int, c_int, c_char_p, Handle)(_print)  # held as long as the library
