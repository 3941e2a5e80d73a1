"""Rules about values that flow into places: bools are not ints, and a struct or Array has one name.

Also decides for each function that returns a struct or Array whether it gives a fresh value or a view
(`Function.returns_view`).
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compiler.nodes import children
from compiler.tree import (
    Assign,
    CallBuiltin,
    CallFunction,
    CallMethod,
    Captured,
    Conditional,
    Diagnostic,
    DictLit,
    Expr,
    Field,
    Function,
    Global,
    GlobalTarget,
    Lambda,
    ListLit,
    Local,
    LocalTarget,
    NestedFunction,
    New,
    Param,
    Program,
    Return,
    TupleLit,
    Walrus,
    Yield,
)
from compiler.types import (
    BOOL,
    ArrayType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    OptionalType,
    RawArrayType,
    SpanType,
    StructType,
    TupleType,
    Type,
    a_type,
    substitute,
)

_VIEW_BUILTINS = ("struct_at", "unsafe.struct_at_address")


def check_flows(program: Program, function: Function, errors: list[Diagnostic]) -> None:
    """Judge what flows where in one function."""
    for statement in function.body:
        _visit(program, function, statement, errors)


def _visit(program: Program, function: Function, node: Any, errors: list[Diagnostic]) -> None:
    if isinstance(node, Function):
        function = node
    for value, t in _flows(program, function, node):
        _judge_bool(value, t, errors)
        _judge_storage(value, t, errors)
    for value in _named_again(function, node):
        hint = "write .copy() to copy it"
        if isinstance(value.type, ArrayType):
            hint += ", or .span() to view it"
        errors.append(Diagnostic("KP150", value.loc, "this would make two names of one value", hint))
    for child in children(node):
        _visit(program, function, child, errors)


def _flows(program: Program, function: Function, node: Any) -> Iterator[tuple[Expr, Type]]:
    """The values that a node stores or passes, with the types of the places."""
    match node:
        case Assign():
            for target in node.targets:
                yield node.value, target.type
        case Return(value=Expr() as value):
            yield value, function.result
        case Yield():
            yield node.value, function.result
        case CallFunction():
            callee = program.functions.get(node.function)
            if callee is not None:
                yield from _arguments(node.args, callee.params, node.type_args)
        case CallMethod():
            callee = program.functions.get(f"{node.owner}.{node.method}")
            if callee is not None and not node.is_property:
                yield from _arguments(
                    node.args, callee.params[1:], _binding(program, node.receiver.type) | node.type_args
                )
        case New():
            if isinstance(node.type, StructType) and node.type.name in program.classes:
                declared = {f.name: f.type for f in program.classes[node.type.name].fields}
                for name, value in node.fields.items():
                    if name in declared:
                        yield value, declared[name]
            elif isinstance(node.type, ClassType):
                callee = program.functions.get(f"{node.type.name}.__init__")
                if callee is not None:
                    yield from _arguments(node.args, callee.params[1:], _binding(program, node.type))
        case ListLit() if isinstance(node.type, ClassType) and node.type.args:
            for value in node.items:
                yield value, node.type.args[0]
        case DictLit() if isinstance(node.type, ClassType) and len(node.type.args) == 2:
            for key, value in node.items:
                yield key, node.type.args[0]
                yield value, node.type.args[1]
        case Conditional():
            yield node.then, node.type
            yield node.orelse, node.type
        case _:
            pass


def _arguments(args: list[Expr], params: list[Param], binding: dict[str, Type]) -> Iterator[tuple[Expr, Type]]:
    for arg, param in zip(args, params, strict=False):
        yield arg, substitute(param.type, binding)


def _binding(program: Program, t: Type) -> dict[str, Type]:
    if isinstance(t, ClassType | StructType) and t.name in program.classes:
        return dict(zip(program.classes[t.name].type_params, t.args, strict=False))
    return {}


def _judge_bool(value: Expr, t: Type, errors: list[Diagnostic]) -> None:
    place = t.inner if isinstance(t, OptionalType) else t
    if value.type == BOOL and isinstance(place, IntType):
        errors.append(Diagnostic("KP184", value.loc, "a bool where an int is wanted", "write int(b)"))
    if isinstance(value.type, IntType | EnumType) and place == BOOL:
        errors.append(Diagnostic("KP184", value.loc, "an int where a bool is wanted", "write != 0"))


def _judge_storage(value: Expr, t: Type, errors: list[Diagnostic]) -> None:
    """To mypy list[u8] and list[int] are one type; in memory they are not."""
    if not same_storage(value.type, t):
        message = f"{a_type(value.type)} where {a_type(t)} is wanted"
        errors.append(Diagnostic("KP254", value.loc, message, "the elements have another size: use one type for both"))


def same_storage(actual: Type, formal: Type) -> bool:
    """Whether the type arguments of two types that mypy holds for compatible are laid out alike."""
    match actual, formal:
        case OptionalType(inner), OptionalType(other):
            return same_storage(inner, other)
        case _, OptionalType(other):
            return same_storage(actual, other)
        case ClassType(name, args), ClassType(other_name, others) if name == other_name:
            return all(_same_argument(a, b) for a, b in zip(args, others, strict=False))
        case (SpanType(a), SpanType(b)) | (ArrayType(a, _), ArrayType(b, _)) | (RawArrayType(a), RawArrayType(b)):
            return _same_argument(a, b)
        case FunctionType(params, result), FunctionType(others, other_result):
            pairs = [*zip(params, others, strict=False), (result, other_result)]
            return all(_same_argument(a, b) for a, b in pairs)
        case TupleType(items), TupleType(others):
            return all(same_storage(a, b) for a, b in zip(items, others, strict=False))
        case _:
            return True


def _same_argument(a: Type, b: Type) -> bool:
    if isinstance(a, IntType) and isinstance(b, IntType):
        return a == b
    return same_storage(a, b)


# Structs and Arrays ---------------------------------------------------------------------------------------------------


def is_place(value: Expr) -> bool:
    """Whether a struct or Array value lies somewhere already (and is not a view that a call gives)."""
    if not isinstance(value.type, StructType | ArrayType):
        return False
    if isinstance(value, CallBuiltin):
        return value.name in ("Array.__getitem__", "Span.__getitem__")
    return isinstance(value, Local | Captured | Global | Field)


def _named_again(function: Function, node: Any) -> Iterator[Expr]:
    """Places that a node gives a second name."""
    match node:
        case Assign() if any(isinstance(t, LocalTarget | GlobalTarget) for t in node.targets):
            if isinstance(node.value, CallBuiltin) and is_place(node.value):
                yield node.value  # plain names are judged where the assignment is converted
        case Walrus() if is_place(node.value):
            yield node.value
        case TupleLit():
            yield from (v for v in node.items if is_place(v))
        case Conditional():
            yield from (v for v in (node.then, node.orelse) if is_place(v))
        case Yield() if is_place(node.value):
            yield node.value
        case _:
            pass


def find_views(program: Program) -> None:
    """Set `returns_view` of all functions that return structs or Arrays; complain about those that do both."""
    candidates = [
        f for f in program.functions.values() if isinstance(f.result, StructType | ArrayType) and not f.is_generator
    ]
    changed = True
    while changed:
        changed = False
        for function in candidates:
            if not function.returns_view and any(_is_view(program, function, r) for r in _returned(function)):
                function.returns_view = True
                changed = True
    for function in candidates:
        for value in _returned(function):
            if function.returns_view and not _is_view(program, function, value) and not function.errors:
                message = f"{function.name.rsplit('.', 1)[-1]} returns a view elsewhere, and a fresh value here"
                function.errors.append(Diagnostic("KP245", value.loc, message, "return .copy() of what lies elsewhere"))


def _returned(function: Function) -> Iterator[Expr]:
    """The values of the function's own return statements."""
    pending: list[Any] = list(function.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, NestedFunction | Lambda):
            continue
        if isinstance(node, Return):
            if node.value is not None:
                yield node.value
            continue
        if isinstance(node, Expr):
            continue
        pending.extend(children(node))


def _is_view(program: Program, function: Function, value: Expr) -> bool:
    """Whether a returned value is the name of something that lives on."""
    match value:
        case CallBuiltin(name=name):
            return name in _VIEW_BUILTINS or is_place(value)
        case CallFunction(function=name):
            target = program.functions.get(name)
            return target is not None and target.returns_view
        case CallMethod(owner=owner, method=method):
            target = program.functions.get(f"{owner}.{method}")
            return target is not None and target.returns_view
        case Local(name=name):
            if any(p.name == name for p in function.params):
                return True
            return any(_is_view(program, function, v) for v in _assigned(function, name))
        case Conditional():
            return _is_view(program, function, value.then) or _is_view(program, function, value.orelse)
        case Field() | Global() | Captured():
            return True
        case _:
            return False


def _assigned(function: Function, name: str) -> Iterator[Expr]:
    """What is assigned to a local."""
    pending: list[Any] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, Assign) and any(isinstance(t, LocalTarget) and t.name == name for t in node.targets):
            if not (isinstance(node.value, Local) and node.value.name == name):
                yield node.value
        pending.extend(children(node))
