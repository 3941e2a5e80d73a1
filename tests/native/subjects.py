"""What runs natively: the unit tests of the modules that are compiled (modules.py), apart from those that then cannot.

A unit test runs natively if its file, with its helpers, imports modules of MODULES and none of `kernel` or `arch`
beside these and those of NUMBERS.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.native.modules import MODULES
from tools.paths import ROOT

# Classes from which tests derive their own, which compiled code calls through Python; and what their methods may raise.
DERIVED: dict[str, dict[str, str]] = {
    "kernel.block.partitions.SectorReader": {"read": "kernel.lang.errors.Errno"},
    "kernel.lib.pace.Rest": {},
    "kernel.net.link.hooks.Hook": {"look": "builtins.MemoryError"},
    "kernel.net.link.timers.NetworkTimer": {"expire": "builtins.MemoryError"},
    "kernel.net.tcp.connection.Wire": {},
    "kernel.time.timers.ProcessorTimer": {},
    "kernel.time.timers.Timer": {},
    "kernel.time.wall_timers.WallTimer": {},
}

# What these offer to tests is numbers, which are the same either way.
NUMBERS = {"arch", "kernel.fs.constants", "kernel.lang", "kernel.lang.errno"}

# Test, or whole file of them -> why it is about Python's form of the code.
LEFT_OUT = {
    "tests/unit/lib/test_order.py::test_steps": "it replaces a constant",
    "tests/unit/lib/test_sorting.py::test_takes_safe_points": "it replaces a method",
    "tests/unit/net/internet/test_coalesce.py": "it replaces the functions that take whole packets",
    "tests/unit/tty/test_discipline.py::test_queue_and_marks_stay_together_without_memory": "lines of Python fail",
}


@cache
def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(name) else node.module for name in inside}
    return found


@cache
def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


@cache
def fixtures_in(path: Path) -> set[str]:
    """The functions of a file that are fixtures."""
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


def conftests_of(path: Path) -> list[Path]:
    """The files whose fixtures a test takes by name."""
    taken = {node.arg for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.arg)}
    above = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT / "tests")]
    return [file for file in above if file.is_file() and file != path and taken & fixtures_in(file)]


def needed_by(path: Path, seen: set[Path] | None = None) -> set[str]:
    """The kernel's modules that a test needs, by its helpers and fixtures too."""
    seen = set() if seen is None else seen
    seen.add(path)
    needed = set()
    for file in conftests_of(path):
        if file not in seen:
            needed |= needed_by(file, seen)
    for name in imports_of(path):
        if name.split(".")[0] in ("kernel", "arch"):
            needed.add(name)
        elif name.split(".")[0] in ("tests", "tools") and is_module(name):
            helper = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if helper.is_file() and helper not in seen:
                needed |= needed_by(helper, seen)
    return needed


def module_file(name: str) -> Path:
    """The source of a module."""
    place = ROOT.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@cache
def unit_tests() -> list[Path]:
    return sorted((ROOT / "tests" / "unit").rglob("test_*.py"))


@cache
def native_tests() -> list[Path]:
    """The files whose tests run against compiled code."""
    found = []
    for path in unit_tests():
        needed = needed_by(path) - NUMBERS
        if needed and needed <= set(MODULES) and str(path.relative_to(ROOT)) not in LEFT_OUT:
            found.append(path)
    return found
