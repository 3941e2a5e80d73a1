"""Emission takes ranges from discovery, and does without them where it finds a number outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import driver
from compiler.apart import apart
from compiler.backend import HOST
from compiler.lower.function import Disbelief, FunctionLowerer

PROGRAM = """from kernel.lang import noinline


@noinline
def last(stop: int) -> int:
    found = 0
    for number in range(stop):
        found = number
    return found


def main() -> None:
    print(last(5))
"""


def test_a_range_that_does_not_hold_is_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    doubts: list[str] = []

    def doubt(lowerer: FunctionLowerer, found: tuple[int, int], known: tuple[int, int], what: str) -> None:
        doubts.append(what)
        raise Disbelief(what)

    monkeypatch.setattr(FunctionLowerer, "confirm", doubt)
    file = tmp_path / "forgetful_program.py"
    file.write_text(PROGRAM, encoding="utf-8")

    def work() -> tuple[str, int]:
        program = driver.load([driver.HOST_MODULE], [file], cache=driver.library_cache())
        driver.import_live([driver.HOST_MODULE], [file])
        entries = driver.host_entries(program, "forgetful_program.main", [file])
        return driver.lower(program, entries, HOST, "release").modules["forgetful_program"], len(doubts)

    text, count = apart(work)
    assert "forgetful_program.last" in text
    assert count == 1
