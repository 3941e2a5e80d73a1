"""f-strings and panics: texts are built by the run-time library's TextBuilder."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from compiler.formats import NUMBER, TEXT, format_fault
from compiler.lower.convert import constant, is_present, number, unwrap
from compiler.lower.dispatch import EXPRESSIONS, lower
from compiler.lower.function import TRAP_ENUM, TRAP_PANIC, ColdContext, FunctionLowerer
from compiler.lower.guards import note_unfit
from compiler.lower.interfaces import ADD_BYTES_REPR, ADD_INT, ADD_STR, ADD_U64, FINISH, PANIC_MESSAGE, TEXT_BUILDER
from compiler.lower.layout import is_int_enum, live_object
from compiler.lower.objects import call_method, construct_simple
from compiler.lower.values import Value, int_constant, is_integer, is_unsigned
from compiler.tree import Expr, FormatPart, FString, Loc, StrLit
from compiler.types import (
    BOOL,
    BYTES,
    INT,
    STR,
    U64,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    NoneType,
    OptionalType,
    StrType,
    show,
)

BASES = {"b": 2, "o": 8, "d": 10, "x": 16, "X": 16}


def lower_f_string(fn: FunctionLowerer, e: FString) -> Value:
    """A new str; a text without parts to format is a literal."""
    if all(isinstance(part, StrLit) for part in e.parts):
        return constant(fn, "".join(part.value for part in e.parts if isinstance(part, StrLit)), STR)
    if (
        len(e.parts) == 1
        and isinstance(e.parts[0], FormatPart)
        and e.parts[0].spec == ""
        and e.parts[0].conversion == ""
    ):
        value = lower(fn, e.parts[0].value)
        if isinstance(value.type, StrType):
            return value
        builder = construct_simple(fn, ClassType(TEXT_BUILDER), [])
        add_value(fn, builder, value, "", "", e.loc)
        return call_method(fn, builder, FINISH, [])
    builder = construct_simple(fn, ClassType(TEXT_BUILDER), [])
    for part in e.parts:
        if isinstance(part, StrLit):
            if part.value:
                add_text(fn, builder, constant(fn, part.value, STR), 0)
        elif isinstance(part, FormatPart):
            value = lower(fn, part.value)
            fn.set_loc(e.loc)
            add_value(fn, builder, value, part.spec, part.conversion, part.value.loc)
        else:
            add_value(fn, builder, lower(fn, part), "", "", e.loc)
    fn.set_loc(e.loc)
    return call_method(fn, builder, FINISH, [])


def add_text(fn: FunctionLowerer, builder: Value, text: Value, width: int) -> None:
    call_method(fn, builder, ADD_STR, [text, int_constant(width)])


def add_value(fn: FunctionLowerer, builder: Value, value: Value, spec: str, conversion: str, loc: Loc) -> None:
    """`{value!conversion:spec}`."""
    t = value.type
    if isinstance(t, OptionalType):
        add_optional(fn, builder, value, spec, conversion, loc)
        return
    is_plain_enum = isinstance(t, EnumType) and not is_int_enum(fn.world.program, t.name)
    fault = "format its .name" if is_plain_enum and spec else format_fault(t, spec, conversion)
    if fault or (spec and isinstance(t, NoneType)):
        raise fn.error("KP242", f"the format {spec!r} of {show(t)}", fault or "test for None first", loc)
    if isinstance(t, NoneType):
        add_text(fn, builder, constant(fn, "None", STR), 0)
    elif isinstance(t, BoolType):
        if spec:
            add_number(fn, builder, number(fn, value), spec)
        else:
            call_method(fn, builder, "add_bool", [value])
    elif is_plain_enum:
        assert isinstance(t, EnumType)
        short = t.name.rsplit(".", 1)[-1]
        add_text(fn, builder, constant(fn, f"{short}.", STR), 0)
        add_text(fn, builder, enum_name(fn, value), 0)
    elif is_integer(t):
        add_number(fn, builder, value, spec)
    elif isinstance(t, StrType):
        if conversion == "r":
            call_method(fn, builder, "add_str_repr", [value, constant(fn, printable_borders(), BYTES)])
        else:
            parts = TEXT.fullmatch(spec)
            assert parts is not None
            width = int(parts["width"] or 0)
            add_text(fn, builder, value, -width if parts["align"] == ">" else width)
    elif isinstance(t, BytesType):
        call_method(fn, builder, ADD_BYTES_REPR, [value])
    else:
        raise fn.error("KP996", f"{show(t)} has no text", "format its fields, or a str that a method of it makes", loc)


def add_optional(fn: FunctionLowerer, builder: Value, value: Value, spec: str, conversion: str, loc: Loc) -> None:
    """A value that may be None."""
    if spec:
        raise fn.error("KP242", f"the format {spec!r} of {show(value.type)}", "test for None first", loc)
    there, none, end = fn.label("present"), fn.label("none"), fn.label("end")
    fn.branch_if(is_present(fn, value), there, none)
    fn.start(there)
    add_value(fn, builder, unwrap(fn, value, check=False), spec, conversion, loc)
    fn.branch(end)
    fn.start(none)
    add_text(fn, builder, constant(fn, "None", STR), 0)
    fn.branch(end)
    fn.start(end)


def number_arguments(
    value: Value, base: int, width: int, zero: bool = False, upper: bool = False, alternate: bool = False
) -> list[Value]:
    """The arguments of `add_int` and `add_u64`."""
    flags = [Value("true" if flag else "false", BOOL) for flag in (zero, upper, alternate)]
    return [value, int_constant(base), int_constant(width), *flags]


def add_number(fn: FunctionLowerer, builder: Value, value: Value, spec: str) -> None:
    """A number in some base."""
    parts = NUMBER.fullmatch(spec)
    assert parts is not None
    kind = parts["kind"] or "d"
    width = int(parts["width"] or 0)
    unsigned = is_unsigned(value.type)
    number = value.of_type(U64 if unsigned else INT)
    args = number_arguments(
        number,
        BASES[kind],
        -width if parts["align"] == "<" else width,
        parts["zero"] is not None,
        kind == "X",
        parts["alternate"] is not None,
    )
    call_method(fn, builder, ADD_U64 if unsigned else ADD_INT, args)


def panic_with(fn: FunctionLowerer, message: Expr, kind: int = TRAP_PANIC) -> None:
    """Hand the message to the panic printer and stop. Building the text may fail for want of memory: then stop without
    it.
    """
    context = ColdContext(fn.label("silent"))
    fn.contexts.append(context)
    text = lower(fn, message)
    fn.module.declare(PANIC_MESSAGE, f"declare dso_local void @{PANIC_MESSAGE}(ptr) cold nounwind")
    if isinstance(text.type, StrType):
        note_unfit(fn, "stops with a message")
        fn.emit(f"call void @{PANIC_MESSAGE}(ptr {text.operand}){fn.call_marks()}")
    fn.contexts.pop()
    fn.trap(kind)
    if context.used:
        fn.start(context.label)
        fn.trap(kind)


@cache
def printable_borders() -> bytes:
    """Where Python's characters change from unprintable to printable, and back: three bytes each."""
    flags = bytes(map(str.isprintable, map(chr, range(sys.maxunicode + 1))))
    borders: list[int] = []
    place = flags.find(1)  # the first printable one
    while place >= 0:
        borders.append(place)
        place = flags.find(1 - len(borders) % 2, place)
    return b"".join(border.to_bytes(3, "big") for border in borders)


def enum_name(fn: FunctionLowerer, value: Value) -> Value:
    """`e.name`."""
    t = value.type
    assert isinstance(t, EnumType)
    live: Any = live_object(fn.world.program, t.name)
    result = "null"
    for member in live:  # aliases are not among them
        text = constant(fn, member.name, STR)
        hit = fn.op(f"icmp eq i64 {value.operand}, {fn.world.enum_number(member, fn.loc)}")
        result = fn.op(f"select i1 {hit}, ptr {text.operand}, ptr {result}")
    fn.trap_if(fn.op(f"icmp eq ptr {result}, null"), TRAP_ENUM)
    return Value(result, STR)


EXPRESSIONS[FString] = lower_f_string
