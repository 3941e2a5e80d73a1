"""Code that runs when the program is built: the rules of the subset do not bind it."""

from __future__ import annotations

import ast
from pathlib import Path

from compiler.front.rules import walk
from compiler.tree import CallFunction, CallMethod, Diagnostic, Function, Global, Program


def rule_errors(program: Program, paths: set[str]) -> list[Diagnostic]:
    """Broken rules in the files, those of build-time code apart."""
    return errors_beside(program, paths, {name for path in paths for name in build_time_functions(program, path)})


def errors_beside(program: Program, paths: set[str], build_time: set[str]) -> list[Diagnostic]:
    """Broken rules in the files, but not those of some functions."""
    errors: list[Diagnostic] = []
    for decl in program.classes.values():
        if decl.loc.path in paths:
            errors += decl.errors
    for function in program.functions.values():
        if function.loc.path in paths and function.name not in build_time:
            errors += function.errors
    return errors


def build_time_functions(program: Program, path: str) -> set[str]:
    """Functions that only the module level of their file uses (decorators, makers of tables): they run at import."""
    functions = [f for f in program.functions.values() if f.loc.path == path and f.cls is None]
    used_outside = _module_level_names(path)
    candidates = {f.name for f in functions if f.name.rsplit(".", 1)[-1] in used_outside}
    if not candidates:
        return candidates
    mentioned = {f.name: names for f in program.functions.values() if (names := candidates & _mentioned(f))}
    while reached := set[str]().union(*(names for f, names in mentioned.items() if f not in candidates)) & candidates:
        candidates -= reached
    return candidates


def _module_level_names(path: str) -> set[str]:
    """Names that the code of the module itself mentions: outside functions' bodies."""
    names: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(Path(path).read_bytes()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += getattr(node, "decorator_list", [])
            continue
        if isinstance(node, ast.Name):
            names.add(node.id)
        pending += ast.iter_child_nodes(node)
    return names


def _mentioned(function: Function) -> set[str]:
    """Functions that a function calls or names."""
    found: set[str] = set()
    for node in (n for s in function.body for n in walk(s)):
        if isinstance(node, CallFunction):
            found.add(node.function)
        elif isinstance(node, CallMethod):
            found.add(f"{node.owner}.{node.method}")
        elif isinstance(node, Global):
            found.add(f"{node.module}.{node.name}")
    return found
