"""Every call of a function that is `@with_room` comes right after `make_room()`, in the same block: the callers do not
count its stack, so without that it might overflow.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "kernel").rglob("*.py")):
        text = path.read_text()
        if "with_room" in text or "kernel.fs.overlay" in text:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(text)


def has_room(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "with_room"
        for each in function.decorator_list
    )


def makes_room(statement: ast.stmt) -> bool:
    """`make_room()`, or a `try` that does nothing else."""
    if isinstance(statement, ast.Try):
        return len(statement.body) == 1 and makes_room(statement.body[0])
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "make_room"


def own_calls(statement: ast.stmt) -> Iterator[str]:
    """Functions that a statement calls, without those in blocks inside it."""
    pending: list[ast.AST] = [statement]
    while pending:
        for each in ast.iter_child_nodes(pending.pop()):
            if isinstance(each, ast.stmt | ast.ExceptHandler):
                continue
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
                yield each.func.id
            pending.append(each)


def faults(module: str, tree: ast.Module, rooms: set[tuple[str, str]]) -> list[str]:
    called = {name for where, name in rooms if where == module}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            called |= {each.name for each in node.names if (node.module, each.name) in rooms}
    found = []
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, [])
            if not isinstance(block, list):
                continue
            for index, statement in enumerate(block):
                for name in own_calls(statement):
                    if name in called and (index == 0 or not makes_room(block[index - 1])):
                        found.append(f"{module}:{statement.lineno}: {name} is called without make_room() before it")
    return found


def test_room_is_made_before_each_call() -> None:
    modules = list(trees())
    rooms = {
        (module, node.name)
        for module, tree in modules
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and has_room(node)
    }
    assert len(rooms) > 40
    assert [fault for module, tree in modules for fault in faults(module, tree, rooms)] == []


def test_a_call_without_room_is_found() -> None:
    tree = ast.parse("@with_room(8)\ndef f() -> None: ...\ndef g() -> None:\n    make_room()\n    if x:\n        f()\n")
    assert len(faults("m", tree, {("m", "f")})) == 1
