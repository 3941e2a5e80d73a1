"""The layers of docs/architecture.md: every module has a room, imports run downwards, and there are no circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tools.paths import ROOT

PACKAGES_OF_ROOMS = {"kernel", "kernel.drivers", "kernel.net"}  # their __init__ is a docstring


class Import(NamedTuple):
    importer: str
    imported: str
    line: int
    only_types: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for top in ("kernel", "arch") for path in (ROOT / top).rglob("*.py")}


def is_type_checking(statement: ast.stmt) -> bool:
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def import_statements(node: ast.AST, only_types: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """All of them, those in functions as well, and whether each is there for types alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, only_types
        else:
            yield from import_statements(child, only_types or (isinstance(child, ast.stmt) and is_type_checking(child)))


@cache
def imports() -> list[Import]:
    found = []
    for name, path in modules().items():
        for statement, only_types in import_statements(ast.parse(path.read_text())):
            if isinstance(statement, ast.Import):
                targets = [alias.name for alias in statement.names]
            else:
                assert statement.module is not None and statement.level == 0, f"{path}: a relative import"
                inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
                targets = [target if target in modules() else statement.module for target in inside]
            found += [Import(name, target, statement.lineno, only_types) for target in targets if target in modules()]
    return found


@cache
def layers() -> dict[str, int]:
    """Rooms and their heights, from the table of the architecture page."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("## Rooms and layers", 1)[1].split("\n## ", 1)[0]
    rooms = re.findall(r"^\| `((?:kernel|arch)(?:/\w+)*)` \|", section, re.MULTILINE)
    return {room.replace("/", "."): height for height, room in enumerate(rooms)}


def room_of(module: str) -> str | None:
    """The innermost room that the module lies in."""
    rooms = [room for room in layers() if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


def test_every_module_has_a_room() -> None:
    assert [name for name in modules() if room_of(name) is None and name not in PACKAGES_OF_ROOMS] == []


def test_every_room_has_modules() -> None:
    assert set(layers()) == {room_of(name) for name in modules()} - {None}


def test_imports_run_downwards() -> None:
    upwards = []
    for found in imports():
        lower, upper = room_of(found.imported), room_of(found.importer)
        if lower is not None and upper is not None and layers()[lower] > layers()[upper]:
            upwards.append(f"{modules()[found.importer].relative_to(ROOT)}:{found.line}: imports {found.imported}")
    assert upwards == []


def test_no_module_imports_one_that_imports_it() -> None:
    """Function-local imports count: they hide a circle, they do not open it."""
    below: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        if not found.only_types and found.imported != found.importer:
            below[found.importer].add(found.imported)
    settled: set[str] = set()
    while True:  # take away whatever needs nothing that is still there: what stays is a circle, or stands above one
        ready = {name for name, needed in below.items() if name not in settled and needed <= settled}
        if not ready:
            break
        settled |= ready
    assert sorted(set(below) - settled) == []


def circles() -> set[frozenset[str]]:
    """Sets of modules of which each leads to each other, by imports for types too."""
    below: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        below[found.importer].add(found.imported)

    def reached(name: str) -> set[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            more = below[waiting.pop()] - seen
            seen |= more
            waiting += more
        return seen

    far = {name: reached(name) for name in modules()}
    alike = [frozenset(other for other in far[name] if name in far[other]) for name in modules() if name in far[name]]
    return {circle for circle in alike if len(circle) > 1}


def named_circles() -> set[frozenset[str]]:
    """Those of the architecture page: one thing in several files."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("### One thing in several files", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([\w/]+)`: ([^|]*) \|", section, re.MULTILINE)
    return {
        frozenset(f"{room.replace('/', '.')}.{name.replace('/', '.')}" for name in re.findall(r"`([\w/]+)`", names))
        for room, names in rows
    }


def test_circles_of_types_are_things_that_the_page_names() -> None:
    assert {tuple(sorted(circle)) for circle in circles()} == {tuple(sorted(circle)) for circle in named_circles()}


def test_types_refer_back_inside_a_room_only() -> None:
    height = {name: layers()[room_of(name) or name] for name in modules() if name not in PACKAGES_OF_ROOMS}
    of_types = [found for found in imports() if found.only_types]
    assert [found for found in of_types if height[found.imported] > height[found.importer]] == []
