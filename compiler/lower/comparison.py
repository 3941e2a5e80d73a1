"""Truth, equality and identity of values."""

from __future__ import annotations

from compiler.lower.convert import call_runtime, invert, is_present, number, parts_of, text_length, tuple_item, unwrap
from compiler.lower.function import FunctionLowerer
from compiler.lower.integers import compare
from compiler.lower.layout import is_flag, is_int_enum, is_pointer
from compiler.lower.objects import call_method
from compiler.lower.values import Value, is_integer
from compiler.lower.world import OBJECT
from compiler.types import (
    CONTAINERS,
    ArrayType,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    IntType,
    NeverType,
    NoneType,
    OptionalType,
    SpanType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    show,
)


def truth(fn: FunctionLowerer, value: Value) -> str:
    """`bool(value)` as an i1."""
    t = value.type
    match t:
        case BoolType():
            return value.operand
        case NoneType():
            return "false"
        case NeverType():
            return "poison"
        case EnumType(name):
            if not is_int_enum(fn.world.program, name) and not is_flag(fn.world.program, name):
                return "true"
            return fn.op(f"icmp ne i64 {value.operand}, 0")
        case IntType():
            if value.constant is not None:
                return "true" if value.constant else "false"
            return fn.op(f"icmp ne i64 {value.operand}, 0")
        case OptionalType(inner):
            return optional_truth(fn, value, inner)
        case StrType() | BytesType() | SpanType():
            length = text_length(fn, value) if not isinstance(t, SpanType) else fn.span_parts(value)[1]
            return fn.op(f"icmp ne i64 {length}, 0")
        case UnionType(items):
            own = any(isinstance(item, StrType | BytesType) or has_length(fn, item) for item in items)
            if own and not fn.discovering:
                raise fn.error("KP933", f"the truth of a {show(t)}", "narrow it first, or compare it with None")
            for item in items:
                refuse_hidden_truth(fn, item)
            return "true"
        case ClassType() | StructType():
            for method in ("__bool__", "__len__"):
                if fn.world.find_method(t, method) is not None:
                    return truth(fn, call_method(fn, value, method, []))
            refuse_hidden_truth(fn, t)
            return "true"
        case TupleType(items):
            return "true" if items else "false"
        case ArrayType(_, length):
            return "true" if length else "false"
        case _:
            return "true"


def optional_truth(fn: FunctionLowerer, value: Value, inner: Type) -> str:
    """Not None, and true."""
    present = is_present(fn, value)
    refuse_hidden_truth(fn, inner)
    plain = not isinstance(inner, StrType | BytesType | UnionType) and not has_length(fn, inner)
    if is_pointer(value.type) and plain:
        return present
    test, end = fn.join("present"), fn.join("truth")
    start = fn.block
    fn.branch_if(present, test, end)
    fn.start(test)
    inner_truth = truth(fn, unwrap(fn, value, check=False))
    last = fn.block
    fn.branch(end)
    fn.start(end)
    return fn.phi("i1", [("false", start), (inner_truth, last)])


def refuse_hidden_truth(fn: FunctionLowerer, t: Type) -> None:
    """The truth of an object is that of its own class, which may have one that the type here does not show."""
    own = fn.world.hidden(t, ("__bool__", "__len__"))
    if own is not None and not fn.is_exception(t):
        hint = "compare it with None, or give its base class the method"
        raise fn.error("KP933", f"the truth of a {show(t)}, which may be a {show(own)} with a truth of its own", hint)


def has_length(fn: FunctionLowerer, t: Type) -> bool:
    """Whether a class defines its own truth."""
    return any(fn.world.find_method(t, name) is not None for name in ("__bool__", "__len__"))


def identical(fn: FunctionLowerer, a: Value, b: Value) -> str:
    """`a is b` as an i1."""
    if isinstance(a.type, NoneType) or isinstance(b.type, NoneType):
        other = b if isinstance(a.type, NoneType) else a
        return invert(fn, is_present(fn, other))
    if fn.is_exception(a.type) or fn.is_exception(b.type):
        raise fn.error("KP931", "exceptions cannot be compared", "compare their codes")
    if is_pointer(a.type) and is_pointer(b.type):
        return fn.op(f"icmp eq ptr {a.operand}, {b.operand}")
    if isinstance(a.type, EnumType) and isinstance(b.type, EnumType) and a.type != b.type:
        return "false"
    return equal(fn, a, b)


