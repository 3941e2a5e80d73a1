"""Lengths and elements of sequences: spans, arrays, bytes, and classes that have a length."""

from __future__ import annotations

from compiler.lower import integers
from compiler.lower.convert import as_int, call_runtime, text_length, unwrap
from compiler.lower.dispatch import lower
from compiler.lower.enums import member
from compiler.lower.function import TRAP_INDEX, FunctionLowerer
from compiler.lower.guards import note_need
from compiler.lower.module import element_alias
from compiler.lower.objects import call_method
from compiler.lower.values import LENGTH_LIMIT, Fact, Value, bounds, int_constant
from compiler.tree import Binary, CallBuiltin, Expr, IntLit
from compiler.types import (
    INT,
    STORAGE_INTS,
    ArrayType,
    BytesType,
    EnumType,
    OptionalType,
    RawArrayType,
    SpanType,
    StrType,
    TupleType,
    Type,
    is_reference,
    show,
)

U8 = STORAGE_INTS["u8"]


def length(fn: FunctionLowerer, value: Value) -> Value:
    """`len(value)`."""
    t = value.type
    if isinstance(t, OptionalType):
        return length(fn, unwrap(fn, value))
    match t:
        case BytesType() | RawArrayType():
            return Value(text_length(fn, value), INT, 0, LENGTH_LIMIT)
        case StrType():
            return call_runtime(fn, "str.length", [value])
        case SpanType():
            return Value(fn.span_parts(value)[1], INT, 0, LENGTH_LIMIT)
        case ArrayType(_, count):
            return int_constant(count)
        case TupleType(items):
            return int_constant(len(items))
        case _:
            return call_method(fn, value, "__len__", [])


def check_index(fn: FunctionLowerer, index: Value, count: Value, is_inside: bool = False) -> None:
    """Trap unless 0 <= index < count, which may be known."""
    low, high = bounds(index)
    if count.constant is not None and low >= 0 and high < count.constant:
        return
    if is_inside:
        note_inside(fn, index, count)
        return
    # Signed where it may be, as comparisons in the source are: LLVM then sees what one says about the other.
    sign = "s" if low >= 0 and count.constant is None else "u"
    outside = fn.op(f"icmp {sign}ge i64 {index.operand}, {count.operand}")
    read = fn.reads.get(index.operand)
    if read is not None:
        address, writes, added = read
        most = min(high, bounds(count)[1] - 1)
        fn.implied[outside] = ([], [Fact(address, writes, max(low, 0) - added, most - added)])
    fn.trap_if(outside, TRAP_INDEX)


def note_inside(fn: FunctionLowerer, index: Value, count: Value) -> None:
    """What follows for a local from an index that is inside."""
    read = fn.reads.get(index.operand)
    if read is None:
        return
    address, writes, added = read
    if fn.writes.get(address, 0) == writes:
        low, high = fn.ranges.get(address, bounds(index))
        low, high = max(low, -added), min(high, bounds(count)[1] - 1 - added)
        if low <= high:
            fn.know(address, (low, high), INT)


def element_address(
    fn: FunctionLowerer, container: Value, index: Value, check: bool = True, is_inside: bool = False
) -> tuple[str, Type, bool, bool]:
    """Address and type of an element; whether it is aligned, and whether references in it are counted. `is_inside`: it
    is known that the index needs no check.
    """
    t = container.type
    if isinstance(t, OptionalType):
        return element_address(fn, unwrap(fn, container), index, check, is_inside)
    if isinstance(t, SpanType):
        base, count = fn.span_parts(container)
        element = t.element
        if check:
            check_index(fn, index, Value(count, INT, 0, LENGTH_LIMIT), is_inside)
    elif isinstance(t, ArrayType):
        base, element = container.operand, t.element
        if check:
            check_index(fn, index, int_constant(t.length), is_inside)
    elif isinstance(t, RawArrayType):
        base, element = fn.offset(container.operand, 16), t.element
    else:
        raise fn.error("KP998", f"{show(t)} has no elements")
    size, _ = fn.layouts.size_align(element)
    place = fn.op(f"getelementptr inbounds [{size} x i8], ptr {base}, i64 {index.operand}")
    aligned = isinstance(t, RawArrayType) or is_reference(element)
    return place, element, aligned, True


def note_place(fn: FunctionLowerer, index: Expr) -> None:
    """In discovery: count the places with something added of each function; rows.py looks at those with some."""
    if fn.discovering and isinstance(index, Binary) and isinstance(index.right, IntLit) and index.op == "+":
        places = fn.world.places
        places[id(fn.frame.function)] = places.get(id(fn.frame.function), 0) + 1


def item(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`x[i]` of a Span, Array or RawArray."""
    container = lower(fn, e.args[0])
    index = as_int(fn, lower(fn, e.args[1]))
    note_place(fn, e.args[1])
    fn.set_loc(e.loc)
    if isinstance(e.args[1], IntLit) and e.args[1].value < 0 and not isinstance(container.type, RawArrayType):
        index = integers.arithmetic(fn, "+", length(fn, container), index, INT)
    place, element, aligned, _ = element_address(fn, container, index, is_inside=id(e) in fn.frame.inside)
    return load_element(fn, container.type, place, element, aligned)


def load_element(fn: FunctionLowerer, container: Type, place: str, element: Type, aligned: bool) -> Value:
    """The value of an element that lies at an address."""
    value = fn.load_at(place, element, aligned, element_alias(element))
    if isinstance(element, EnumType) and not isinstance(container, RawArrayType):
        return member(fn, value.of_type(INT), element)  # bytes that nobody has stored may be no member's number
    return value


def fill_elements(fn: FunctionLowerer, base: str, count: str, value: Value, element: Type) -> None:
    """Store a value in elements side by side."""
    if is_reference(element):
        note_need(fn, "stores references, which are counted")
        fn.emit(f"call void {fn.module.helper('krait.fill_references')}(ptr {base}, i64 {count}, ptr {value.operand})")
        return
    size, _ = fn.layouts.size_align(element)
    if size == 1:
        kind = fn.kind(element)
        byte = fn.op(f"trunc i64 {value.operand} to i8" if kind == "i64" else f"zext i1 {value.operand} to i8")
        fn.module.intrinsic("llvm.memset")
        fn.emit(f"call void @llvm.memset.p0.i64(ptr {base}, i8 {byte}, i64 {count}, i1 false)")
        return
    index = fn.alloca("i64", zero=False)
    fn.emit(f"store i64 0, ptr {index}")
    head, inside, end = fn.label("fill"), fn.label("body"), fn.label("filled")
    fn.branch(head)
    fn.start(head)
    now = fn.op(f"load i64, ptr {index}")
    fn.branch_if(fn.op(f"icmp slt i64 {now}, {count}"), inside, end)
    fn.start(inside)
    place = fn.op(f"getelementptr inbounds [{size} x i8], ptr {base}, i64 {now}")
    fn.store_at(place, value, element, aligned=False)
    fn.emit(f"store i64 {fn.op(f'add nsw i64 {now}, 1')}, ptr {index}")
    fn.branch(head)
    fn.start(end)
