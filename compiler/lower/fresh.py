"""Which stores of a constructor find their field still empty.

A fresh object is all zeros, so the first store to one of its fields has no old reference to drop. That is known for an
assignment to `self.field` in the body of `__init__` itself (not in a loop or a branch) as long as nobody else has got
hold of `self`: then neither an earlier statement nor a function that was called can have set the field.
"""

from __future__ import annotations

from compiler.nodes import children, walk
from compiler.tree import Assign, CallFunction, Expr, ExprStmt, Field, FieldTarget, Function, Local, Program
from compiler.types import ClassType

_INIT = ".__init__"


def first_stores(program: Program, function: Function) -> set[int]:
    """The ids of the FieldTargets of `function` that store to an empty field; none unless it is an `__init__`."""
    found: set[int] = set()
    if not function.name.endswith(_INIT) or function.cls is None or program.classes[function.cls].kind != "class":
        return found
    myself = function.params[0].name
    stored: set[str] = set()
    for statement in function.body:
        if (
            isinstance(statement, Assign)
            and len(statement.targets) == 1
            and isinstance(target := statement.targets[0], FieldTarget)
            and _is_local(target.value, myself)
            and target.owner == function.cls
            and target.name not in stored
            and not _leaks(statement.value, myself)
        ):
            found.add(id(target))
        stored.update(node.name for node in walk(statement) if isinstance(node, FieldTarget))
        base = _base_call(statement, myself)
        if base is not None:
            if not _keeps_to_itself(program, base):
                break
        elif _leaks(statement, myself):
            break
    return found


def _keeps_to_itself(program: Program, name: str) -> bool:
    """Whether an `__init__` gives `self` to nobody but the `__init__` of its base, which does the same."""
    function = program.functions.get(name)
    if function is None:
        return False
    myself = function.params[0].name
    for statement in function.body:
        base = _base_call(statement, myself)
        if base is None:
            if _leaks(statement, myself):
                return False
        elif not _keeps_to_itself(program, base):
            return False
    return True


def _base_call(statement: object, myself: str) -> str | None:
    """The full name of the `__init__` that `super().__init__(…)` calls, if the statement is that."""
    if not isinstance(statement, ExprStmt) or not isinstance(call := statement.value, CallFunction):
        return None
    if not call.function.endswith(_INIT) or not call.args or not _is_local(call.args[0], myself):
        return None
    return None if any(_leaks(arg, myself) for arg in call.args[1:]) else call.function


def _is_local(node: Expr, name: str) -> bool:
    return isinstance(node, Local) and node.name == name and isinstance(node.type, ClassType)


def _leaks(node: object, myself: str) -> bool:
    """Whether `self` is used otherwise than to read or write its fields."""
    if isinstance(node, Field | FieldTarget) and isinstance(node.value, Local):
        return False
    if getattr(node, "name", None) == myself:
        return True  # Local, Captured, or a target that rebinds it
    return any(_leaks(child, myself) for child in children(node))
