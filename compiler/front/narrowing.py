"""Tests of places that others can change, where mypy believes to know the answer.

mypy narrows fields, globals and elements as if they were locals: what was tested, or assigned, is so until the function
itself assigns again. But a call, a store through another name, or another thread may have changed it. (Calls make mypy
forget values: see compiler.mypy_plugin.) So a test reads such a place at its declared type, and code that mypy leaves
out because it believes to know a test's answer is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import mypy.types as mt
from mypy.expandtype import expand_type_by_instance
from mypy.maptype import map_instance_to_supertype
from mypy.nodes import (
    GDEF,
    AssertStmt,
    Block,
    CallExpr,
    ComparisonExpr,
    ConditionalExpr,
    Decorator,
    Expression,
    ForStmt,
    FuncDef,
    IfStmt,
    IndexExpr,
    MemberExpr,
    MypyFile,
    NameExpr,
    OpExpr,
    OverloadedFuncDef,
    RefExpr,
    Statement,
    SymbolNode,
    TryStmt,
    TypeInfo,
    UnaryExpr,
    Var,
    WhileStmt,
    WithStmt,
)
from mypy.subtypes import is_subtype

from compiler.front.basics import find_attribute
from compiler.tree import Diagnostic, Loc

Types = Mapping[Expression, mt.Type]
_CONTAINERS = {"builtins.list": 0, "collections.deque": 0, "builtins.dict": 1}


def declared_at(node: Expression, types: Types) -> mt.Type | None:
    """The declared type of a place that others can change; None for everything else."""
    if isinstance(node, RefExpr) and node.kind == GDEF and isinstance(node.node, Var):
        return None if node.node.is_final else node.node.type
    if isinstance(node, MemberExpr):
        if isinstance(node.expr, RefExpr) and isinstance(node.expr.node, MypyFile | TypeInfo):
            return None
        return type_of_attribute(types.get(node.expr), node.name)
    if isinstance(node, IndexExpr):
        return type_of_element(types.get(node.base))
    return None


def type_of_attribute(receiver: mt.Type | None, name: str) -> mt.Type | None:
    """The declared type of a field or property of an object; None if it is constant, or there is none."""
    t = mt.get_proper_type(receiver)
    if not isinstance(t, mt.Instance):
        return None
    owner, symbol = find_attribute(t.type, name)
    found = _type_of(symbol)
    base = next((b for b in t.type.mro if b.fullname == owner), None)
    if found is None or base is None or (isinstance(symbol, Var) and symbol.is_final):
        return None
    return expand_type_by_instance(found, map_instance_to_supertype(t, base))


def _type_of(symbol: SymbolNode | None) -> mt.Type | None:
    """The type of a field, or of what a property gives."""
    if isinstance(symbol, OverloadedFuncDef) and symbol.is_property and isinstance(symbol.items[0], Decorator):
        symbol = symbol.items[0]
    if isinstance(symbol, Decorator) and symbol.func.is_property:
        signature = symbol.func.type
        return signature.ret_type if isinstance(signature, mt.CallableType) else None
    return symbol.type if isinstance(symbol, Var) else None


def type_of_element(container: mt.Type | None) -> mt.Type | None:
    """The declared type of the elements of a container."""
    t = mt.get_proper_type(container)
    if not isinstance(t, mt.Instance):
        return None
    for base in t.type.mro:
        place = _CONTAINERS.get(base.fullname)
        if place is not None:
            return map_instance_to_supertype(t, base).args[place]
    owner, symbol = find_attribute(t.type, "__getitem__")
    declaring = next((b for b in t.type.mro if b.fullname == owner), None)
    if declaring is None or not isinstance(symbol, FuncDef) or not isinstance(symbol.type, mt.CallableType):
        return None
    return expand_type_by_instance(symbol.type.ret_type, map_instance_to_supertype(t, declaring))


def is_narrowed(node: Expression, types: Types) -> bool:
    """Whether mypy believes more of a place that others can change than its declaration says."""
    actual = types.get(node)
    if actual is None or not isinstance(node, NameExpr | MemberExpr | IndexExpr):
        return False
    declared = declared_at(node, types)
    return declared is not None and not is_subtype(declared, actual)


def narrowed_in(node: Expression, types: Types) -> Expression | None:
    """A narrowed place in a test."""
    return next((part for part in _parts(node) if is_narrowed(part, types)), None)


def _parts(node: Expression) -> Iterator[Expression]:
    """What a test is made of, the receivers and arguments of calls apart."""
    yield node
    match node:
        case OpExpr():
            inner = [node.left, node.right]
        case UnaryExpr():
            inner = [node.expr]
        case ComparisonExpr():
            inner = list(node.operands)
        case ConditionalExpr():
            inner = [node.cond, node.if_expr, node.else_expr]
        case CallExpr(callee=RefExpr(fullname="builtins.isinstance" | "builtins.callable")):
            inner = node.args[:1]
        case _:
            inner = []
    for part in inner:
        yield from _parts(part)


def tests_of(statement: Statement) -> Iterator[Expression]:
    """The tests that a statement may leave out code by, those of its inner statements too. (An `elif` is a statement in
    the `else` of the one before: thousands lie in one another.)
    """
    left: list[Statement] = [statement]
    while left:
        blocks: list[Block | None] = []
        match left.pop():
            case IfStmt(expr=tests, body=bodies, else_body=otherwise):
                yield from tests
                blocks = [*bodies, otherwise]
            case WhileStmt(expr=test, body=body, else_body=otherwise):
                yield test
                blocks = [body, otherwise]
            case ForStmt(body=body, else_body=otherwise):
                blocks = [body, otherwise]
            case AssertStmt(expr=test):
                yield test
            case WithStmt(body=body):
                blocks = [body]
            case TryStmt(body=body, handlers=handlers, else_body=otherwise, finally_body=last):
                blocks = [body, *handlers, otherwise, last]
            case Block() as inner:
                blocks = [inner]
            case _:
                pass
        for block in reversed(blocks):
            left += reversed(block.body) if block is not None else ()


def answer(node: Expression, types: Types) -> bool | None:
    """What mypy believes to know of a test, if it does because of a narrowed place; None if not."""
    match node:
        case UnaryExpr(op="not"):
            inner = answer(node.expr, types)
            return None if inner is None else not inner
        case OpExpr(op="and" | "or" as op):
            decisive = op == "or"
            sides = (answer(node.left, types), answer(node.right, types))
            if decisive in sides:
                return decisive
            return None if None in sides else not decisive
        case ComparisonExpr(operators=["is" | "is not" | "==" | "!=" as op], operands=[left, right]):
            if not is_narrowed(left, types):
                return None
            same = _overlap(types.get(left), types.get(right))
            return None if same is None else same == (op in ("is", "=="))
        case CallExpr(callee=RefExpr(fullname="builtins.isinstance")) if is_narrowed(node.args[0], types):
            return _belongs(types.get(node.args[0]), node.args[1])
        case _ if is_narrowed(node, types):
            t = mt.get_proper_type(types[node])
            if not t.can_be_true:
                return False
            return None if t.can_be_false else True
        case _:
            return None


def _overlap(a: mt.Type | None, b: mt.Type | None) -> bool | None:
    """Whether two values are surely the same, or surely not."""
    left, right = mt.get_proper_type(a), mt.get_proper_type(b)
    if isinstance(left, mt.NoneType) and isinstance(right, mt.NoneType):
        return True
    if isinstance(right, mt.NoneType):
        items = left.items if isinstance(left, mt.UnionType) else [left]
        return None if any(isinstance(mt.get_proper_type(i), mt.NoneType) for i in items) else False
    if isinstance(right, mt.Instance) and right.last_known_value is not None:
        right = right.last_known_value
    if isinstance(left, mt.LiteralType) and isinstance(right, mt.LiteralType):
        return left == right
    if isinstance(left, mt.UnionType) and isinstance(right, mt.LiteralType):
        others = [mt.get_proper_type(i) for i in left.items]
        return False if all(isinstance(i, mt.LiteralType) and i != right for i in others) else None
    return False if isinstance(left, mt.NoneType) else None


def _belongs(t: mt.Type | None, classes: Expression) -> bool | None:
    """Whether values of a type are surely instances of a class, or surely not."""
    actual = mt.get_proper_type(t)
    if not isinstance(classes, RefExpr) or not isinstance(classes.node, TypeInfo):
        return True  # of a tuple: as far as this is concerned, mypy may know it
    names = {classes.node.fullname}
    items = [mt.get_proper_type(i) for i in actual.items] if isinstance(actual, mt.UnionType) else [actual]
    known = {isinstance(i, mt.Instance) and any(b.fullname in names for b in i.type.mro) for i in items}
    if known == {True}:
        return True
    below = any(isinstance(i, mt.Instance) and any(b is i.type for b in classes.node.mro) for i in items)
    return None if True in known or below else False


def spelled(node: Expression) -> str:
    """A place as the program names it, as far as that is short."""
    match node:
        case NameExpr():
            return node.name
        case MemberExpr():
            return f"{spelled(node.expr)}.{node.name}"
        case IndexExpr():
            return f"an element of {spelled(node.base)}"
        case CallExpr():
            return f"{spelled(node.callee)}(...)"
        case _:
            return "(...)"


def left_out(place: Expression, loc: Loc) -> Diagnostic:
    """What is said of a test whose answer mypy believes to know, so that it leaves out code."""
    name = spelled(place)
    message = f"{name} was tested or set before: the type checker leaves out code here, but it may have changed"
    example = f": before = {name}" if " " not in name else ""
    return Diagnostic("KP277", loc, message, f"let the test before ask a local{example}")
