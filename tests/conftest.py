"""What many tests share: one simulated season, scored once, and lines that the run reports at its end."""

from __future__ import annotations

import os
from collections.abc import Callable

import hypothesis
import pytest

from clearsight import demo

# Machines differ in speed; and what the continuous integration says of a commit mustn't depend on luck.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

_LINES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[_LINES]:
        terminalreporter.section("measured")
        for line in config.stash[_LINES]:
            terminalreporter.write_line(line)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something at the end of the test run, passed or failed."""
    return request.config.stash[_LINES].append


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    """The demo on a smaller site: products, scores, composite, pictures."""
    return demo.run(tmp_path_factory.mktemp("demo"), shape=(300, 300))