def equal(fn: FunctionLowerer, a: Value, b: Value) -> str:
    """`a == b` as an i1."""
    if isinstance(a.type, NoneType) or isinstance(b.type, NoneType):
        return identical(fn, a, b)
    if isinstance(a.type, OptionalType) or isinstance(b.type, OptionalType):
        return equal_optional(fn, a, b)
    if is_integer(a.type) and is_integer(b.type):
        return compare(fn, "==", a, b) if comparable(fn, a.type, b.type) else "false"
    if isinstance(a.type, BoolType) and isinstance(b.type, BoolType):
        return fn.op(f"icmp eq i1 {a.operand}, {b.operand}")
    if isinstance(a.type, BoolType) or isinstance(b.type, BoolType):
        return equal(fn, number(fn, a), number(fn, b))
    if isinstance(a.type, StrType | BytesType) and type(a.type) is type(b.type):
        name = "bytes.equal" if isinstance(a.type, BytesType) else "str.equal"
        return call_runtime(fn, name, [a, b]).operand
    if isinstance(a.type, TupleType) and isinstance(b.type, TupleType) and len(a.type.items) == len(b.type.items):
        return equal_tuples(fn, a, b, len(a.type.items))
    if has_equality(fn, a.type):
        if fn.frame.function.name.startswith(CONTAINERS):
            return same_or_equal(fn, a, b)
        return truth(fn, call_method(fn, a, "__eq__", [b]))
    if fn.is_exception(a.type) or fn.is_exception(b.type):
        raise fn.error("KP931", "exceptions cannot be compared", "compare their codes")
    for part in (*parts_of(a.type), *parts_of(b.type)):
        own = isinstance(part, ClassType) and fn.world.find_method(part, "__eq__")
        if own or fn.world.hidden(part, ("__eq__",)) is not None:
            hint = "put the side whose class has __eq__ on the left, and narrow it to this class"
            raise fn.error("KP931", f"{show(a.type)} and {show(b.type)} are compared without the __eq__", hint)
        if isinstance(part, ClassType) and (part.name.startswith(CONTAINERS) or part == OBJECT):
            hint = "compare the elements in a loop; `is` asks whether they are one object"
            raise fn.error("KP931", f"{show(part)} is compared by what it contains in Python", hint)
    if is_pointer(a.type) and is_pointer(b.type):
        if isinstance(a.type, UnionType) or isinstance(b.type, UnionType):
            texts = (StrType, BytesType)
            parts = [*parts_of(a.type), *parts_of(b.type)]
            if any(isinstance(part, texts) for part in parts):
                raise fn.error("KP931", f"{show(a.type)} and {show(b.type)} cannot be compared", "narrow them first")
        if isinstance(a.type, StrType | BytesType) != isinstance(b.type, StrType | BytesType):
            return "false"
        return fn.op(f"icmp eq ptr {a.operand}, {b.operand}")
    raise fn.error("KP931", f"{show(a.type)} and {show(b.type)} cannot be compared")


def has_equality(fn: FunctionLowerer, t: Type) -> bool:
    """Whether `==` calls a method of a class."""
    inner = t.inner if isinstance(t, OptionalType) else t
    return (
        isinstance(inner, ClassType)
        and not fn.is_exception(inner)
        and fn.world.find_method(inner, "__eq__") is not None
    )


def comparable(fn: FunctionLowerer, a: Type, b: Type) -> bool:
    """Whether numbers of these types can be equal: a member of a plain enum equals only itself."""
    plain = [t for t in (a, b) if isinstance(t, EnumType) and not is_int_enum(fn.world.program, t.name)]
    return not plain or a == b


