"""Class declarations: classes, structs, enums, exceptions, protocols."""

from __future__ import annotations

from collections.abc import Iterable

from mypy.nodes import (
    AssignmentStmt,
    CallExpr,
    ClassDef,
    Decorator,
    Expression,
    FuncDef,
    MypyFile,
    NameExpr,
    OverloadedFuncDef,
    RefExpr,
    TempNode,
    TypeInfo,
    Var,
)
from mypy.types import TypeVarType

from compiler.front.convert_types import TypeConverter
from compiler.tree import ClassDecl, Diagnostic, Loc, Param, caught
from compiler.types import Type

ENUM_BASES = ("enum.Enum", "enum.IntEnum", "enum.Flag", "enum.IntFlag")
ERROR_BASES = ("KernelError", "Errno")


def decorator_name(expr: Expression) -> str:
    """The last part of a decorator's name."""
    if isinstance(expr, CallExpr):
        expr = expr.callee
    return expr.name if isinstance(expr, RefExpr) and hasattr(expr, "name") else ""


def struct_names(trees: Iterable[MypyFile]) -> set[str]:
    """Full names of all classes under `@struct`."""
    return {
        d.fullname
        for tree in trees
        for d in tree.defs
        if isinstance(d, ClassDef) and any(decorator_name(x) == "struct" for x in d.decorators)
    }


def is_exception(info: TypeInfo) -> bool:
    """Whether instances can be raised."""
    return any(base.fullname == "builtins.BaseException" for base in info.mro)


def convert_class(node: ClassDef, path: str, types: TypeConverter) -> ClassDecl:
    """A class's declaration; its methods are converted apart."""
    info = node.info
    loc = Loc(path, node.line, node.column, node.end_line or node.line, node.end_column or 0)
    names = [decorator_name(d) for d in node.decorators]
    kind = "class"
    if "struct" in names:
        kind = "struct"
    elif info.is_enum:
        kind = "enum"
    elif info.is_protocol:
        kind = "protocol"
    elif is_exception(info):
        kind = "exception"
    errors: list[Diagnostic] = _enum_faults(node, info, path, loc) if kind == "enum" else []
    if node.metaclass is not None:
        errors.append(
            Diagnostic(
                "KP247", loc, f"{info.name} has a metaclass", "everything is known at compile time: write plain classes"
            )
        )
    if "dataclass" in names:
        errors.append(
            Diagnostic(
                "KP238", loc, f"{info.name} is a data class", "write __init__, or make it a @struct if it is a value"
            )
        )
    for variable in info.defn.type_vars:
        if isinstance(variable, TypeVarType) and variable.variance != 0:
            message = f"{variable.name} is not invariant, and objects of {info.name} can be changed"
            errors.append(Diagnostic("KP261", loc, message, "declare the type variable without a variance"))
    packed = any(
        isinstance(d, CallExpr)
        and "packed" in d.arg_names
        and isinstance(d.args[d.arg_names.index("packed")], NameExpr)
        for d in node.decorators
    )
    return ClassDecl(
        name=info.fullname,
        loc=loc,
        kind=kind,
        base=_base(info, types, loc, errors),
        type_params=[f"{info.fullname}.{v.name}" for v in info.defn.type_vars],
        fields=_fields(node, info, types, path, errors) if kind != "enum" else [],
        methods=_methods(node),
        final=info.is_final or "final" in names,
        packed=packed,
        base_names=[b.type.fullname for b in info.bases if b.type.is_protocol],
        errors=errors,
    )


