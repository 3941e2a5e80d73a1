"""The modules of compiler/lower import one way. What would make a circle, because statements hold expressions and these
hold calls, goes by the tables of dispatch.py. So no function imports a module of the compiler, either.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from compiler.lower import all as handlers
from compiler.lower import dispatch
from compiler.tree import Expr, Stmt, Target
from tools.paths import ROOT

PACKAGE = "compiler.lower"
FILES = sorted((ROOT / "compiler" / "lower").glob("*.py"))
NAMES = {path.stem for path in FILES}


def imported(tree: ast.AST) -> list[str]:
    """The modules of the package that an import statement in the tree names."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found += [node.module.removeprefix(f"{PACKAGE}.")]
        elif isinstance(node, ast.Import):
            found += [alias.name.removeprefix(f"{PACKAGE}.") for alias in node.names]
    return [name for name in found if name in NAMES]


def at_run_time(tree: ast.Module) -> ast.Module:
    """The module without what only type checkers read."""
    body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    return ast.Module(body, [])


def circle(graph: dict[str, list[str]]) -> list[str]:
    """Modules that import one another, if there are any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_run_one_way() -> None:
    graph = {path.stem: imported(at_run_time(ast.parse(path.read_text()))) for path in FILES}
    assert graph["program"] and graph["loops"]
    assert circle(graph) == []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": ["b"], "b": ["c"], "c": ["a"]})) == {"a", "b", "c"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_function_imports(path: Path) -> None:
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    assert [name for function in functions for name in imported(function)] == []


def test_every_kind_of_node_has_a_handler() -> None:
    assert handlers.builtins is not None
    for table, base in ((dispatch.EXPRESSIONS, Expr), (dispatch.STATEMENTS, Stmt), (dispatch.TARGETS, Target)):
        assert set(base.__subclasses__()) - set(table) == set()
