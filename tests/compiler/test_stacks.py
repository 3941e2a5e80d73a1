"""The worst case of kernel stacks: what is added up, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import driver
from compiler.backend import KERNEL, compile_modules
from compiler.diagnostics import render
from compiler.stacks import ASSEMBLY_BYTES, ENTRY_BYTES, RETURN_ADDRESS, StackDepths, faults, measure, report

PROGRAM = '''"""Entry points, each with one question to the stack."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, export, extern, interrupted_by, last_resort, noinline, on_stack, panic
from kernel.lang import recursion, u8


@noinline
def fill(part: Span[u8], value: int) -> int:
    part.fill(u8(value & 255))
    return part[value & 7]


@noinline
def large(value: int) -> int:
    room: Array[u8, Literal[1024]] = Array()
    return fill(room.span(), value)


@noinline
def middle(value: int) -> int:
    return large(value) + large(value + 1)


@export("k_chain")
@on_stack(2048)
def chain(value: int) -> int:
    return middle(value) + fill_small(value)


@noinline
def fill_small(value: int) -> int:
    room: Array[u8, Literal[64]] = Array()
    return fill(room.span(), value)


class Shape:
    def area(self, value: int) -> int:
        return value


class Square(Shape):
    def area(self, value: int) -> int:
        return large(value)


SHAPES: list[Shape] = [Shape(), Square()]


@export("k_virtual")
@on_stack(2048)
def through_a_table(value: int) -> int:
    return SHAPES[value & 1].area(value)


HANDLERS = [large, fill_small]


@export("k_value")
@on_stack(2048)
def through_a_value(value: int) -> int:
    handler = HANDLERS[value & 1]
    return handler(value)


@noinline
@recursion(3)
def bounded(value: int) -> int:
    if value <= 0:
        return fill_small(value)
    return bounded(value - 1) + 1


@export("k_bounded")
@on_stack(2048)
def asks_bounded(value: int) -> int:
    return bounded(value & 1)


@extern("k_copy")
@interrupted_by("k_fault")
def copy_routine(value: int) -> int:
    return value


@export("k_fault")
def fault(value: int) -> int:
    return large(value)


@export("k_interrupted")
@on_stack(2048)
def interrupted(value: int) -> int:
    return copy_routine(value)


@noinline
@last_resort
def after_a_bug(value: int) -> int:
    return large(value)


@export("k_bug")
@on_stack(512)
def counts_no_bug(value: int) -> int:
    if value == 7:
        return after_a_bug(value)
    if value > 1000:
        panic(f"{value} is too large for {large(value)}")
    return value
'''

ENDLESS = '''

@noinline
def odd(value: int) -> int:
    return value if value <= 0 else even(value - 1) + 1


@noinline
def even(value: int) -> int:
    return value if value <= 0 else odd(value - 1) + 2


@export("k_endless")
@on_stack(2048)
def endless(value: int) -> int:
    return even(value)
'''


def depths_of(folder: Path, name: str, text: str) -> StackDepths:
    path = folder / f"{name}.py"
    path.write_text(text)
    program = driver.load([], [path])
    driver.import_live([], [path])
    entries = [name for name in driver.exported_functions(program) if program.functions[name].loc.path == str(path)]
    lowered = driver.lower(program, entries, KERNEL, "release")
    return measure(compile_modules(lowered.modules, KERNEL, "release").objects, lowered.stacks)


@pytest.fixture(scope="module")
def depths(tmp_path_factory: pytest.TempPathFactory) -> StackDepths:
    return depths_of(tmp_path_factory.mktemp("stacks"), "stack_questions", PROGRAM)


def depth(depths: StackDepths, symbol: str) -> int:
    return depths.depth[depths.node(symbol)]


def own(depths: StackDepths, symbol: str) -> int:
    return depths.own_bytes(depths.node(symbol))


def test_frames_are_added_along_the_deepest_chain(depths: StackDepths) -> None:
    names = ["stack_questions.chain", "stack_questions.middle", "stack_questions.large", "stack_questions.fill"]
    assert [symbol for _, symbol in depths.chain(depths.node("k_chain"))][:4] == names
    assert depth(depths, "k_chain") >= sum(own(depths, name) for name in names)
    assert own(depths, "stack_questions.large") > 1024 + RETURN_ADDRESS


@pytest.mark.parametrize("entry", ["k_virtual", "k_value"])
def test_an_indirect_call_costs_what_its_deepest_target_does(depths: StackDepths, entry: str) -> None:
    assert depth(depths, entry) >= own(depths, entry) + own(depths, "stack_questions.large")


def test_recursion_with_a_bound(depths: StackDepths) -> None:
    rounds = depth(depths, "k_bounded") - own(depths, "k_bounded") - depth(depths, "stack_questions.fill_small")
    assert rounds >= 3 * own(depths, "stack_questions.bounded")
    assert rounds < 8 * own(depths, "stack_questions.bounded")


def test_assembly_that_is_interrupted(depths: StackDepths) -> None:
    expected = own(depths, "k_interrupted") + ASSEMBLY_BYTES + ENTRY_BYTES + depth(depths, "k_fault")
    assert depth(depths, "k_interrupted") == expected


def test_what_follows_a_bug_is_not_counted(depths: StackDepths) -> None:
    assert depth(depths, "k_bug") < 512


def test_all_is_well(depths: StackDepths) -> None:
    assert faults(depths) == []
    assert any("stack_questions.chain" in line for line in report(depths))


def test_a_stack_that_is_too_small(depths: StackDepths) -> None:
    depths.facts.entries["stack_questions.chain"] = 1024
    try:
        [fault] = faults(depths)
    finally:
        depths.facts.entries["stack_questions.chain"] = 2048
    assert fault.code == "KP721"
    text = render(fault)
    assert "stack_questions.chain may need" in text and "bytes of stack, and has 1024" in text
    assert "stack_questions.large:" in text


def test_recursion_without_a_bound(tmp_path: Path) -> None:
    found = depths_of(tmp_path, "stack_endless", PROGRAM + ENDLESS)
    assert [{symbol for _, symbol in circle} for circle in found.recursions] == [
        {"stack_endless.odd", "stack_endless.even"}
    ]
    [fault] = faults(found)
    assert fault.code == "KP722"
    text = render(fault)
    assert "recursion without a bound: stack_endless." in text and "stack_endless.py" in text
