# SPDX-License-Identifier: Apache-2.0
"""What stands in for something that goes wrong."""

from collections.abc import Callable
from typing import Any


def raising(error: BaseException) -> Callable[..., Any]:
    """Whatever it is asked, this comes of it."""

    def fails(*_: object, **__: object) -> Any:  # noqa: ANN401
        raise error

    return fails
