"""Open files are counted by `File.__init__`: what needs memory comes before it, or a failure leaves them counted."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.paths import ROOT


def _constructors() -> Iterator[tuple[Path, ast.ClassDef, ast.FunctionDef]]:
    """Constructors that hand a place to that of their base class."""
    for path in sorted((ROOT / "kernel").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.ClassDef):
                continue
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and "super().__init__(path, flags" in ast.unparse(method):
                    yield path, node, method


def _allocates(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, (ast.List, ast.Dict, ast.ListComp, ast.JoinedStr)):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in ("len", "min", "max"):
            return True
    return False


def test_nothing_is_allocated_once_a_file_is_counted() -> None:
    found = []
    count = 0
    for path, owner, method in _constructors():
        count += 1
        calls = [index for index, each in enumerate(method.body) if "super().__init__(" in ast.unparse(each)]
        for statement in method.body[calls[0] + 1 :]:
            if _allocates(statement):
                found.append(f"{path.relative_to(ROOT)}: {owner.name}: {ast.unparse(statement)}")
    assert count >= 5
    assert found == []
