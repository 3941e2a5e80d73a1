"""An open description is counted by `File.__init__`: what else its constructor needs memory for comes before that, or
is undone. Otherwise a call that finds no memory leaves a description that nobody can close.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from tests.unit.scarcity import lines_of
from tools.paths import ROOT

BASE = "File"


@functools.cache
def classes() -> dict[str, tuple[Path, ast.ClassDef, list[str]]]:
    """All classes of the kernel by name, each with its file and the names of its bases."""
    found: dict[str, tuple[Path, ast.ClassDef, list[str]]] = {}
    for path in sorted((ROOT / "kernel").rglob("*.py")):
        text = path.read_text()
        if "super().__init__(" in text or f"class {BASE}" in text:
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name] = path, node, [each.id for each in node.bases if isinstance(each, ast.Name)]
    return found


def is_file(name: str) -> bool:
    if name not in classes():
        return False
    bases = classes()[name][2]
    return BASE in bases or any(is_file(each) for each in bases)


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return each
    return None


def late_lines(path: Path, function: ast.FunctionDef) -> list[int]:
    """The lines of a constructor that allocate once the base has counted, apart from those in `try`."""
    counted = False
    wrong: list[int] = []
    for statement in function.body:
        if counted and not isinstance(statement, ast.Try):
            allocating = lines_of(str(path)).allocating
            wrong += [line for line in range(statement.lineno, (statement.end_lineno or 0) + 1) if line in allocating]
        counted = counted or ast.unparse(statement).startswith("super().__init__(")
    return wrong


def test_nothing_allocates_once_it_is_counted() -> None:
    seen: set[str] = set()
    wrong: list[str] = []
    for name, (path, node, _) in classes().items():
        function = constructor(node)
        if function is not None and is_file(name):
            seen.add(name)
            wrong += [f"{path.relative_to(ROOT)}:{line}: {name}" for line in late_lines(path, function)]
    assert {"Socket", "UdpSocket", "TcpSocket", "TimerFile"} <= seen
    assert not wrong
