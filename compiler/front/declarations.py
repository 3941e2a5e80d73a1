"""Rules about classes, judged on the typed tree (`ClassDecl.errors`), and about imports, on Python's syntax tree."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from compiler.front.construction import check_construction
from compiler.front.convert_types import KERNEL_ERROR, MEMORY_ERROR, short_name
from compiler.front.rules import container_faults, heap_fault
from compiler.nodes import walk
from compiler.tree import (
    Assign,
    CallFunction,
    Captured,
    ClassDecl,
    Diagnostic,
    Expr,
    ExprStmt,
    FieldTarget,
    Function,
    Loc,
    Local,
    Program,
)
from compiler.types import (
    INT,
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
    has_variable,
    shape,
    substitute,
)

UNSAFE_MODULES = frozenset(["kernel.lang.unsafe", "kernel.lang.raw", "arch.x86_64.instructions"])
_SURROGATES = re.compile("[\ud800-\udfff]")  # mypy reads another character instead
_WRITTEN_SURROGATES = re.compile(r"\\u[dD][89a-fA-F]|\\U0000[dD][89a-fA-F]")  # as they stand in a source
_COMPARISONS = ("__eq__", "__lt__", "__le__", "__gt__", "__ge__")
# Python calls these where compiled code compares by `__eq__`, hashes by identity, and counts through `__len__`.
_NOT_CALLED = ("__hash__", "__ne__", "__iter__", "__next__", "__reversed__", "__index__", "__int__", "__missing__")
_REFLECTED = ("__radd__", "__rsub__", "__rmul__", "__rfloordiv__", "__rmod__", "__rand__", "__ror__", "__rxor__",
              "__rlshift__", "__rrshift__")  # fmt: skip
_HOOKS = (
    "__new__", "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__init_subclass__",
    "__class_getitem__", "__call__", "__set_name__", "__get__", "__set__",
)  # fmt: skip


def check_classes(program: Program) -> None:
    """Judge all classes."""
    for decl in program.classes.values():
        if decl.kind in ("class", "exception", "struct"):
            _check_methods(program, decl)
        elif decl.kind == "enum":
            _check_enum(decl)
        if decl.kind == "class":
            _check_overrides(program, decl)
            _check_places(program, decl)
            _check_heap_fields(program, decl)
        elif decl.kind == "struct":
            _check_struct_fields(decl)
        elif decl.kind == "exception":
            _check_exception(program, decl)
    check_construction(program)


def _fail(decl: ClassDecl, code: str, message: str, hint: str, loc: Loc | None = None) -> None:
    decl.errors.append(Diagnostic(code, loc or decl.loc, message, hint))


def _exit_argument(program: Program, name: str) -> Local | Captured | None:
    """Where an `__exit__` reads the exception that it is given in CPython, and not in compiled code."""
    function = program.functions.get(name)
    if function is None:
        return None
    given = {param.name for param in function.params[1:]}
    nodes = (node for statement in function.body for node in walk(statement))
    return next((node for node in nodes if isinstance(node, Local | Captured) and node.name in given), None)


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
        elif method == "__exit__" and (read := _exit_argument(program, full_name)) is not None:
            message = f"{short_name(decl.name)}.__exit__ reads {read.name}"
            hint = "it does not learn which exception is in flight: use try and except, or note success in the object"
            _fail(decl, "KP275", message, hint, read.loc)
        elif method == "__exit__" and not isinstance(_result(program, full_name), NoneType):
            _fail(
                decl,
                "KP248",
                f"{short_name(decl.name)}.__exit__ returns something",
                "it can't swallow exceptions: return nothing",
            )
        elif method in (*_NOT_CALLED, *_REFLECTED) and not decl.name.startswith("kernel.lang."):
            hint = "write a method with a name, and call it"
            _fail(decl, "KP231", f"{short_name(decl.name)} has {method}, which compiled code would not call", hint)
        elif method in _HOOKS:
            _fail(
                decl,
                "KP231",
                f"{short_name(decl.name)} has {method}",
                "everything is known at compile time: write plain methods",
            )


def _check_enum(decl: ClassDecl) -> None:
    """A member is a number: its text, truth and comparisons are those that Python gives every enum."""
    for full_name in decl.methods:
        method = full_name.removeprefix(decl.name + ".")
        if (method.startswith("_") and method.endswith("_")) or method in ("name", "value"):
            hint = "write a method with a name, and call it"
            _fail(decl, "KP231", f"{short_name(decl.name)} has {method}, which compiled code would not call", hint)


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
        skip = 1 if own.cls is not None else 0
        if len(own.params) != len(inherited.params):
            counts = len(own.params) - skip, len(inherited.params) - skip
            message = f"{method} takes {counts[0]} arguments, and the base class's takes {counts[1]}"
            _fail(decl, "KP109", message, "an override takes as many arguments as what it overrides", own.loc)
            continue
        pairs = [(p.type, q.type) for p, q in zip(own.params[skip:], inherited.params[skip:], strict=True)]
        binding = _bindings(program, decl)
        for ours, theirs in [*pairs, (own.result, inherited.result)]:
            theirs = substitute(theirs, binding)
            if shape(ours) != shape(theirs) and not has_variable(ours) and not has_variable(theirs):
                message = f"{method} has {a_type(ours)} where the base class has {a_type(theirs)}"
                _fail(decl, "KP109", message, "an override has the same types as what it overrides", own.loc)
        for mine, its in zip(own.params[skip:], inherited.params[skip:], strict=True):
            if its.name in inherited.defaults and own.defaults.get(mine.name) != inherited.defaults[its.name]:
                message = f"{method} has another default of {mine.name} than the base class's"
                hint = "a call through the base class fills in the base class's: write the same"
                _fail(decl, "KP263", message, hint, own.loc)
        if method in _COMPARISONS:
            message = f"{short_name(decl.name)} overrides {method}"
            _fail(
                decl,
                "KP264",
                message,
                "Python asks the subclass first, whichever side it is on: compare in one class only",
                own.loc,
            )


def _bindings(program: Program, decl: ClassDecl) -> dict[str, Type]:
    """The values in a class of the type variables of all base classes."""
    binding: dict[str, Type] = {}
    base = decl.base
    while isinstance(base, ClassType) and base.name in program.classes:
        above = program.classes[base.name]
        if above.type_params:
            binding |= dict(zip(above.type_params, (substitute(a, binding) for a in base.args), strict=False))
        base = above.base
    return binding


def _check_places(program: Program, decl: ClassDecl) -> None:
    """A name is a field or a method in a class and all its base classes: a read through a base class looks for one."""
    fields = {field.name for field in decl.fields}
    methods = {name.removeprefix(decl.name + ".") for name in decl.methods}
    binding = _bindings(program, decl)
    base = decl.base
    while isinstance(base, ClassType) and base.name in program.classes:
        above = program.classes[base.name]
        above_methods = {name.removeprefix(above.name + ".") for name in above.methods}
        for name in sorted((fields & above_methods) | (methods & {field.name for field in above.fields})):
            message = f"{name} is a field in one class and a method or property in the other, {short_name(above.name)}"
            _fail(decl, "KP265", message, "give one of them another name")
        for field in decl.fields:
            inherited = next((f for f in above.fields if f.name == field.name), None)
            if inherited is not None and substitute(inherited.type, binding) != field.type:
                message = f"{field.name} has another type than in {short_name(above.name)}"
                _fail(decl, "KP266", message, "a store through the base class would not fit: use one type")
        base = above.base


def _is_exception(program: Program, t: ClassType) -> bool:
    found = program.classes.get(t.name)
    return found.kind == "exception" if found is not None else t.name == MEMORY_ERROR


def _check_heap_fields(program: Program, decl: ClassDecl) -> None:
    for field in decl.fields:
        if isinstance(field.type, ClassType) and _is_exception(program, field.type):
            _fail(decl, "KP278", f"an exception in the field {field.name}", "keep its code, or a value of an enum")
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


def _check_exception(program: Program, decl: ClassDecl) -> None:
    if decl.name == KERNEL_ERROR:
        return
    if isinstance(decl.base, ClassType) and decl.base.name.startswith("builtins."):
        _fail(decl, "KP233", f"{short_name(decl.name)} is not derived from KernelError", "derive it from KernelError")
    for field in decl.fields:
        if field.name != "code" or field.type != INT:
            _fail(
                decl,
                "KP232",
                f"an exception with the field {field.name}",
                "an exception carries one int, code, and no more",
            )
    own = program.functions.get(f"{decl.name}.__init__")
    if own is not None and not _sets_code(own):
        message = f"the __init__ of {short_name(decl.name)} does more than to take code"
        hint = "leave it out, or write def __init__(self, code: int) with self.code = code"
        _fail(decl, "KP279", message, hint, own.loc)


def _sets_code(init: Function) -> bool:
    """Whether the `__init__` of an exception takes one int and stores it as `code`: compiled code does not call it."""
    if len(init.params) != 2 or init.params[1].type != INT or len(init.body) != 1:
        return False
    given: Expr
    match init.body[0]:
        case Assign(targets=[FieldTarget(name="code", value=Local() as owner)], value=given):
            pass
        case ExprStmt(value=CallFunction(function=name, args=[Local() as owner, given])) if name.endswith(".__init__"):
            pass
        case _:
            return False
    return owner.name == init.params[0].name and isinstance(given, Local) and given.name == init.params[1].name


def _find_method(program: Program, decl: ClassDecl | None, name: str) -> Function | None:
    while decl is not None:
        found = program.functions.get(f"{decl.name}.{name}")
        if found is not None:
            return found
        decl = program.classes.get(decl.base.name) if isinstance(decl.base, ClassType) else None
    return None


# Imports --------------------------------------------------------------------------------------------------------------


def unsafe_allowed(root: str) -> set[str]:
    """The modules that compiler/unsafe_modules.txt lists."""
    path = Path(root, "compiler", "unsafe_modules.txt")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {entry for line in lines if (entry := line.partition("#")[0].strip())}


def check_comments(path: str, lines: list[str]) -> Iterator[Diagnostic]:
    """Comments that change how mypy checks a whole file."""
    if not any("# mypy:" in line or "#mypy:" in line for line in lines):
        return
    readline = iter([line + "\n" for line in lines]).__next__
    for token in tokenize.generate_tokens(readline):
        if token.type == tokenize.COMMENT and token.string.lstrip("# ").startswith("mypy:"):
            loc = Loc(path, token.start[0], token.start[1], token.end[0], token.end[1])
            hint = "the compiler relies on types: change the code so that they are right"
            yield Diagnostic("KP259", loc, "a comment that changes how types are checked", hint)


def has_surrogates(lines: list[str]) -> bool:
    """Whether a source may have a text with half a pair of surrogates."""
    return any(_WRITTEN_SURROGATES.search(line) for line in lines)


def check_imports(module: str, path: str, lines: Iterable[str], trusted: bool) -> list[Diagnostic]:
    """Star imports, imports of unsafe modules by modules that are not on the list, and texts that are not valid."""
    found: list[Diagnostic] = []
    within: dict[ast.AST, ast.JoinedStr] = {}  # parts of f-strings: only Python 3.12 and later know where they stand
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.JoinedStr):
            within.update(dict.fromkeys(node.values, node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SURROGATES.search(node.value):
            place = within.get(node, node)
            loc = Loc(path, place.lineno, place.col_offset, place.end_lineno or place.lineno, place.end_col_offset or 0)
            hint = "write the character itself, or bytes"
            found.append(Diagnostic("KP276", loc, "half a pair of surrogates is no character", hint))
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
