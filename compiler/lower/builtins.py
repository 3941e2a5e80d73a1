"""Builtin functions and the methods of bytes, str, Span, Array, enums; raw memory is in intrinsics.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from compiler.lower import integers
from compiler.lower.classes import is_instance, specific
from compiler.lower.comparison import truth
from compiler.lower.containment import value_contains
from compiler.lower.convert import as_int, call_named, call_runtime, coerce, make_tuple, narrow, number, text_length
from compiler.lower.dispatch import EXPRESSIONS, lower, values_of
from compiler.lower.elements import U8, check_index, fill_elements, item, length
from compiler.lower.function import TRAP_INDEX, TRAP_RANGE, TRAP_UNREACHABLE, FunctionLowerer
from compiler.lower.guards import FREE_PRIMITIVES, STORING_PRIMITIVES, note_need, note_unfit
from compiler.lower.interfaces import LIST, NEW_WEAK
from compiler.lower.intrinsics import RAW, UNSAFE, become_bytes
from compiler.lower.layout import is_pointer
from compiler.lower.loops import over_value
from compiler.lower.objects import call_method, checked_allocation, construct_array, construct_raw_array, descriptor
from compiler.lower.text import enum_name, panic_with
from compiler.lower.values import NONE_VALUE, Value, bounds, int_constant, is_integer, is_unsigned
from compiler.tree import CallBuiltin, Comprehension, IntLit, ListLit, StrLit
from compiler.types import (
    BOOL,
    BYTES,
    INT,
    STORAGE_INTS,
    U64,
    ArrayType,
    BoolType,
    BytesType,
    ClassType,
    NoneType,
    OptionalType,
    RawArrayType,
    SpanType,
    StrType,
    TupleType,
    WeakType,
    a_type,
    is_reference,
    show,
)

RUNTIME = "kernel.lang.runtime."
HASHING = f"{RUNTIME}hashing"
LAST = (1 << 63) - 1  # the stop of a slice that has none


AS_BYTES = {"startswith", "endswith"}  # mean the same on the UTF-8 form


def lower_builtin(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """A call of a builtin, at the type that the type checker proved."""
    return narrow(fn, by_name(fn, e), fn.type(e.type), stable=False)


def by_name(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """A builtin by its name."""
    if e.name in ("Weak.get", "print"):
        note_need(fn, "follows a weak reference" if e.name == "Weak.get" else "prints")
    elif e.name in UNSAFE and e.name not in FREE_PRIMITIVES:
        note_need(fn, f"touches raw memory ({e.name.partition('.')[2]})")
    elif e.name in STORING_PRIMITIVES:
        note_unfit(fn, f"uses {e.name.partition('.')[2]}")
    handler = HANDLERS.get(e.name) or UNSAFE.get(e.name) or RAW.get(e.name)
    if handler is not None:
        return handler(fn, e)
    prefix, _, method = e.name.partition(".")
    if prefix in ("bytes", "str"):
        return text_method(fn, e, prefix, method)
    hint = "use it directly in for" if e.name in ("range", "enumerate", "zip", "reversed") else "write a loop"
    raise fn.error("KP997", f"{e.name} is not supported here", hint, e.loc)


def bytes_item(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`data[i]`."""
    data = lower(fn, e.args[0])
    index = as_int(fn, lower(fn, e.args[1]))
    fn.set_loc(e.loc)
    count = length(fn, data)
    if isinstance(e.args[1], IntLit) and e.args[1].value < 0:
        index = integers.arithmetic(fn, "+", count, index, INT)
    check_index(fn, index, count)
    place = fn.op(f"getelementptr inbounds i8, ptr {fn.offset(data.operand, 16)}, i64 {index.operand}")
    byte = fn.op(f"load i8, ptr {place}")
    return Value(fn.op(f"zext i8 {byte} to i64"), INT, 0, 255)


