# SPDX-License-Identifier: Apache-2.0
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krait.common.errors import UsageError
from krait.kernel.bpf.pin import escape, is_interface, require_interface, unescape

interfaces = st.text(string.ascii_letters + string.digits + "_=+.-", min_size=1, max_size=15)


@given(interfaces | st.text("%25e.:a"))
def test_an_escaped_name_has_no_dot_and_can_be_read_back(name: str) -> None:
    escaped = escape(name)
    assert "." not in escaped
    assert unescape(escaped) == name


@given(interfaces)
def test_what_an_interface_can_be_called_is_taken(name: str) -> None:
    require_interface(name)
    assert is_interface(name)


@pytest.mark.parametrize("name", ["", "a/b", "wg0%", "wg 0", "sixteen-letters-", "wg0\n"])
def test_what_no_interface_is_called_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        require_interface(name)
