"""The list of modules that may be unsafe is short, and holds none that need not be on it."""

from __future__ import annotations

import ast

from compiler.front.declarations import UNSAFE_MODULES, unsafe_allowed
from compiler.unsafe_share import line_counts, module_name
from tools.paths import ROOT

MOST = 0.08


def _imports(text: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_the_unsafe_modules_are_a_small_part_of_the_kernel() -> None:
    unsafe, total = line_counts()
    assert sum(unsafe.values()) / total < MOST


def test_each_module_on_the_list_needs_to_be_there() -> None:
    needing = {
        module_name(path)
        for package in ("kernel", "arch")
        for path in (ROOT / package).rglob("*.py")
        if _imports(path.read_text(encoding="utf-8")) & set(UNSAFE_MODULES)
    }
    assert unsafe_allowed(str(ROOT)) == needing | set(UNSAFE_MODULES)
