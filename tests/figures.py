# SPDX-License-Identifier: Apache-2.0
"""What tests measured, printed once the session is over, whichever process of it they ran in."""

import pytest


class Figures:
    """Takes a line; none of it is judged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)


_FIGURES = pytest.StashKey[Figures]()
_OUTPUT = "figures"


def _of(config: pytest.Config) -> Figures:
    return config.stash.setdefault(_FIGURES, Figures())


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    return _of(request.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist hands over what it has: it has no terminal."""
    output: dict[str, list[str]] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = _of(session.config).lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    config: pytest.Config = getattr(node, "config")  # noqa: B009 - xdist has no types
    output: dict[str, list[str]] = getattr(node, "workeroutput", {})  # a crashed worker has none
    _of(config).lines += output.get(_OUTPUT, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Not as a fixture ends: what is written there is captured, and shown of failures alone."""
    if found := _of(config).lines:
        terminalreporter.section("measured")
        for line in found:
            terminalreporter.line(line)
