"""A file of system calls is found by whoever knows the manual pages: it is named after one, or after several that its
first lines name, and it is short.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from kernel.syscalls import all as families
from tools.paths import ROOT

LONGEST = 300  # lines
FILES = sorted((ROOT / "kernel" / "syscalls").glob("*.py"))


def calls_of(tree: ast.Module) -> set[str]:
    """The calls that a file declares."""
    found: set[str] = set()
    for node in tree.body:
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "syscall":
                name = decorator.args[0]
                assert isinstance(name, ast.Constant) and isinstance(name.value, str)
                found.add(name.value)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_after_its_manual_pages(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    calls = calls_of(tree)
    if not calls:
        return
    pages = set(re.findall(r"(\w+)\([237]\)", ast.get_docstring(tree) or ""))
    known = calls | pages
    assert path.stem in known or all(part in known for part in path.stem.split("_")), sorted(known)
    assert hasattr(families, path.stem), "kernel/syscalls/all.py does not import it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
