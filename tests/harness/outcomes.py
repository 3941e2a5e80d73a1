"""A plugin of pytest that writes down how each test ended, as soon as it did: `-p tests.harness.outcomes`, and the file
in KRAIT_OUTCOMES. So two machines can be compared by it, also when one of them stopped in the middle.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "KRAIT_OUTCOMES"
WORST = ("passed", "skipped", "failed")  # of the three parts of a test (set-up, call, tear-down) the worst counts


class Outcomes:
    """Collects what is reported of each test, and appends a line `outcome name` when it has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, str] = {}
        path.write_text("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = self._found.get(report.nodeid, WORST[0])
        outcome = max(known, report.outcome, key=WORST.index)
        self._found[report.nodeid] = outcome
        if report.when == "teardown":
            with self._path.open("a") as lines:
                lines.write(f"{outcome} {report.nodeid}\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            with self._path.open("a") as lines:
                lines.write(f"{report.outcome} {report.nodeid}\n")


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get(VARIABLE)
    if path and not hasattr(config, "workerinput"):  # of several processes, the one that hears all reports
        config.pluginmanager.register(Outcomes(Path(path)), "outcomes-of-tests")


def read(path: Path) -> dict[str, str]:
    """Outcomes by the name of the test."""
    pairs = (line.split(" ", 1) for line in path.read_text().splitlines())
    return {name: outcome for outcome, name in pairs}
