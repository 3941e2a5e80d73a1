"""The table of what took longest at the end of a run of all tests."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.harness.durations import lines_of, seconds_by_file


def report(test: str, when: Literal["setup", "call", "teardown"], seconds: float) -> pytest.TestReport:
    return pytest.TestReport(test, ("", None, ""), {}, "passed", None, when, duration=seconds)


def test_what_is_made_for_all_tests_of_a_file_counts() -> None:
    reports = [report("a.py::test_one", "call", 2.0), report("b.py::test_one", "setup", 3.0)]
    reports += [report("b.py::test_one", "call", 0.5), report("b.py::test_two[a::b]", "teardown", 0.25)]
    found = seconds_by_file(reports)
    assert list(found.items()) == [("b.py", 3.75), ("a.py", 2.0)]
    assert lines_of(found, most=1) == ["     5.8 s  all files", "     3.8 s  b.py"]
