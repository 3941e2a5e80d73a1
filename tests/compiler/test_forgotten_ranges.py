"""Emission takes ranges from discovery, and does without them where it finds a number outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import driver
from compiler.apart import apart
from compiler.backend import HOST
from compiler.freeze import Freezer
from compiler.lower.debug import DebugInfo
from compiler.lower.function import Disbelief, FunctionLowerer
from compiler.lower.interfaces import Options
from compiler.lower.program import Lowering

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

    def work() -> tuple[bool, int]:
        program = driver.load([], [file], cache=driver.library_cache())
        driver.import_live([], [file])
        lowering = Lowering(program, Options(HOST.name, True), Freezer, DebugInfo)
        lowering.analyse(["forgetful_program.main"])
        lowering.emit()
        return "forgetful_program" in lowering.modules and not lowering.errors, len(doubts)

    is_there, count = apart(work)
    assert is_there
    assert count == 1
