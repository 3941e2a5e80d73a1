"""The worst case of kernel stacks: what is added up, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from compiler import driver, stacks
from compiler.backend import KERNEL, compile_modules
from compiler.diagnostics import render
from compiler.frames import ObjectFrames
from compiler.stacks import (
    ASSEMBLY_BYTES,
    ENTRY_BYTES,
    RETURN_ADDRESS,
    StackDepths,
    StackFacts,
    faults,
    measure,
    report,
)

PROGRAM = '''"""Entry points, each with one question to the stack."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, export, extern, interrupted_by, last_resort, noinline, on_stack, panic
from kernel.lang import recursion, u8, with_room


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


@noinline
@with_room(2048)
def on_fresh_room(value: int) -> int:
    return large(value) + nests(value - 1)


@noinline
def nests(value: int) -> int:
    return on_fresh_room(value) + 1 if value > 0 else 0


@export("k_room")
@on_stack(512)
def makes_room(value: int) -> int:
    return nests(value & 1)


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
    assert rounds == 3 * own(depths, "stack_questions.bounded")


def deepest_stack(frames: ObjectFrames, bounds: dict[str, int], node: str, under_way: dict[str, int]) -> int:
    """Bytes by trying each stack that there can be."""
    runs = under_way.get(node, 0) + 1
    if node in bounds and runs > bounds[node]:
        return 0
    under_way = {**under_way, node: runs}
    below = max((deepest_stack(frames, bounds, callee, under_way) for callee in frames.calls[node]), default=0)
    return frames.frames[node] + RETURN_ADDRESS + below


@pytest.mark.parametrize("seed", range(60))
def test_circles_with_bounds_are_as_deep_as_their_deepest_stack(seed: int) -> None:
    """Functions 0 to 2 are bounded; the others call later ones, and the bounded ones."""
    draw = random.Random(seed)
    names = [f"f{number}" for number in range(8)]
    bounds = {name: draw.randint(1, 2) for name in names[:3]}
    calls = {name: draw.sample(names[:3], draw.randint(0, 2)) for name in names}
    for position, name in enumerate(names):
        later = names[max(3, position + 1) :]
        calls[name] += draw.sample(later, min(len(later), draw.randint(0, 2)))
    frames = ObjectFrames({name: draw.randint(1, 50) * 16 for name in names}, calls, {name: [] for name in names})
    found = StackDepths({"package": frames}, StackFacts(bounds=bounds))
    assert found.recursions == []
    expected = {name: deepest_stack(frames, bounds, name, {}) for name in names}
    assert {name: found.depth["package", name] for name in names} == expected


def test_a_circle_with_many_bounds_is_not_underestimated(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"f0": ["f1", "f2"], "f1": ["f2"], "f2": ["f0", "leaf"], "leaf": []}
    frames = ObjectFrames({"f0": 32, "f1": 64, "f2": 16, "leaf": 128}, calls, {name: [] for name in calls})
    bounds = {"f0": 2, "f2": 2}
    exact = StackDepths({"package": frames}, StackFacts(bounds=bounds)).depth
    monkeypatch.setattr(stacks, "MOST_STATES", 1)
    coarse = StackDepths({"package": frames}, StackFacts(bounds=bounds)).depth
    assert all(exact[node] <= coarse[node] <= 4 * exact[node] for node in exact)


def test_assembly_that_is_interrupted(depths: StackDepths) -> None:
    expected = own(depths, "k_interrupted") + ASSEMBLY_BYTES + ENTRY_BYTES + depth(depths, "k_fault")
    assert depth(depths, "k_interrupted") == expected


def test_what_follows_a_bug_is_not_counted(depths: StackDepths) -> None:
    assert depth(depths, "k_bug") < 512


def test_what_has_room_of_its_own_is_not_counted(depths: StackDepths) -> None:
    assert depth(depths, "k_room") < 512
    assert depth(depths, "stack_questions.on_fresh_room") > 1024
    assert depths.recursions == []


def test_room_that_is_too_small(depths: StackDepths) -> None:
    depths.facts.rooms["stack_questions.on_fresh_room"] = 1024
    try:
        [fault] = faults(depths)
    finally:
        depths.facts.rooms["stack_questions.on_fresh_room"] = 2048
    assert fault.code == "KP721"
    assert "bytes of stack, and has room for 1024" in render(fault)


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


def test_a_fault_that_gives_a_call_up_takes_no_stack() -> None:
    """Without the kernel lock, what would serve the fault is not entered."""
    calls = {"thunk": ["copy"], "fault": []}
    objects = {"package": ObjectFrames({"thunk": 64, "fault": 9000}, calls, {name: [] for name in calls})}
    facts = StackFacts(interrupted_by={"copy": "fault"}, handlers={"thunk": "handler"}, unlocked={"thunk"})
    assert [fault.code for fault in faults(StackDepths(objects, facts))] == ["KP721"]
    facts.gives_up.add("copy")
    assert faults(StackDepths(objects, facts)) == []
    objects["package"].frames["thunk"] = 9000
    assert [fault.code for fault in faults(StackDepths(objects, facts))] == ["KP721"]
