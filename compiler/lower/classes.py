"""Classes at run time: which one an object is of."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.lower.function import FunctionLowerer
from compiler.lower.layout import is_int_enum
from compiler.lower.values import Value
from compiler.lower.world import OBJECT
from compiler.tree import Loc
from compiler.types import (
    BoolType,
    ClassType,
    EnumType,
    IntType,
    NoneType,
    OptionalType,
    Type,
    TypeVariable,
    UnionType,
    is_reference,
    show,
)


def load_descriptor(fn: FunctionLowerer, object_address: str) -> str:
    """The type descriptor of an object."""
    word = fn.op(f"load i32, ptr {fn.offset(object_address, 4)}")
    wide = fn.op(f"sext i32 {word} to i64")
    return fn.op(f"inttoptr i64 {wide} to ptr")


def is_instance(fn: FunctionLowerer, value: Value, t: Type) -> str:
    """`isinstance(value, t)`, as an i1. None is an instance of `object` alone here."""
    if t == OBJECT:
        return "true"
    if isinstance(value.type, OptionalType) or isinstance(value.type, NoneType):
        if isinstance(t, NoneType):
            return fn.op(f"icmp eq ptr {value.operand}, null")
        if not is_reference(value.type):
            raise fn.error("KP956", f"isinstance of {show(value.type)}", "compare with None")
        test, end = fn.join("present"), fn.join("checked")
        start = fn.block
        fn.branch_if(fn.op(f"icmp ne ptr {value.operand}, null"), test, end)
        fn.start(test)
        assert isinstance(value.type, OptionalType)
        result = is_instance(fn, value.of_type(value.type.inner), t)
        last = fn.block
        fn.branch(end)
        fn.start(end)
        return fn.phi("i1", [("false", start), (result, last)])
    if fn.is_exception(value.type):
        return is_caught(fn, value, t)
    refuse_member(fn, value.type, t)
    if not is_reference(value.type):
        return "true" if value.type == t or is_number(fn, value.type, t) else "false"
    if not isinstance(value.type, UnionType) and fn.world.is_subclass(value.type, t):
        return "true"
    intervals = class_intervals(fn, t)
    fn.world.tested.update(intervals)
    if fn.discovering:
        return fn.op("freeze i1 poison")
    result = "false"
    if not intervals:
        return result
    descriptor = load_descriptor(fn, value.operand)
    number = fn.op(f"load i32, ptr {fn.offset(descriptor, 16)}")
    for low, high in intervals:
        if low == high:
            hit = fn.op(f"icmp eq i32 {number}, {low}")
        else:
            relative = fn.op(f"sub i32 {number}, {low}")
            hit = fn.op(f"icmp ule i32 {relative}, {high - low}")
        result = hit if result == "false" else fn.op(f"or i1 {result}, {hit}")
    return result


def refuse_member(fn: FunctionLowerer, have: Type, t: Type) -> None:
    """A member of an IntEnum that is held as an int is one in Python still; here it is a number like others."""
    if isinstance(have, IntType) and isinstance(t, EnumType):
        hint = "take it as what it is, or compare it with the values"
        raise fn.error("KP956", f"whether an int is a member of {show(t)}", hint)


def is_number(fn: FunctionLowerer, have: Type, t: Type) -> bool:
    """Whether a value that is no object is of a type of numbers: bools and the members of an IntEnum are ints too."""
    if not isinstance(t, IntType):
        return False
    if isinstance(have, EnumType):
        return is_int_enum(fn.world.program, have.name)
    return isinstance(have, IntType | BoolType)


def is_caught(fn: FunctionLowerer, error: Value, t: Type) -> str:
    """`isinstance(error, t)` of an exception, as an i1: its number, the upper half of the word, tells its class."""
    wanted = t.items if isinstance(t, UnionType) else (t,)
    names = [item.name for item in wanted if isinstance(item, ClassType) and fn.is_exception(item)]
    return is_numbered(fn, fn.op(f"lshr i64 {error.operand}, 32"), names, fn.loc)


def is_numbered(fn: FunctionLowerer, number: str, names: Iterable[str], loc: Loc) -> str:
    """Whether an exception's number is one of these classes', or of a class below them, as an i1."""
    result = "false"
    for name in names:
        low, high = fn.world.exception_interval(name, loc)
        if low == 1:
            return "true"
        if low == high:
            hit = fn.op(f"icmp eq i64 {number}, {low}")
        else:
            relative = fn.op(f"sub i64 {number}, {low}")
            hit = fn.op(f"icmp ule i64 {relative}, {high - low}")
        result = hit if result == "false" else fn.op(f"or i1 {result}, {hit}")
    return result


def class_intervals(fn: FunctionLowerer, t: Type) -> list[tuple[int, int]]:
    """The numbers of classes that are instances of `t`: all instances of a generic class where `t` leaves its arguments
    open.
    """
    if fn.discovering:
        return []
    if isinstance(t, ClassType):
        if fn.layouts.is_polymorphic_root(t) or any(isinstance(a, TypeVariable) for a in t.args):
            found = [
                fn.world.class_numbers(c)
                for c in fn.world.instantiated
                if isinstance(c, ClassType)
                and (fn.world.is_subclass(c, t) or any(a.name == t.name for a in fn.layouts.ancestry(c)))
            ]
            return sorted({i for i in found if i is not None})
    if isinstance(t, UnionType):
        return [i for item in t.items for i in class_intervals(fn, item)]
    interval = fn.world.class_numbers(t)
    return [interval] if interval is not None else []


def specific(fn: FunctionLowerer, t: Type, cls: Type) -> Type:
    """A generic class named without its arguments: take them from the subject's type where it has them."""
    if not isinstance(cls, ClassType):
        return cls
    parameters = fn.layouts.declaration(cls).type_params if cls.name in fn.world.program.classes else []
    if parameters and (not cls.args or any(isinstance(a, TypeVariable) for a in cls.args)):
        items = getattr(t, "items", (t,))
        for item in items:
            if isinstance(item, ClassType) and item.name == cls.name:
                return item
        return ClassType(cls.name, tuple(TypeVariable(p) for p in parameters))
    return cls
