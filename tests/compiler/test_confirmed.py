"""What emission takes from discovery's ranges is confirmed at each call, return and assignment: a program is lowered
after one of these ranges was made too narrow.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from compiler import driver
from compiler.apart import apart
from compiler.backend import HOST
from compiler.freeze import Freezer
from compiler.lower.debug import DebugInfo
from compiler.lower.function import Disbelief
from compiler.lower.interfaces import Options
from compiler.lower.program import Lowering

PROGRAM = """from kernel.lang import noinline


class Base:
    def twice(self, number: int) -> int:
        return number * 2


    def near(self, number: int) -> int:
        return number


class Other(Base):
    def twice(self, number: int) -> int:
        return number + number

    def near(self, number: int) -> int:
        return number + 1


class Third(Base):
    def twice(self, number: int) -> int:
        return number << 1


class Fourth(Base):
    def twice(self, number: int) -> int:
        return 2 * number


@noinline
def given(number: int) -> int:
    return number & 15


def passes_on(number: int) -> int:
    return given(number)


def main() -> int:
    last = 3
    for turn in range(20):
        last = (last + passes_on(turn & 7)) & 15
    some: list[Base] = [Base(), Other(), Third(), Fourth()]
    return some[0].twice(5) + some[1].twice(last & 1) + some[2].near(7)
"""


def emit(file: Path, what: str) -> str:
    """What is wrong with the program's emission."""
    sys.setrecursionlimit(20_000)
    program = driver.load([], [file], cache=driver.library_cache())
    driver.import_live([], [file])
    lowering = Lowering(program, Options(HOST.name, True), Freezer, DebugInfo)
    lowering.analyse([f"{file.stem}.main"])
    world = lowering.world
    instances = {instance.function.name.partition(".")[2]: instance for instance in world.instances.values()}
    match what:
        case "call":
            world.taken[instances["given"]][0] = (0, 6)
        case "virtual":
            world.taken[instances["Other.twice"]][1] = (1, 4)
        case "few":
            world.taken[instances["Other.near"]][1] = (1, 4)
        case "result":
            world.returned[instances["given"]] = (0, 6)
        case "loop":
            found = next(found for (symbol, _), found in world.written.items() if symbol.endswith(".main"))
            assert found["last"] == (0, 15)
            found["last"] = (0, 14)
    try:
        lowering.emit_all(None)  # `emit` would go on without the ranges
    except Disbelief as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("", ""),
        ("call", "argument 0 of program.given may be (0, 7), and discovery saw (0, 6)"),
        ("virtual", "argument 1 of program.Other.twice may be (5, 5), and discovery saw (1, 4)"),
        ("few", "argument 1 of program.Other.near may be (7, 7), and discovery saw (1, 4)"),
        ("result", "the result of program.given may be (0, 7), and discovery saw (0, 6)"),
        ("loop", "a local of program.main may be (0, 15), and discovery saw (0, 14)"),
    ],
)
def test_ranges_are_confirmed(what: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    found = apart(partial(emit, file, what))
    assert found.endswith(said)
    assert bool(found) == bool(said)