def same_or_equal(fn: FunctionLowerer, a: Value, b: Value) -> str:
    """What Python's containers and tuples ask of two elements."""
    if not has_equality(fn, a.type) and not has_equality(fn, b.type):
        return equal(fn, a, b)
    if not (is_pointer(a.type) and is_pointer(b.type)):
        return equal(fn, a, b)
    differ, end = fn.label("differ"), fn.label("compared")
    same = fn.op(f"icmp eq ptr {a.operand}, {b.operand}")
    start = fn.block
    fn.branch_if(same, end, differ)
    fn.start(differ)
    if isinstance(a.type, OptionalType) or isinstance(b.type, OptionalType):
        result = equal_optional(fn, a, b)
    else:
        result = truth(fn, call_method(fn, a, "__eq__", [b])) if has_equality(fn, a.type) else equal(fn, a, b)
    last = fn.block
    fn.branch(end)
    fn.start(end)
    return fn.phi("i1", [("true", start), (result, last)])


def equal_tuples(fn: FunctionLowerer, a: Value, b: Value, count: int) -> str:
    """Whether two tuples of `count` items are equal."""
    return equal_pairs(fn, "and", [(tuple_item(fn, a, index), tuple_item(fn, b, index)) for index in range(count)])


def equal_to_any(fn: FunctionLowerer, value: Value, others: list[Value]) -> str:
    """`value in (a, b)`. Python asks each of them whether it is the value or equals it."""
    pairs = [(other, value) if has_equality(fn, other.type) else (value, other) for other in others]
    return equal_pairs(fn, "or", pairs)


def equal_pairs(fn: FunctionLowerer, op: str, pairs: list[tuple[Value, Value]]) -> str:
    """Whether all pairs ("and") or some ("or") are of equals. Python compares no further than it needs to, which a
    method `__eq__` would show.
    """
    undecided, decided = ("true", "false") if op == "and" else ("false", "true")
    arms: list[tuple[str, str]] = []
    result, end = undecided, fn.label("decided")
    for left, right in pairs:
        if result != undecided and (has_equality(fn, left.type) or has_equality(fn, right.type)):
            result = fn.decided(result)
            if result == decided:
                break
            following = fn.label("following")
            if result != undecided:
                arms.append((decided, fn.block))
            fn.branch_if(result, *((following, end) if op == "and" else (end, following)))
            fn.start(following)
            result = undecided
        bit = same_or_equal(fn, left, right)
        result = bit if result == undecided else fn.op(f"{op} i1 {result}, {bit}")
    if not arms:
        return result
    arms.append((result, fn.block))
    fn.branch(end)
    fn.start(end)
    return fn.phi("i1", arms)


def equal_optional(fn: FunctionLowerer, a: Value, b: Value) -> str:
    """Equality where one side or both may be None."""
    inner_a = a.type.inner if isinstance(a.type, OptionalType) else a.type
    inner_b = b.type.inner if isinstance(b.type, OptionalType) else b.type
    simple = is_pointer(a.type) and is_pointer(b.type) and not isinstance(inner_a, StrType | BytesType)
    if simple and not (isinstance(inner_a, ClassType) and fn.world.find_method(inner_a, "__eq__")):
        return equal(fn, a.of_type(inner_a), b.of_type(inner_b))
    there_a, there_b = is_present(fn, a), is_present(fn, b)
    if there_a == "true" or there_b == "true":
        both = there_a if there_b == "true" else there_b
        otherwise = "false"
    else:
        both = fn.op(f"and i1 {there_a}, {there_b}")
        either = fn.op(f"or i1 {there_a}, {there_b}")
        otherwise = fn.op(f"xor i1 {either}, true")
    compare, end = fn.join("both"), fn.join("equal")
    start = fn.block
    fn.branch_if(both, compare, end)
    fn.start(compare)
    value_a = unwrap(fn, a, check=False) if isinstance(a.type, OptionalType) else a
    value_b = unwrap(fn, b, check=False) if isinstance(b.type, OptionalType) else b
    result = equal(fn, value_a, value_b)
    last = fn.block
    fn.branch(end)
    fn.start(end)
    return fn.phi("i1", [(otherwise, start), (result, last)])
