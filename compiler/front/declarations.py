"""Rules about classes, judged on the typed tree (`ClassDecl.errors`), and about imports, on Python's syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from compiler.front.convert_types import short_name
from compiler.front.rules import KERNEL_ERROR, container_faults, heap_fault, walk
from compiler.tree import (
    CallFunction,
    CallMethod,
    ClassDecl,
    Diagnostic,
    FieldTarget,
    Function,
    Loc,
    Local,
    Program,
)
from compiler.types import (
    NONE,
    ArrayType,
    BoolType,
    ClassType,
    EnumType,
    IntType,
    NoneType,
    StructType,
    Type,
    TypeVariable,
    a_type,
)

UNSAFE_MODULES = ("kernel.lang.unsafe", "kernel.lang.raw", "arch.x86_64.instructions")
_HOOKS = (
    "__new__", "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__init_subclass__",
    "__class_getitem__", "__call__", "__set_name__", "__get__", "__set__",
)  # fmt: skip


def check_classes(program: Program) -> None:
    """Judge all classes."""
    for decl in program.classes.values():
        if decl.kind in ("class", "exception", "struct"):
            _check_methods(program, decl)
        if decl.kind == "class":
            _check_overrides(program, decl)
            _check_heap_fields(decl)
            _check_all_set(program, decl)
        elif decl.kind == "struct":
            _check_struct_fields(decl)
        elif decl.kind == "exception":
            _check_exception(decl)


def _fail(decl: ClassDecl, code: str, message: str, hint: str, loc: Loc | None = None) -> None:
    decl.errors.append(Diagnostic(code, loc or decl.loc, message, hint))


def _check_methods(program: Program, decl: ClassDecl) -> None:
    for full_name in decl.methods:
        method = full_name.removeprefix(decl.name + ".")
        if method == "__del__":
            _fail(
                decl,
                "KP230",
                f"{short_name(decl.name)} has __del__",
                "end it with close() or with; memory frees itself",
            )
        elif method == "__exit__" and not isinstance(_result(program, full_name), NoneType):
            _fail(
                decl,
                "KP248",
                f"{short_name(decl.name)}.__exit__ returns something",
                "it can't swallow exceptions: return nothing",
            )
        elif method in _HOOKS:
            _fail(
                decl,
                "KP231",
                f"{short_name(decl.name)} has {method}",
                "everything is known at compile time: write plain methods",
            )


def _result(program: Program, name: str) -> Type:
    function = program.functions.get(name)
    return function.result if function is not None and not function.errors else NONE


def _check_overrides(program: Program, decl: ClassDecl) -> None:
    """An override has the storage types of what it overrides (to mypy, u8 and int are one type)."""
    base = program.classes.get(decl.base.name) if isinstance(decl.base, ClassType) else None
    for full_name in decl.methods if base is not None else ():
        method = full_name.removeprefix(decl.name + ".")
        inherited = _find_method(program, base, method)
        own = program.functions.get(full_name)
        if own is None or inherited is None or method == "__init__":
            continue
        pairs = [(p.type, q.type) for p, q in zip(own.params[1:], inherited.params[1:], strict=False)]
        for ours, theirs in [*pairs, (own.result, inherited.result)]:
            if isinstance(ours, IntType) and isinstance(theirs, IntType) and ours != theirs:
                message = f"{method} has {a_type(ours)} where the base class has {a_type(theirs)}"
                _fail(decl, "KP109", message, "an override has the same types of ints", own.loc)


def _check_heap_fields(decl: ClassDecl) -> None:
    for field in decl.fields:
        fault = heap_fault(field.type)
        if fault is not None:
            message, code, hint = fault
            _fail(decl, code, f"{message} in the field {field.name}", hint)
        for message, code, hint in container_faults(field.type):
            _fail(decl, code, f"{message}, in the field {field.name}", hint)


def _check_struct_fields(decl: ClassDecl) -> None:
    for field in decl.fields:
        t = field.type
        while isinstance(t, ArrayType):
            t = t.element
        if not isinstance(t, IntType | BoolType | StructType | EnumType | TypeVariable):
            hint = "a struct holds ints, bools, enums, structs and Arrays of them; use a class"
            _fail(decl, "KP246", f"{a_type(t)} in the struct field {field.name}", hint)


def _check_exception(decl: ClassDecl) -> None:
    if decl.name == KERNEL_ERROR:
        return
    if isinstance(decl.base, ClassType) and decl.base.name.startswith("builtins."):
        _fail(decl, "KP233", f"{short_name(decl.name)} is not derived from KernelError", "derive it from KernelError")
    for field in decl.fields:
        if field.name != "code" or not isinstance(field.type, IntType):
            _fail(
                decl,
                "KP232",
                f"an exception with the field {field.name}",
                "an exception carries one int, code, and no more",
            )


def _check_all_set(program: Program, decl: ClassDecl) -> None:
    """Each field is set by `__init__`, by a method that it calls, or is in place."""
    wanted = [f for f in decl.fields if not isinstance(f.type, StructType | ArrayType)]
    if not wanted:
        return
    done: set[str] = set()
    _collect_set(program, _find_method(program, decl, "__init__"), decl, done, set())
    for field in wanted:
        if field.name not in done and not _inherited(program, decl, field.name):
            _fail(
                decl,
                "KP235",
                f"{short_name(decl.name)}.__init__ does not set the field {field.name}",
                f"set self.{field.name} in __init__",
            )


def _inherited(program: Program, decl: ClassDecl, name: str) -> bool:
    """Whether a base class declares the field too."""
    while isinstance(decl.base, ClassType) and decl.base.name in program.classes:
        decl = program.classes[decl.base.name]
        if any(f.name == name for f in decl.fields):
            return True
    return False


def _find_method(program: Program, decl: ClassDecl | None, name: str) -> Function | None:
    while decl is not None:
        found = program.functions.get(f"{decl.name}.{name}")
        if found is not None:
            return found
        decl = program.classes.get(decl.base.name) if isinstance(decl.base, ClassType) else None
    return None


def _collect_set(program: Program, function: Function | None, decl: ClassDecl, done: set[str], seen: set[str]) -> None:
    """Add the fields of `self` that a method sets, also through the methods that it calls on `self`."""
    if function is None or function.name in seen or not function.params:
        return
    seen.add(function.name)
    if function.errors:  # the body may be partial
        done.update(f.name for f in decl.fields)
    this = function.params[0].name
    for node in (n for s in function.body for n in walk(s)):
        match node:
            case FieldTarget(value=Local(name=name)) if name == this:
                done.add(node.name)
            case CallMethod(receiver=Local(name=name)) if name == this:
                _collect_set(program, _find_method(program, decl, node.method), decl, done, seen)
            case CallFunction(args=[Local(name=name), *_]) if name == this:
                _collect_set(program, program.functions.get(node.function), decl, done, seen)


# Imports --------------------------------------------------------------------------------------------------------------


def unsafe_allowed(root: str) -> set[str]:
    """The modules that compiler/unsafe_modules.txt lists."""
    path = Path(root, "compiler", "unsafe_modules.txt")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {entry for line in lines if (entry := line.partition("#")[0].strip())}


def check_imports(module: str, path: str, lines: Iterable[str], root: str) -> list[Diagnostic]:
    """Star imports, and imports of unsafe modules by modules that are not on the list."""
    trusted = module in unsafe_allowed(root)
    found: list[Diagnostic] = []
    for node in ast.walk(ast.parse("\n".join(lines))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        loc = Loc(path, node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)
        source = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and "*" in names:
            found.append(
                Diagnostic("KP250", loc, "a star import hides where names come from", "import the names that you use")
            )
        imported = {source, *(f"{source}.{n}" if source else n for n in names)}
        unsafe = sorted(imported.intersection(UNSAFE_MODULES))
        if unsafe and not trusted:
            message = f"{module} imports {unsafe[0]}, and is not on the list of unsafe modules"
            found.append(
                Diagnostic(
                    "KP251",
                    loc,
                    message,
                    "use what a safe module offers, or add it to compiler/unsafe_modules.txt with a reason",
                )
            )
    return found
