"""What compiling costs, in calls and not in seconds: a phase that gets markedly slower fails here, on any machine.

A fixed program is compiled with `sys.setprofile`, which counts the functions that the compiler calls, Python's own
included. The hash seed is fixed, so the counts are the same each time, however busy the machine is. The program brings
parts of the kernel along (the allocator, the containers), and these grow; so the counts are per function. What a single
call does is not seen: neither mypy nor LLVM, for which the amount of IR stands.

The counts hold for one version of Python, because in others its library makes other calls, and comprehensions are calls
or not; there the test is skipped.

If a limit is broken for a good reason, `python -m tests.compiler.test_effort` prints the numbers for COSTS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (3, 11)  # which counted
MOST_MORE = 1.10  # of what was recorded
LEAST = 0.80  # of it: whoever makes a phase that much quicker records that, so that nobody loses it again

# Calls for each function that is converted or lowered; lines of IR for each function that is lowered.
COSTS = {"calls of the front end": 3171.6, "calls of lowering": 6070.7, "lines of IR": 88.3}

PROGRAM = '''"""A program with something of most that the language has."""

from typing import Literal

from kernel.lang import Array, KernelError, Span, struct, u8, u32


class Refused(KernelError):
    pass


@struct
class Header:
    kind: u8
    length: u32


class Shape:
    name: str

    def __init__(self, name: str) -> None:
        self.name = name

    def area(self) -> int:
        return 0


class Square(Shape):
    side: int

    def __init__(self, side: int) -> None:
        super().__init__("square")
        self.side = side

    def area(self) -> int:
        return self.side * self.side


class Strip(Shape):
    parts: list[int]

    def __init__(self, parts: list[int]) -> None:
        super().__init__("strip")
        self.parts = parts

    def area(self) -> int:
        return sum(part for part in self.parts if part > 0)


def sum_of(data: Span[u8]) -> int:
    total = 0
    for byte in data:
        total += byte
    return total


def checked(shape: Shape | None, limit: int) -> int:
    if shape is None:
        raise Refused
    area = shape.area()
    if area > limit:
        raise Refused
    return area


def main() -> int:
    shapes: dict[str, Shape] = {"a": Square(3), "b": Strip([1, 2, 3])}
    room: Array[u8, Literal[16]] = Array()
    header = Header(kind=1, length=16)
    room[header.kind] = 7
    total = sum_of(room.span()) + header.length
    for name in ("a", "b", "c"):
        try:
            total += checked(shapes.get(name), 8)
        except Refused:
            total += 100
        finally:
            total += 1
    print(f"{total} of {len(shapes)}")
    return total & 0x7F
'''


def measure() -> dict[str, float]:
    """Compile the program in this process, and count."""
    from compiler import driver
    from compiler.backend import HOST
    from compiler.freeze import Freezer
    from compiler.lower.debug import DebugInfo
    from compiler.lower.interfaces import Options
    from compiler.lower.program import Lowering

    own, calls = str(ROOT / "compiler") + os.sep, 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(own):
            calls += 1

    sys.setrecursionlimit(20_000)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "program.py")
        file.write_text(PROGRAM)
        sys.setprofile(count)
        program = driver.load([driver.HOST_MODULE], [file])
        sys.setprofile(None)
        front, calls = calls, 0
        driver.import_live([driver.HOST_MODULE], [file])
        exported = [f for f in driver.exported_functions(program) if f.startswith(driver.HOST_MODULE + ".")]
        sys.setprofile(count)
        lowering = Lowering(program, Options(HOST.name, True), Freezer, DebugInfo)
        texts = dict(lowering.run(["program.main", *exported]))
        sys.setprofile(None)
    lowered = len(lowering.world.instances)
    return {
        "calls of the front end": round(front / len(program.functions), 1),
        "calls of lowering": round(calls / lowered, 1),
        "lines of IR": round(sum(text.count("\n") for text in texts.values()) / lowered, 1),
    }


@pytest.mark.skipif(sys.version_info[:2] != PYTHON, reason="another version of Python makes other calls")
def test_no_phase_gets_slower() -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONHASHSEED="0")
    command = [sys.executable, "-m", "tests.compiler.test_effort"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.keys() == COSTS.keys()
    worse = {name: (COSTS[name], cost) for name, cost in found.items() if cost > COSTS[name] * MOST_MORE}
    better = {name: (COSTS[name], cost) for name, cost in found.items() if cost < COSTS[name] * LEAST}
    assert not worse, "more work for each function than was recorded"
    assert not better, "less work than was recorded: record it"


if __name__ == "__main__":
    print(json.dumps(measure(), indent=4))
