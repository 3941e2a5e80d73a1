"""The typed tree as text: for tests, and for looking at (`python -m compiler.front.dump FILE.py [NAME]`)."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from compiler.tree import BoolLit, ClassDecl, Expr, Function, Loc, NestedFunction, Param, Pattern, Program, Stmt, Target
from compiler.types import Type, show

_BLOCKS = ("body", "then", "orelse", "final", "handlers", "cases")


def dump_class(decl: ClassDecl) -> str:
    """A class's declaration."""
    head = f"{decl.kind} {decl.name}"
    if decl.type_params:
        head += f"[{', '.join(decl.type_params)}]"
    if decl.base is not None:
        head += f" ({show(decl.base)})"
    lines = [head + (" final" if decl.final else "") + (" packed" if decl.packed else "")]
    lines += [f"    {field.name}: {show(field.type)}" for field in decl.fields]
    return "\n".join(lines)


def dump_function(function: Function, margin: str = "") -> str:
    """A function: its signature, its locals, its statements."""
    params = ", ".join(f"{p.name}: {show(p.type)}" for p in function.params)
    flags = [f"@{name}" + (f"({value!r})" if value else "") for name, value in function.decorators.items()]
    flags += [flag for flag in ("is_property", "is_generator", "is_lambda", "returns_view") if getattr(function, flag)]
    head = f"{margin}def {function.name}({params}) -> {show(function.result)}"
    lines = [" ".join([head, *flags])]
    if function.type_params:
        lines.append(f"{margin}  type parameters {', '.join(function.type_params)}")
    for name, t in function.locals.items():
        lines.append(f"{margin}  local {name}: {show(t)}")
    for statement in function.body:
        lines += _statement(statement, margin + "    ")
    lines += [f"{margin}  error {error.code}: {error.message}" for error in function.errors]
    return "\n".join(lines)


def _statement(node: object, margin: str) -> list[str]:
    """A statement (or handler, or case): a line, then its blocks."""
    if isinstance(node, NestedFunction):
        return [dump_function(node.function, margin)]
    parts: list[str] = []
    blocks: list[str] = []
    assert dataclasses.is_dataclass(node) and not isinstance(node, type)
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if field.name == "loc":
            continue
        if field.name in _BLOCKS and isinstance(value, list):
            if value:
                blocks.append(f"{margin}  {field.name}:")
                for inner in value:
                    blocks += _statement(inner, margin + "    ")
            continue
        parts.append(text_of(value))
    return [margin + " ".join([type(node).__name__, *parts]), *blocks]


def text_of(value: object) -> str:
    """An expression, target, pattern or a detail of one."""
    match value:
        case None:
            return "-"
        case Type():
            return show(value)
        case str():
            return value or "''"
        case list() | tuple():
            return f"[{', '.join(text_of(v) for v in value)}]"
        case dict():
            return f"{{{', '.join(f'{k}={text_of(v)}' for k, v in value.items())}}}"
        case Function():
            return "{ " + "; ".join(line.strip() for line in dump_function(value).splitlines()) + " }"
        case Param():
            return f"{value.name}: {show(value.type)}"
    if not dataclasses.is_dataclass(value) or isinstance(value, Loc):
        return repr(value)
    parts = []
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if field.name in ("loc", "type") or (inner in ([], {}, "", False) and inner is not False) or inner is False:
            continue
        parts.append(repr(inner) if type(value).__name__ in ("StrLit", "BytesLit") else text_of(inner))
    if isinstance(value, BoolLit):
        parts = [str(value.value)]
    kind = f":{show(value.type)}" if isinstance(value, Expr | Target) and isinstance(value.type, Type) else ""
    return f"({' '.join([type(value).__name__ + kind, *parts])})"


def dump_module(program: Program, path: str) -> str:
    """All classes and functions of a file, in the order of the source."""
    everything: list[ClassDecl | Function] = [*program.classes.values(), *program.functions.values()]
    declared = [d for d in everything if d.loc.path == path]
    declared.sort(key=lambda d: (d.loc.line, d.loc.column))
    return "\n".join(dump_class(d) if isinstance(d, ClassDecl) else dump_function(d) for d in declared) + "\n"


def main() -> None:
    from compiler.diagnostics import render_all
    from compiler.front.program import SourceErrors, load

    path = str(Path(sys.argv[1]).resolve())
    try:
        program = load([], [path], str(Path(__file__).resolve().parents[2]))
    except SourceErrors as errors:
        sys.exit(render_all(errors.diagnostics, errors.sources))
    if len(sys.argv) > 2:
        for function in program.functions.values():
            if function.name.endswith(sys.argv[2]):
                print(dump_function(function))
    else:
        print(dump_module(program, path), end="")


if __name__ == "__main__":
    main()

__all__ = ["Pattern", "Stmt", "dump_class", "dump_function", "dump_module", "text_of"]
