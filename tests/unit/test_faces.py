"""What a package of the kernel offers by its own name, its face, is what others import from there.

Not judged: `kernel.lang`, the prelude that every program has, and `arch`, which offers what docs/porting.md asks of an
architecture (tests/unit/arch/test_contract.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tools.import_map import import_statements, module_name
from tools.paths import ROOT

READERS = ("kernel", "arch", "tools", "tests", "compiler", "userland")


def offered(package: Path) -> set[str]:
    """The names that a package's own module imports for others."""
    tree = ast.parse((package / "__init__.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def faces() -> dict[str, Path]:
    packages = [path.parent for path in sorted((ROOT / "kernel").rglob("__init__.py"))]
    return {module_name(path): path for path in packages if path.name != "lang" and offered(path)}


def parsed() -> Iterator[ast.Module]:
    """The sources that import from a face: to read all of them takes ten times as long."""
    reads = re.compile(rf"\bfrom\s+(?:{'|'.join(map(re.escape, faces()))})\s+import\b")
    for path in (path for top in READERS for path in (ROOT / top).rglob("*.py")):
        source = path.read_text()
        if not reads.search(source):
            continue
        try:
            yield ast.parse(source)
        except SyntaxError:  # a program that the compiler has to refuse
            assert path.is_relative_to(ROOT / "tests" / "compiler"), path


@cache
def wanted() -> dict[str, set[str]]:
    """The names that somebody imports from each face."""
    found: dict[str, set[str]] = {}
    for tree in parsed():
        for statement, _ in import_statements(tree):
            if isinstance(statement, ast.ImportFrom) and statement.module is not None:
                found.setdefault(statement.module, set()).update(alias.name for alias in statement.names)
    return found


@pytest.mark.parametrize("face", faces())
def test_a_face_offers_what_somebody_imports_from_it(face: str) -> None:
    package = faces()[face]
    assert sorted(offered(package) - wanted().get(face, set())) == []


def test_faces_are_found() -> None:
    assert {"kernel.task", "kernel.sched", "kernel.time", "kernel.cache"} <= set(faces())