def text_method(fn: FunctionLowerer, e: CallBuiltin, prefix: str, method: str) -> Value:
    """A method of bytes or str: a function of the run-time library."""
    # mypy takes the items of bytes([…]) for SupportsIndex, those of b"".join([…]) for Buffer.
    kind = {"bytes.of_list": INT, "bytes.join": BYTES}.get(e.name)
    if kind is not None and isinstance(literal := e.args[-1], ListLit | Comprehension):
        items = replace(literal, type=ClassType(LIST, (kind,)))
        return call_runtime(fn, e.name, [*(lower(fn, part) for part in e.args[:-1]), lower(fn, items)])
    values = values_of(fn, e)
    if e.name == "bytes.split" and (len(values) == 1 or isinstance(values[1].type, NoneType)):
        return call_runtime(fn, "bytes.split_spaces", [values[0], *values[2:]])
    if e.name == "bytes.__contains__":
        inside = values[1]
        return call_runtime(
            fn, "bytes.contains" if isinstance(inside.type, BytesType) else "bytes.contains_byte", values
        )
    if e.name == "bytes.find" and is_integer(values[1].type):
        return call_runtime(fn, "bytes.find_value", values)
    if prefix == "str" and (method in AS_BYTES or method == "__contains__"):
        as_bytes = [v.of_type(BYTES) if isinstance(v.type, StrType) else v for v in values]
        return call_runtime(fn, "bytes.contains" if method == "__contains__" else f"bytes.{method}", as_bytes)
    return call_runtime(fn, e.name, values)


# Spans ----------------------------------------------------------------------------------------------------------------


