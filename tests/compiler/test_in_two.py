"""What is lowered in two processes is what one makes of it."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from compiler import apart, driver
from compiler.backend import HOST, ROOT
from compiler.escape.check import Misplaced
from compiler.escape.program import Placed
from compiler.front.program import module_name
from compiler.lower import program as lowering
from compiler.lower.module import Module
from compiler.lower.program import Lowered, lighter_half
from compiler.lower.world import Instance
from compiler.tree import Diagnostic

PROGRAM = """
from kernel.lang import u32


class Pair:
    def __init__(self, first: int, second: str) -> None:
        self.first = first
        self.second = second


def shown(pairs: list[Pair]) -> str:
    return ", ".join([f"{pair.first} {pair.second}" for pair in pairs])


def main() -> None:
    pairs = [Pair(number, f"number {u32(number)}") for number in range(4)]
    names: dict[str, int] = {}
    for pair in pairs:
        names[pair.second] = pair.first
    try:
        print(shown(pairs), len(names))
    finally:
        print("done")
"""


def lowered(file: Path) -> Lowered:
    driver.import_live([], [file])
    program = driver.load([], [file], cache=driver.library_cache())
    return driver.lower(program, [f"{module_name(file, ROOT)}.main"], HOST, "release")


def in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "MANY", 0)
    monkeypatch.setattr(lowering, "has_room", lambda: True)
    monkeypatch.setattr(apart, "has_room", lambda: True)


def test_two_processes_make_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    alone = lowered(file)
    in_two(monkeypatch)
    here: list[str] = []
    emit_here = lowering.Lowering.emit_here

    def noted(self: lowering.Lowering, instances: list[Instance]) -> None:
        here.extend(instance.package for instance in instances)
        emit_here(self, instances)

    monkeypatch.setattr(lowering.Lowering, "emit_here", noted)
    together = lowered(file)
    assert 0 < len(set(here)) < len({name for name in alone.modules if not name.startswith("krait.")})
    assert together == alone


def test_errors_are_those_that_one_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    in_two(monkeypatch)
    lower = lowering.Lowering.lower

    def refusing(self: lowering.Lowering, module: Module, instance: Instance) -> str:
        if not self.world.discovering and instance.symbol.endswith((".shown", ".main")):
            raise Diagnostic("KP999", instance.function.loc, instance.symbol)
        return lower(self, module, instance)

    monkeypatch.setattr(lowering.Lowering, "lower", refusing)
    with pytest.raises(driver.Refused) as refused:
        lowered(file)
    assert [error.message for error in refused.value.diagnostics] == ["program.shown", "program.main"]


@pytest.mark.parametrize("half", [True, False])
def test_faults_of_ours_show_where_they_were_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    in_two(monkeypatch)
    own, emit_here = os.getpid(), lowering.Lowering.emit_here

    def broken(self: lowering.Lowering, instances: list[Instance]) -> None:
        if (os.getpid() == own) == half:
            raise AssertionError("in one of two halves")
        emit_here(self, instances)

    monkeypatch.setattr(lowering.Lowering, "emit_here", broken)
    with pytest.raises(AssertionError, match="in one of two halves") as error:
        lowered(file)
    shown = "".join(traceback.format_exception(error.value))
    assert "in broken" in shown
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_fault_that_another_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    in_two(monkeypatch)

    def fault(self: Placed) -> None:
        raise Misplaced("here")

    monkeypatch.setattr(Placed, "check", fault)
    with pytest.raises(Misplaced, match="here"):
        lowered(file)


def test_halves() -> None:
    assert lighter_half({}) == set() == lighter_half({"a": 5})
    assert lighter_half({"a": 5, "b": 3, "c": 3, "d": 1}) in ({"a", "d"}, {"b", "c"})
    assert lighter_half({"a": 2, "b": 3}) == {"a"}
