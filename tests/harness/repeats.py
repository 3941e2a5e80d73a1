"""Attempts after the first: a test that passes only then has a race, in the kernel or of its own.

A busy host can upset a test that waits for moments, so a few of them try once more. Each such repetition is counted,
named at the end of the run, and makes the run fail when there are more than `repeat_budget` (pyproject.toml). Where it
was measured that the host was late in the first attempt, that is the reason: such a repetition is named only.
"""

from __future__ import annotations

import pytest

_REPEATED = "repeated"
_HOST_WAS_LATE = "repeated, as the host was late"


def record_repeat(request: pytest.FixtureRequest, why: str, *, host_was_late: bool = False) -> None:
    """The running test's first attempt failed, as `why` shows: it is tried again. A late host was measured."""
    request.node.user_properties.append((_HOST_WAS_LATE if host_was_late else _REPEATED, why))


def repeated_tests(reports: list[pytest.TestReport], *, host_was_late: bool = False) -> list[tuple[str, str]]:
    """The tests that were tried again and then passed, and why; those that failed again are failures anyway."""
    wanted = _HOST_WAS_LATE if host_was_late else _REPEATED
    passed = [report for report in reports if report.passed]
    return [(each.nodeid, str(why)) for each in passed for name, why in each.user_properties if name == wanted]


def budget_of(config: pytest.Config) -> int:
    """How many repetitions a run may have."""
    return int(config.getini("repeat_budget"))