def span_slice(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`s[a:b]` of a Span or Array: inside, or it traps."""
    container, start, stop = values_of(fn, e)
    count = length(fn, container)
    start = as_int(fn, start)
    left_out = isinstance(e.args[2], IntLit) and e.args[2].value == LAST
    stop = count if left_out else as_int(fn, stop)
    t = container.type
    assert isinstance(t, SpanType | ArrayType)
    base = fn.span_parts(container)[0] if isinstance(t, SpanType) else container.operand
    if stop is not count:
        # Unsigned: a negative stop is large too.
        fn.trap_if(fn.op(f"icmp ugt i64 {stop.operand}, {count.operand}"), TRAP_INDEX)
    if start.constant != 0:
        fn.trap_if(fn.op(f"icmp ugt i64 {start.operand}, {stop.operand}"), TRAP_INDEX)
    size, _ = fn.layouts.size_align(t.element)
    part = fn.op(f"getelementptr inbounds [{size} x i8], ptr {base}, i64 {start.operand}")
    return fn.make_span(part, fn.op(f"sub nuw nsw i64 {stop.operand}, {start.operand}"), SpanType(t.element))


def array_span(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`array.span()`."""
    array = values_of(fn, e)[0]
    t = array.type.inner if isinstance(array.type, OptionalType) else array.type
    assert isinstance(t, ArrayType)
    return fn.make_span(array.operand, str(t.length), SpanType(t.element))


def span_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`span_of(data)` of bytes or a bytearray."""
    data = values_of(fn, e)[0]
    if isinstance(data.type, BytesType):
        return fn.make_span(fn.offset(data.operand, 16), text_length(fn, data), SpanType(U8))
    return call_method(fn, data, "span", [])


def bytes_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`bytes_of(struct)`: a view of its bytes."""
    value = values_of(fn, e)[0]
    return fn.make_span(value.operand, str(fn.layouts.size_align(value.type)[0]), SpanType(U8))


def struct_at(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`struct_at(S, span, offset)`: a view of a span's bytes."""
    values = values_of(fn, e)
    span = values[0]
    offset = as_int(fn, values[1]) if len(values) > 1 else int_constant(0)
    t = fn.type(e.type_operands[0])
    base, count = fn.span_parts(span)
    check_room(fn, count, offset, fn.layouts.size_align(t)[0])
    return Value(fn.op(f"getelementptr inbounds i8, ptr {base}, i64 {offset.operand}"), t)


def check_room(fn: FunctionLowerer, count: str, offset: Value, size: int) -> None:
    """Trap unless `size` bytes from `offset` lie inside `count`."""
    if bounds(offset)[0] < 0:
        fn.trap_if(fn.op(f"icmp slt i64 {offset.operand}, 0"), TRAP_INDEX)
    limit = fn.op(f"sub nsw i64 {count}, {size}")
    fn.trap_if(fn.op(f"icmp sgt i64 {offset.operand}, {limit}"), TRAP_INDEX)


def span_load(name: str) -> Callable[[FunctionLowerer, CallBuiltin], Value]:
    """`span.load_u32(offset)` and its like."""
    t = U64 if name == "u64" else STORAGE_INTS[name]

    def load(fn: FunctionLowerer, e: CallBuiltin) -> Value:
        span, offset = values_of(fn, e)
        offset = as_int(fn, offset)
        base, count = fn.span_parts(span)
        check_room(fn, count, offset, t.bits // 8)
        place = fn.op(f"getelementptr inbounds i8, ptr {base}, i64 {offset.operand}")
        value = fn.load_at(place, t, aligned=False)
        return Value(value.operand, U64) if t.bits == 64 else value

    return load


def span_store(name: str) -> Callable[[FunctionLowerer, CallBuiltin], Value]:
    """`span.store_u32(offset, value)` and its like."""
    t = U64 if name == "u64" else STORAGE_INTS[name]

    def store(fn: FunctionLowerer, e: CallBuiltin) -> Value:
        span, offset, value = values_of(fn, e)
        offset = as_int(fn, offset)
        base, count = fn.span_parts(span)
        check_room(fn, count, offset, t.bits // 8)
        place = fn.op(f"getelementptr inbounds i8, ptr {base}, i64 {offset.operand}")
        fn.store_at(place, coerce(fn, value, t), t, aligned=False)
        return NONE_VALUE

    return store


def copy_from(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`span.copy_from(other)`: the lengths must be the same."""
    to, source = values_of(fn, e)
    t = to.type
    assert isinstance(t, SpanType)
    if is_reference(t.element):
        raise fn.error("KP998", "copy_from of references", "store them one by one")
    to_base, to_count = fn.span_parts(to)
    base, count = fn.span_parts(source)
    fn.trap_if(fn.op(f"icmp ne i64 {to_count}, {count}"), TRAP_INDEX)
    size, _ = fn.layouts.size_align(t.element)
    total = fn.op(f"mul nuw nsw i64 {count}, {size}") if size != 1 else count
    fn.copy_bytes(to_base, base, total)
    return NONE_VALUE


def fill(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`span.fill(v)`, `array.fill(v)`."""
    container, value = values_of(fn, e)
    t = container.type
    assert isinstance(t, SpanType | ArrayType)
    count = length(fn, container)
    base = fn.span_parts(container)[0] if isinstance(t, SpanType) else container.operand
    fill_elements(fn, base, count.operand, coerce(fn, value, t.element), t.element)
    return NONE_VALUE


def copied(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`struct.copy()`, `array.copy()`: storage of its own in this function's frame."""
    value = values_of(fn, e)[0]
    storage = fn.storage(value.type)
    fn.copy_bytes(storage, value.operand, fn.layouts.size_align(value.type)[0])
    return Value(storage, value.type)


# Numbers --------------------------------------------------------------------------------------------------------------


def extreme(name: str) -> Callable[[FunctionLowerer, CallBuiltin], Value]:
    """`min(a, b, …)` and `max(a, b, …)` of ints."""

    def lowered(fn: FunctionLowerer, e: CallBuiltin) -> Value:
        values = values_of(fn, e)
        if len(values) == 1 and not isinstance(values[0].type, TupleType):
            return extreme_of_sequence(fn, name, values[0])
        if len(values) == 1 or not all(is_integer(v.type) for v in values):
            raise fn.error("KP998", f"{name} takes ints, or a sequence of ints", "write a loop")
        result = values[0]
        for value in values[1:]:
            result = integers.extreme(fn, name, result, value, fn.type(e.type))
        return result

    return lowered


def extreme_of_sequence(fn: FunctionLowerer, name: str, sequence: Value) -> Value:
    """`min(values)` and `max(values)`; traps if there are none."""
    best, found = fn.alloca("i64"), fn.alloca("i1")
    fn.emit(f"store i1 false, ptr {found}")  # the code may run again: the first store is in the entry block
    end = fn.label("extreme")

    def body(part: Value) -> None:
        if part.type != INT:
            part = as_int(fn, coerce(fn, part, INT))
        old = Value(fn.op(f"load i64, ptr {best}"), INT)
        better = integers.extreme(fn, name, old, part, INT)
        first = fn.op(f"load i1, ptr {found}")
        fn.emit(f"store i64 {fn.op(f'select i1 {first}, i64 {better.operand}, i64 {part.operand}')}, ptr {best}")
        fn.emit(f"store i1 true, ptr {found}")

    over_value(fn, sequence, body, fn.frame, end, end)
    fn.start(end)
    fn.trap_if(fn.op(f"xor i1 {fn.op(f'load i1, ptr {found}')}, true"), TRAP_RANGE)
    return Value(fn.op(f"load i64, ptr {best}"), INT)


def divmod_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    a, b = (v if is_integer(v.type) else coerce(fn, v, INT) for v in values_of(fn, e))
    t = U64 if is_unsigned(a.type) else INT
    quotient = integers.arithmetic(fn, "//", a, b, t)
    rest = integers.arithmetic(fn, "%", a, b, t)
    return make_tuple(fn, [quotient, rest], TupleType((t, t)))


def reduction(name: str) -> Callable[[FunctionLowerer, CallBuiltin], Value]:
    """any, all and sum of a sequence."""

    def lowered(fn: FunctionLowerer, e: CallBuiltin) -> Value:
        value = values_of(fn, e)[0]
        end = fn.label("reduced")
        kind = "i64" if name == "sum" else "i1"
        total = fn.alloca(kind, zero=False)
        fn.emit(f"store {kind} {'0' if name == 'sum' else 'false' if name == 'any' else 'true'}, ptr {total}")

        def body(part: Value) -> None:
            if name == "sum":
                old = Value(fn.op(f"load i64, ptr {total}"), INT)
                new = integers.arithmetic(fn, "+", old, as_int(fn, number(fn, part)), INT)
                fn.emit(f"store i64 {new.operand}, ptr {total}")
                return
            stop, go = fn.label("decided"), fn.label("go")
            bit = truth(fn, part)
            fn.branch_if(bit, *((stop, go) if name == "any" else (go, stop)))
            fn.start(stop)
            fn.emit(f"store i1 {'true' if name == 'any' else 'false'}, ptr {total}")
            fn.branch(end)
            fn.start(go)

        over_value(fn, value, body, fn.frame, end, end)
        fn.start(end)
        return Value(fn.op(f"load {kind}, ptr {total}"), INT if name == "sum" else BOOL)

    return lowered


def bit_length(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`n.bit_length()`."""
    value = values_of(fn, e)[0]
    magnitude = value.operand
    if not is_unsigned(value.type) and bounds(value)[0] < 0:
        fn.module.declare("llvm.abs.i64", "declare i64 @llvm.abs.i64(i64, i1)")
        magnitude = fn.op(f"call i64 @llvm.abs.i64(i64 {magnitude}, i1 false)")
    fn.module.declare("llvm.ctlz.i64", "declare i64 @llvm.ctlz.i64(i64, i1)")
    zeros = fn.op(f"call i64 @llvm.ctlz.i64(i64 {magnitude}, i1 false)")
    return Value(fn.op(f"sub nuw nsw i64 64, {zeros}"), INT, 0, 64)


def bit_count(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`n.bit_count()`: of the magnitude, as Python counts."""
    value = values_of(fn, e)[0]
    magnitude = value.operand
    if not is_unsigned(value.type) and bounds(value)[0] < 0:
        fn.module.declare("llvm.abs.i64", "declare i64 @llvm.abs.i64(i64, i1)")
        magnitude = fn.op(f"call i64 @llvm.abs.i64(i64 {magnitude}, i1 false)")
    fn.module.declare("llvm.ctpop.i64", "declare i64 @llvm.ctpop.i64(i64)")
    return Value(fn.op(f"call i64 @llvm.ctpop.i64(i64 {magnitude})"), INT, 0, 64)


def order_of(fn: FunctionLowerer, e: CallBuiltin, position: int) -> bool:
    """Whether a byte order, a literal, is big."""
    if len(e.args) <= position or not isinstance(e.args[position], StrLit):
        raise fn.error("KP998", "the byte order must be a literal", '"little" or "big"')
    argument = e.args[position]
    assert isinstance(argument, StrLit)
    return argument.value == "big"


def int_to_bytes(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`n.to_bytes(4, "little")`."""

    value = lower(fn, e.args[0])
    size = e.args[1]
    if not isinstance(size, IntLit) or not 1 <= size.value <= 8:
        raise fn.error("KP998", "the size must be a literal from 1 to 8")
    big = order_of(fn, e, 2)
    fn.set_loc(e.loc)
    if not is_unsigned(value.type) and bounds(value)[0] < 0:
        fn.trap_if(fn.op(f"icmp slt i64 {value.operand}, 0"), TRAP_RANGE)
    if size.value < 8 and bounds(value)[1] >= 1 << (8 * size.value):
        fn.trap_if(fn.op(f"icmp ugt i64 {value.operand}, {(1 << (8 * size.value)) - 1}"), TRAP_RANGE)
    array = construct_raw_array(fn, RawArrayType(U8), int_constant(size.value + 1))
    for position in range(size.value):
        shift = 8 * (size.value - 1 - position if big else position)
        byte = fn.op(f"trunc i64 {fn.op(f'lshr i64 {value.operand}, {shift}')} to i8")
        fn.emit(f"store i8 {byte}, ptr {fn.offset(array.operand, 16 + position)}")
    return become_bytes(fn, array, int_constant(size.value))


def int_from_bytes(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`int.from_bytes(data, "little")` of at most 8 bytes (7 and a bit: the result is an int)."""
    data = lower(fn, e.args[0])
    big = order_of(fn, e, 1)
    fn.set_loc(e.loc)

    count = length(fn, data)
    fn.trap_if(fn.op(f"icmp sgt i64 {count.operand}, 8"), TRAP_RANGE)
    total = fn.alloca("i64", zero=False)
    fn.emit(f"store i64 0, ptr {total}")
    end = fn.label("read")
    index = fn.alloca("i64", zero=False)
    fn.emit(f"store i64 0, ptr {index}")

    def body(part: Value) -> None:
        old = fn.op(f"load i64, ptr {total}")
        if big:
            new = fn.op(f"or i64 {fn.op(f'shl i64 {old}, 8')}, {part.operand}")
        else:
            place = fn.op(f"load i64, ptr {index}")
            fn.emit(f"store i64 {fn.op(f'add i64 {place}, 8')}, ptr {index}")
            new = fn.op(f"or i64 {old}, {fn.op(f'shl i64 {part.operand}, {place}')}")
        fn.emit(f"store i64 {new}, ptr {total}")

    over_value(fn, data, body, fn.frame, end, end)
    fn.start(end)
    result = fn.op(f"load i64, ptr {total}")
    fn.trap_if(fn.op(f"icmp slt i64 {result}, 0"), TRAP_RANGE)
    return Value(result, INT, 0, None)


def int_parse(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`int(text, base)`."""
    values = values_of(fn, e)
    values[0] = values[0].of_type(BYTES)
    return call_runtime(fn, "int.parse", values)


def hash_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`hash(x)`: of the run-time library's dictionaries, not CPython's."""
    value = values_of(fn, e)[0]
    t = value.type
    if isinstance(t, BytesType):
        return call_named(fn, f"{HASHING}.hash_bytes", [value])
    if isinstance(t, StrType):
        return call_named(fn, f"{HASHING}.hash_str", [value])
    if not is_pointer(t) and not fn.frame.function.name.startswith(RUNTIME):
        hint = "CPython's is another one: compute a number from the number itself"
        raise fn.error("KP998", f"the hash of {a_type(t)}", hint)
    if isinstance(t, BoolType):
        value = number(fn, value)
    elif is_integer(t):
        value = Value(value.operand, INT)
    elif isinstance(t, ClassType) and fn.world.find_method(t, "__hash__") is not None:
        return call_method(fn, value, "__hash__", [])
    elif is_pointer(t):
        value = Value(fn.op(f"ptrtoint ptr {value.operand} to i64"), INT)
    else:
        raise fn.error("KP998", f"{show(t)} cannot be a key")
    return call_named(fn, f"{HASHING}.hash_int", [value])


def isinstance_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`isinstance(x, C)` or of a tuple of classes."""
    value = lower(fn, e.args[0])
    fn.set_loc(e.loc)
    t = value.type.inner if isinstance(value.type, OptionalType) else value.type
    result = "false"
    for operand in e.type_operands:
        bit = is_instance(fn, value, specific(fn, t, fn.type(operand)))
        if bit == "true":
            return Value("true", BOOL)
        result = bit if result == "false" else fn.op(f"or i1 {result}, {bit}")
    return Value(result, BOOL)


def weak(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`weak(obj)`: an object of its own that the reclaimer knows, and whose target it clears; the target is not
    counted.
    """
    target = values_of(fn, e)[0]
    t = fn.type(e.type)
    assert isinstance(t, WeakType)
    fn.module.declare(NEW_WEAK, f"declare dso_local ptr @{NEW_WEAK}(ptr, ptr)")
    address = checked_allocation(fn, t, f"call ptr @{NEW_WEAK}(ptr {descriptor(fn, t)}, ptr {target.operand})")
    return Value(address, t)


def weak_get(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`w.get()`."""
    value = values_of(fn, e)[0]
    t = value.type.inner if isinstance(value.type, OptionalType) else value.type
    assert isinstance(t, WeakType)
    place = fn.offset(value.operand, 8)
    return Value(fn.op(f"load atomic ptr, ptr {place} unordered, align 8"), OptionalType(t.target))


def panic(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    panic_with(fn, e.args[0])
    return Value("poison", fn.type(e.type))


def unreachable(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    fn.trap(TRAP_UNREACHABLE)
    return Value("poison", fn.type(e.type))


def print_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    call_runtime(fn, "print", values_of(fn, e))
    return NONE_VALUE


def ordinal(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`ord(c)`."""
    if isinstance(e.args[0], StrLit) and len(e.args[0].value) == 1:
        return int_constant(ord(e.args[0].value))
    value = values_of(fn, e)[0]
    if isinstance(value.type, BytesType):
        count = length(fn, value)
        fn.trap_if(fn.op(f"icmp ne i64 {count.operand}, 1"), TRAP_RANGE)
        byte = fn.op(f"load i8, ptr {fn.offset(value.operand, 16)}")
        return Value(fn.op(f"zext i8 {byte} to i64"), INT, 0, 255)
    return call_runtime(fn, "str.ord", [value])


def size_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    t = fn.type(e.type_operands[0])
    if isinstance(t, ClassType):
        return int_constant(fn.layouts.instance(t).size)
    return int_constant(fn.layouts.size_align(t)[0])


def offset_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    t = fn.type(e.type_operands[0])
    layout = fn.layouts.instance(t)
    if e.text_operand not in layout.fields:
        raise fn.error("KP950", f"{show(t)} has no field {e.text_operand}")
    return int_constant(layout.fields[e.text_operand][0])


def identity(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`id(x)`: the address."""
    value = values_of(fn, e)[0]
    if not is_pointer(value.type):
        raise fn.error("KP998", f"{show(value.type)} has no identity")
    return Value(fn.op(f"ptrtoint ptr {value.operand} to i64"), INT)


def sorted_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    return call_runtime(fn, "sorted", values_of(fn, e))


HANDLERS: dict[str, Callable[[FunctionLowerer, CallBuiltin], Value]] = {
    "len": lambda fn, e: length(fn, values_of(fn, e)[0]),
    "abs": lambda fn, e: integers.absolute(fn, as_int(fn, values_of(fn, e)[0])),
    "min": extreme("min"),
    "max": extreme("max"),
    "sum": reduction("sum"),
    "any": reduction("any"),
    "all": reduction("all"),
    "divmod": divmod_of,
    "sorted": sorted_of,
    "ord": ordinal,
    "chr": lambda fn, e: call_runtime(fn, "int.chr", values_of(fn, e)),
    "bool": lambda fn, e: Value(truth(fn, values_of(fn, e)[0]) if e.args else "false", BOOL),
    "hash": hash_of,
    "id": identity,
    "isinstance": isinstance_of,
    "print": print_of,
    "panic": panic,
    "unreachable": unreachable,
    "pass": lambda fn, e: NONE_VALUE,
    "sizeof": size_of,
    "offsetof": offset_of,
    "span_of": span_of,
    "bytes_of": bytes_of,
    "struct_at": struct_at,
    "struct.copy": copied,
    "weak": weak,
    "Weak.get": weak_get,
    "Enum.value": lambda fn, e: Value(values_of(fn, e)[0].operand, INT),
    "Enum.name": lambda fn, e: enum_name(fn, values_of(fn, e)[0]),
    "int.bit_length": bit_length,
    "int.bit_count": bit_count,
    "int.to_bytes": int_to_bytes,
    "int.from_bytes": int_from_bytes,
    "int.parse": int_parse,
    "bytes.__getitem__": bytes_item,
    "Array": lambda fn, e: construct_array(fn, _array_type(fn, e)),
    "Array.__getitem__": item,
    "Array.slice": span_slice,
    "Array.span": array_span,
    "Array.fill": fill,
    "Array.copy": copied,
    "Array.__contains__": lambda fn, e: Value(value_contains(fn, *reversed(values_of(fn, e))), BOOL),
    "Span.__getitem__": item,
    "Span.__contains__": lambda fn, e: Value(value_contains(fn, *reversed(values_of(fn, e))), BOOL),
    "Span.slice": span_slice,
    "Span.copy_from": copy_from,
    "Span.fill": fill,
    "Span.to_bytes": lambda fn, e: call_runtime(fn, "bytes.of_span", values_of(fn, e)),
}


for _name in ("u8", "u16", "u32", "u64", "be16", "be32", "be64"):
    HANDLERS[f"Span.load_{_name}"] = span_load(_name)
    HANDLERS[f"Span.store_{_name}"] = span_store(_name)


def _array_type(fn: FunctionLowerer, e: CallBuiltin) -> ArrayType:
    t = fn.type(e.type)
    if not isinstance(t, ArrayType):
        raise fn.error("KP998", "the Array's type is not known here", "annotate what it is assigned to")
    return t


EXPRESSIONS[CallBuiltin] = lower_builtin
