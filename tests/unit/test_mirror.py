"""tests/unit has the rooms of the kernel, so that whoever looks for a module's tests knows where: the tests of
kernel/ROOM/module.py are those of tests/unit/ROOM/test_module.py. Subjects that lie across modules have files of their
own beside these.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tools.paths import ROOT

KERNEL = ROOT / "kernel"
UNIT = ROOT / "tests" / "unit"
OTHERS = {"arch", "tools"}  # beside the kernel's: the processor's, and the project's own programs
LOGIC = 4  # a module with as many branches and loops has some
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.Match, ast.BoolOp)

# How many modules with logic have no test file of their own name, at most. A module that gets one lowers its room's.
MOST_WITHOUT = {
    "block": 3, "bpf": 25, "cache": 20, "cgroup": 5, "crypto": 10, "doors": 5, "drivers": 10, "fs": 165, "ipc": 5,
    "keys": 15, "lib": 20, "mm": 25, "net": 190, "perf": 15, "sched": 15, "start": 5, "syscalls": 120, "task": 50,
    "time": 5, "tty": 3, "uring": 15,
}  # fmt: skip


def without_tests() -> list[Path]:
    """Modules with logic, as paths in kernel/, for which there is no such file."""
    found = []
    for path in sorted(KERNEL.rglob("*.py")):
        place = path.relative_to(KERNEL)
        its_tests = UNIT / place.with_name(f"test_{path.name}")
        if path.name == "__init__.py" or place.parts[0] == "lang" or its_tests.exists():
            continue
        branches = sum(isinstance(node, BRANCHES) for node in ast.walk(ast.parse(path.read_text())))
        if branches >= LOGIC:
            found.append(place)
    return found


def test_directories_are_the_kernel_s() -> None:
    found = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    strangers = [
        str(each) for each in found if each.parts and each.parts[0] not in OTHERS and not (KERNEL / each).is_dir()
    ]
    assert strangers == []


def test_every_directory_of_the_kernel_has_tests() -> None:
    places = [path.parent.relative_to(KERNEL) for path in KERNEL.rglob("__init__.py")]
    assert [str(each) for each in places if not any((UNIT / each).rglob("test_*.py"))] == []


def test_modules_with_logic_have_tests_of_their_own() -> None:
    lacking = without_tests()
    for room in {place.parts[0] for place in lacking}:
        names = [str(place) for place in lacking if place.parts[0] == room]
        assert len(names) <= MOST_WITHOUT.get(room, 0), names
