"""What many tests share: one simulated season, scored once, and lines that the run reports at its end."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import cast

import hypothesis
import pytest
from filelock import FileLock

from clearsight import demo

# Machines differ in speed; and what the continuous integration says of a commit mustn't depend on luck.
_PATIENT: dict = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("here", **_PATIENT)
hypothesis.settings.register_profile("ci", derandomize=True, **_PATIENT)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

_MEASURED = "measured"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        each for found in terminalreporter.stats.values() for each in found if isinstance(each, pytest.TestReport)
    ]
    # Properties travel with the reports, so that lines come through from the processes of pytest-xdist too.
    told = [
        value for each in reports if each.when == "call" for name, value in each.user_properties if name == _MEASURED
    ]
    if told:
        terminalreporter.section(_MEASURED)
        for line in told:
            terminalreporter.write_line(str(line))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something at the end of the test run, passed or failed."""
    return lambda line: request.node.user_properties.append((_MEASURED, line))


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    """The demo on a smaller site: products, scores, composite, pictures. One for all processes: to be read only."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    made = shared / "season.pickle"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            made.write_bytes(pickle.dumps(demo.run(shared / "season", shape=(300, 300))))
    return cast(demo.Demo, pickle.loads(made.read_bytes()))
