"""Broken rules that are found while the program is translated already: they are refused as if they had been known."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import driver
from compiler.backend import HOST, ROOT
from compiler.front.later import Later, RuleBroken, find_broken
from compiler.front.program import module_name
from compiler.tree import Diagnostic, Program

PROGRAM = """from collections.abc import Iterator

FLAG = True


def add(a: int) -> int:
    return a + 1


def numbers() -> Iterator[int]:
    yield add(FLAG)


def unreached() -> int:
    return add(True)


def main() -> None:
    print(add(2))
"""
REACHED = PROGRAM.replace("add(2)", "add(True)")
INLINED = PROGRAM.replace("    print(add(2))", "    for number in numbers():\n        print(number)")


def written(folder: Path, text: str) -> Path:
    file = folder / "program.py"
    file.write_text(text)
    return file


def refused(program: Program, file: Path) -> list[Diagnostic]:
    """What the back end says of a program, and of what was found later."""
    entry = f"{module_name(file, ROOT)}.main"
    with pytest.raises(driver.Refused) as error:
        driver.lower(program, [entry], HOST, "dev")
    return error.value.diagnostics


@pytest.mark.parametrize("text", [REACHED, INLINED])
def test_the_same_is_refused(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    driver.import_live([], [file])
    expected = refused(driver.load([], [file], cache=driver.library_cache()), file)
    assert [(d.code, d.loc.path) for d in expected] == [("KP184", str(file))]
    program = driver.load([], [file], cache=driver.library_cache(), is_judged=False)
    found = find_broken(driver.load([], [file], cache=driver.library_cache(), is_judged=False))
    later = Later(program, lambda: found)
    with pytest.raises(RuleBroken):
        driver.lower(program, [f"{module_name(file, ROOT)}.main"], HOST, "dev")
    assert not later.enter(), "it is entered"
    assert refused(program, file) == expected


def test_what_nobody_reaches_may_break_rules(tmp_path: Path) -> None:
    file = written(tmp_path, PROGRAM)
    driver.import_live([], [file])
    program = driver.load([], [file], cache=driver.library_cache(), is_judged=False)
    found = find_broken(driver.load([], [file], cache=driver.library_cache(), is_judged=False))
    assert f"{module_name(file, ROOT)}.unreached" in found[0]
    Later(program, lambda: found)
    entry = f"{module_name(file, ROOT)}.main"
    plain = driver.load([], [file], cache=driver.library_cache())
    assert driver.lower(program, [entry], HOST, "dev").modules == driver.lower(plain, [entry], HOST, "dev").modules
