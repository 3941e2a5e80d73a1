"""Which files of tests took longest: set-up and clean-up count, so that what tests share counts where it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

LONGEST = 30


def seconds_by_file(reports: Iterable[pytest.TestReport]) -> dict[str, float]:
    """Of all phases of all tests of a file, the longest first."""
    seconds: dict[str, float] = {}
    for report in reports:
        file = report.nodeid.partition("::")[0]
        seconds[file] = seconds.get(file, 0.0) + report.duration
    return dict(sorted(seconds.items(), key=lambda entry: -entry[1]))


def lines_of(seconds: Mapping[str, float], most: int = LONGEST) -> list[str]:
    """A table of the longest, and of all together."""
    shown = [(sum(seconds.values()), "all files"), *((value, file) for file, value in list(seconds.items())[:most])]
    return [f"{value:8.1f} s  {file}" for value, file in shown]
