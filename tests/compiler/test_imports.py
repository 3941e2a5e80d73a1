"""The modules of the compiler import one way, wherever in a module the import stands. What would make a circle, because
statements hold expressions and these hold calls, goes by the tables of lower/dispatch.py in the back end and by methods
of a derived class in the front end.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from compiler.lower import all as handlers
from compiler.lower import dispatch
from compiler.tree import Expr, Stmt, Target
from tools.import_map import import_statements
from tools.paths import ROOT

# These load mypy, LLVM or a report where a command needs it, so that others start at once.
LATE = {"compiler.__main__", "compiler.driver", "compiler.backend", "compiler.front.dump", "compiler.questions"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted((ROOT / "compiler").rglob("*.py"))}


def imported(tree: ast.AST, *, of_types: bool = False) -> list[str]:
    """The modules of the compiler that the import statements in a tree name; those for types alone if they count."""
    found: list[str] = []
    for statement, only_types in import_statements(tree):
        if only_types and not of_types:
            continue
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif statement.module is not None:
            inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
            found += [name if name in FILES else statement.module for name in inside]
    return [name for name in found if name in FILES]


def circle(graph: dict[str, list[str]]) -> list[str]:
    """Modules that import one another, if there are any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_run_one_way() -> None:
    graph = {name: imported(ast.parse(path.read_text())) for name, path in FILES.items()}
    assert graph["compiler.lower.program"] and graph["compiler.front.statements"] and graph["compiler.driver"]
    assert circle(graph) == []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": ["b"], "b": ["c"], "c": ["a"]})) == {"a", "b", "c"}


def test_an_import_in_a_function_counts() -> None:
    assert imported(ast.parse("def f():\n    from compiler.front.calls import g")) == ["compiler.front.calls"]
    text = "if TYPE_CHECKING:\n    import compiler.tree"
    assert imported(ast.parse(text)) == [] and imported(ast.parse(text), of_types=True) == ["compiler.tree"]


@pytest.mark.parametrize("name", sorted(FILES.keys() - LATE))
def test_no_function_imports(name: str) -> None:
    functions = [n for n in ast.walk(ast.parse(FILES[name].read_text())) if isinstance(n, ast.FunctionDef)]
    assert [found for function in functions for found in imported(function)] == []


def test_every_kind_of_node_has_a_handler() -> None:
    assert handlers.builtins is not None
    for table, base in ((dispatch.EXPRESSIONS, Expr), (dispatch.STATEMENTS, Stmt), (dispatch.TARGETS, Target)):
        assert set(base.__subclasses__()) - set(table) == set()
