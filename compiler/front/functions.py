"""Functions: signatures, decorators, bodies."""

from __future__ import annotations

from collections.abc import Mapping

import mypy.types as mt
from mypy.nodes import (
    BytesExpr,
    CallExpr,
    ClassDef,
    Decorator,
    Expression,
    FuncDef,
    IntExpr,
    MypyFile,
    NameExpr,
    OpExpr,
    RefExpr,
    StrExpr,
    TypeInfo,
    UnaryExpr,
)

from compiler.diagnostics import internal_error
from compiler.front.calls import function_definition
from compiler.front.classes import decorator_name
from compiler.front.convert_types import TypeConverter
from compiler.front.statements import StatementConverter
from compiler.tree import Diagnostic, Function, Loc, Param, caught
from compiler.types import NONE, ClassType, Type


class Converter:
    """Converts functions; holds what all of them share."""

    def __init__(self, type_map: Mapping[Expression, mt.Type], structs: set[str], trees: dict[str, MypyFile]) -> None:
        self.type_map = type_map
        self.types = TypeConverter(structs)
        self.trees = trees
        self.asked: set[tuple[str, str]] = set()  # the arguments of `overriding`
        self._constants: dict[str, list[TypeInfo]] | None = None

    def overriding(self, owner: str, name: str) -> list[TypeInfo]:
        """The classes below `owner` that give a class constant another value, the lowest first. This is all that the
        conversion of a module has from modules above it.
        """
        self.asked.add((owner, name))
        return self._below(owner, name)

    def answer(self, owner: str, name: str) -> list[object]:
        """What `overriding` returns, as far as anybody looks at it, to be compared: no object of mypy's."""
        told: list[object] = []
        for info in self._below(owner, name):
            variables = [variable.name for variable in info.defn.type_vars]
            definition = function_definition(info.names[name].node)
            names = None if definition is None else [argument.variable.name for argument in definition.arguments]
            told.append((info.fullname, info.fullname in self.types.structs, info.is_enum, variables, names))
        return told

    def _below(self, owner: str, name: str) -> list[TypeInfo]:
        if self._constants is None:
            self._constants = {}
            for tree in self.trees.values():
                for statement in tree.defs:
                    if isinstance(statement, ClassDef):
                        for constant in statement.info.names:
                            self._constants.setdefault(constant, []).append(statement.info)
        below = [
            i for i in self._constants.get(name, ()) if i.fullname != owner and any(b.fullname == owner for b in i.mro)
        ]
        return sorted(below, key=lambda info: (-len(info.mro), info.fullname))

    def convert_function(self, node: FuncDef | Decorator, tree: MypyFile) -> Function:
        """The typed tree of a function. Broken rules of the subset are kept in `errors`."""
        definition = node.func if isinstance(node, Decorator) else node
        loc = Loc(
            tree.path,
            definition.line,
            definition.column,
            definition.end_line or definition.line,
            definition.end_column or 0,
        )
        cls = definition.info.fullname if definition.info and not definition.is_static else None
        function = Function(
            name=definition.fullname,
            loc=loc,
            params=[],
            result=NONE,
            body=[],
            locals={},
            cls=cls,
            decorators={},
            is_property=definition.is_property,
            is_generator=definition.is_generator,
        )
        try:
            if isinstance(node, Decorator):
                function.decorators = _decorators(node, loc)
            if definition.is_class:
                raise Diagnostic("KP130", loc, "class methods are out", "write a function, or a static method")
            if definition.is_coroutine or definition.is_async_generator:
                raise Diagnostic("KP131", loc, "async is out", "sleep on a WaitQueue instead")
            self._signature(definition, function)
            if "extern" in function.decorators:
                return function  # the body is a simulation
            body = StatementConverter(self, tree, function, None)
            body.declare_parameters(definition)
            function.body = body.block(definition.body)
            function.errors.extend(body.errors)
        except Diagnostic as error:
            function.errors.append(caught(error))
        except Exception as error:
            function.errors.append(internal_error(error, loc))
        return function

    def _signature(self, definition: FuncDef, function: Function) -> None:
        signature = definition.type
        loc = function.loc
        if not isinstance(signature, mt.CallableType):
            raise Diagnostic(
                "KP132", loc, f"{definition.name} has no annotations", "annotate its parameters and its result"
            )
        for argument, t in zip(definition.arguments, signature.arg_types, strict=True):
            place = loc
            if argument.line > 0:
                place = Loc(
                    loc.path, argument.line, max(argument.column, 0), argument.end_line or 0, argument.end_column or 0
                )
            if argument.kind.is_star():
                raise Diagnostic(
                    "KP133", place, "*args and **kwargs are out", "pass a list, or write the parameters out"
                )
            function.params.append(Param(argument.variable.name, self.types.convert(t, place)))
            if argument.initializer is not None:
                function.defaults[argument.variable.name] = default_key(argument.initializer)
        result = self.types.convert(signature.ret_type, loc)
        function.result = generator_element(result) if definition.is_generator else result
        own = [
            v
            for v in signature.variables
            if isinstance(v, mt.TypeVarType) and (v.id.namespace or "") == definition.fullname
        ]
        function.type_params = [f"{definition.fullname}.{v.name}" for v in own]
        if signature.type_guard is not None or signature.type_is is not None:
            hint = "test with isinstance where the class matters"
            raise Diagnostic("KP258", loc, f"{definition.name} is a type guard, whose word nobody checks", hint)


def default_key(value: Expression) -> object:
    """Equal for defaults that are surely the same."""
    match value:
        case IntExpr() | StrExpr() | BytesExpr():
            return value.value
        case RefExpr():
            return ("name", value.fullname)
        case UnaryExpr():
            return (value.op, default_key(value.expr))
        case OpExpr():
            return (value.op, default_key(value.left), default_key(value.right))
        case _:
            return ("place", value.line, value.column)


def generator_element(t: Type) -> Type:
    """What a generator function yields, from its declared Iterator[T]."""
    if isinstance(t, ClassType) and t.args:
        return t.args[0]
    return t


def _decorators(node: Decorator, loc: Loc) -> dict[str, str]:
    found: dict[str, str] = {}
    for expr in node.original_decorators:
        value = ""
        if isinstance(expr, CallExpr) and expr.args:
            first = expr.args[0]
            if isinstance(first, StrExpr):
                value = first.value
            elif isinstance(first, NameExpr):
                value = first.name
            elif isinstance(first, IntExpr):
                value = str(first.value)
        callee = expr.callee if isinstance(expr, CallExpr) else expr
        if decorator_name(expr) == "holds" and isinstance(expr, CallExpr):
            value = ",".join(arg.value for arg in expr.args if isinstance(arg, StrExpr))
        if decorator_name(expr) == "no_type_check":
            raise Diagnostic(
                "KP260", loc, "@no_type_check is out", "the compiler relies on types: annotate the function"
            )
        if isinstance(callee, RefExpr) and callee.fullname.startswith(("functools.", "contextlib.")):
            hint = (
                "write a class with __enter__ and __exit__"
                if callee.fullname.startswith("contextlib.")
                else "keep results in a dict of the module"
            )
            raise Diagnostic("KP237", loc, f"@{decorator_name(expr)} puts something else in the function's place", hint)
        found[decorator_name(expr)] = value
    return found