def _enum_faults(node: ClassDef, info: TypeInfo, path: str, loc: Loc) -> list[Diagnostic]:
    """Members that Python would show or combine otherwise than Python's own kinds of enums."""
    found: list[Diagnostic] = []
    for base in info.bases:
        if base.type.fullname not in ENUM_BASES and not base.type.is_enum:
            hint = "derive it from Enum, IntEnum, Flag or IntFlag alone"
            found.append(Diagnostic("KP121", loc, f"the enum {info.name} derives from {base.type.name}", hint))
    if "boundary" in node.keywords:
        hint = "leave it out: a Flag takes its own bits, an IntFlag any"
        found.append(Diagnostic("KP193", loc, f"{info.name} says what happens to unknown bits", hint))
    for statement in node.defs.body:
        for lvalue in statement.lvalues if isinstance(statement, AssignmentStmt) else ():
            if isinstance(lvalue, NameExpr) and lvalue.name.startswith("__") and lvalue.name.endswith("__"):
                place = Loc(path, statement.line, statement.column, statement.end_line or 0, statement.end_column or 0)
                message = f"{info.name} has {lvalue.name}, which compiled code would not call"
                found.append(Diagnostic("KP231", place, message, "write a method with a name, and call it"))
    return found


def _base(info: TypeInfo, types: TypeConverter, loc: Loc, errors: list[Diagnostic]) -> Type | None:
    bases = [
        b for b in info.bases if b.type.fullname not in ("builtins.object", "typing.Generic") and not b.type.is_protocol
    ]
    if info.is_enum or not bases:
        return None
    if len(bases) > 1:
        errors.append(
            Diagnostic("KP121", loc, f"{info.name} has several base classes", "keep one, and hold the other in a field")
        )
    if bases[0].type.fullname == "builtins.type":
        errors.append(
            Diagnostic(
                "KP247", loc, f"{info.name} is a metaclass", "everything is known at compile time: write plain classes"
            )
        )
        return None
    if bases[0].type.fullname.startswith("builtins.") and not is_exception(info):
        errors.append(Diagnostic("KP122", loc, f"{info.name} derives from {bases[0].type.name}", "hold one in a field"))
        return None
    return types.convert(bases[0], loc)


def _fields(node: ClassDef, info: TypeInfo, types: TypeConverter, path: str, errors: list[Diagnostic]) -> list[Param]:
    """Data fields in the order of their first declaration: class body first, then `self.x: T = …` in methods."""
    fields: list[Param] = []
    seen: set[str] = set()

    def enter(var: Var, loc: Loc) -> None:
        if var.name in seen or var.is_classvar or var.is_property or var.name in ("__slots__", "__match_args__"):
            return
        seen.add(var.name)
        try:
            fields.append(Param(var.name, types.convert(var.type, loc)))
        except Diagnostic as error:
            errors.append(caught(error))

    for statement in node.defs.body:
        if not isinstance(statement, AssignmentStmt):
            continue
        for lvalue in statement.lvalues:
            if not isinstance(lvalue, NameExpr) or not isinstance(lvalue.node, Var):
                continue
            loc = Loc(path, statement.line, statement.column, statement.end_line or 0, statement.end_column or 0)
            if not isinstance(statement.rvalue, TempNode):
                name = lvalue.name
                seen.add(name)
                if not (lvalue.node.is_final or lvalue.node.is_classvar or name.startswith("__")):
                    message = f"field {name} has a value in the class body"
                    errors.append(
                        Diagnostic("KP120", loc, message, "assign it in __init__, or make it Final or ClassVar")
                    )
                continue
            enter(lvalue.node, loc)
    for symbol in info.names.values():
        if not isinstance(symbol.node, Var) or not symbol.implicit:
            continue
        enter(
            symbol.node, Loc(path, symbol.node.line if symbol.node.line > 0 else node.line, max(symbol.node.column, 0))
        )
    return fields


def is_generated(cls: ClassDef, function: FuncDef) -> bool:
    """Whether the plugin added a method to a class."""
    symbol = cls.info.names.get(function.name)
    return symbol is not None and symbol.plugin_generated


def _methods(node: ClassDef) -> list[str]:
    names: list[str] = []
    for statement in node.defs.body:
        if isinstance(statement, FuncDef):
            if not is_generated(node, statement):
                names.append(statement.fullname)
        elif isinstance(statement, Decorator):
            names.append(statement.func.fullname)
        elif isinstance(statement, OverloadedFuncDef):
            names.append(statement.fullname)
            if any(
                isinstance(i, Decorator) and any(decorator_name(d) == "setter" for d in i.decorators)
                for i in statement.items
            ):
                names.append(statement.fullname + ".setter")
    return names
