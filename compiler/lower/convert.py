"""Conversions between the forms of values: storing into a declared type, narrowing; constants; calls of the run-time
library.
"""

from __future__ import annotations

import enum

from compiler.lower.classes import is_instance
from compiler.lower.function import KEEP_CODE, TRAP_CLASS, TRAP_NONE, TRAP_RANGE, FunctionLowerer
from compiler.lower.interfaces import runtime_function
from compiler.lower.layout import is_pointer, live_object, number_of, register_type
from compiler.lower.module import LENGTH
from compiler.lower.values import NONE_VALUE, Value, bounds, int_constant, is_integer, is_unsigned, type_bounds
from compiler.lower.world import OBJECT, Instance
from compiler.tree import Diagnostic, Loc
from compiler.types import (
    CONTAINERS,
    INT,
    U64,
    BoolType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NeverType,
    NoneType,
    OptionalType,
    TupleType,
    Type,
    UnionType,
    is_reference,
    shape,
    show,
)

MOST_ITEMS = 64  # of a tuple


def coerce(fn: FunctionLowerer, value: Value, to: Type) -> Value:
    """The value in the form of type `to`, checked where `to` holds less."""
    have = value.type
    if have == to:
        return value
    if isinstance(have, NeverType):
        return Value("poison" if register_type(to) != "void" else "null", to)
    if isinstance(to, NoneType):
        return NONE_VALUE
    if isinstance(to, OptionalType):
        return to_optional(fn, value, to)
    if isinstance(have, OptionalType):
        return coerce(fn, unwrap(fn, value), to)
    if is_integer(to) and is_integer(have):
        return to_integer(fn, value, to)
    if isinstance(to, IntType) and isinstance(have, BoolType):
        raise fn.error("KP184", "a bool where an int is wanted", "write int(b)")  # Python would still show a bool
    if fn.is_exception(have) != fn.is_exception(to):
        raise fn.error("KP930", f"{show(have)} cannot become {show(to)}", KEEP_CODE)
    if isinstance(to, FunctionType) and isinstance(have, FunctionType):
        fn.world.check_shapes(have, to, fn.loc)
        fn.world.join_groups(have, to)
        return value.of_type(to)
    if isinstance(to, TupleType) and isinstance(have, TupleType):
        return coerce_tuple(fn, value, to)
    if fn.kind(to) == fn.kind(have) and not isinstance(have, BoolType) and not is_unlike(fn, have, to):
        return value.of_type(to)
    raise fn.error("KP930", f"{show(have)} cannot become {show(to)}")


def is_unlike(fn: FunctionLowerer, have: Type, to: Type) -> bool:
    """Whether two types of references are of objects with other forms: texts, or containers of another kind."""
    if isinstance(have, UnionType) or isinstance(to, UnionType):
        return all(is_unlike(fn, part, want) for part in parts_of(have) for want in parts_of(to))
    if not isinstance(have, ClassType) or not isinstance(to, ClassType):
        return is_reference(have) and is_reference(to) and type(have) is not type(to) and OBJECT not in (have, to)
    if not have.name.startswith(CONTAINERS) or not to.name.startswith(CONTAINERS):
        wide = any(fn.world.is_wide(t) for t in (have, to))
        return not wide and have.name.startswith(CONTAINERS) != to.name.startswith(CONTAINERS)
    pairs = zip(have.args, to.args, strict=False)
    return have.name != to.name or any(shape(a) != shape(b) for a, b in pairs if not isinstance(a, NeverType))


def number(fn: FunctionLowerer, value: Value) -> Value:
    """An int, or what a bool counts as in arithmetic and comparisons."""
    if isinstance(value.type, BoolType):
        return Value(fn.op(f"zext i1 {value.operand} to i64"), INT, 0, 1)
    return coerce(fn, value, INT)


def to_integer(fn: FunctionLowerer, value: Value, to: Type) -> Value:
    """Check that an int lies in the range of the type that it is stored as."""
    if isinstance(to, EnumType):
        return value.of_type(to)
    low, high = type_bounds(to)
    have_low, have_high = bounds(value)
    if have_low >= low and have_high <= high:
        return Value(value.operand, to, have_low, have_high)
    if is_unsigned(value.type):
        # u64 into a narrower or signed type: only numbers up to the type's greatest fit.
        fn.trap_if(fn.op(f"icmp ugt i64 {value.operand}, {high}"), TRAP_RANGE)
    elif is_unsigned(to):
        fn.trap_if(fn.op(f"icmp slt i64 {value.operand}, 0"), TRAP_RANGE)
    elif low == 0:
        fn.trap_if(fn.op(f"icmp ugt i64 {value.operand}, {high}"), TRAP_RANGE)
    else:
        shifted = fn.op(f"add i64 {value.operand}, {-low}")
        fn.trap_if(fn.op(f"icmp ugt i64 {shifted}, {high - low}"), TRAP_RANGE)
    return Value(value.operand, to, max(low, have_low), min(high, have_high))


def to_optional(fn: FunctionLowerer, value: Value, to: OptionalType) -> Value:
    """Wrap a value, None, or an Optional of another type."""
    have = value.type
    if is_pointer(to):
        if isinstance(have, NoneType):
            return Value("null", to)
        if isinstance(have, FunctionType) and isinstance(to.inner, FunctionType):
            return coerce(fn, value, to.inner).of_type(to)
        if fn.is_exception(have):
            raise fn.error("KP930", f"{show(have)} cannot become {show(to)}", KEEP_CODE)
        if is_unlike(fn, have.inner if isinstance(have, OptionalType) else have, to.inner):
            raise fn.error("KP930", f"{show(have)} cannot become {show(to)}")
        return value.of_type(to)
    kind = fn.kind(to)
    if isinstance(have, NoneType):
        return Value("zeroinitializer", to)
    if isinstance(have, OptionalType):
        if fn.kind(have) == kind:
            return value.of_type(to)
        raise fn.error("KP930", f"{show(have)} cannot become {show(to)}")
    inner = coerce(fn, value, to.inner)
    half = fn.op(f"insertvalue {kind} zeroinitializer, {fn.kind(to.inner)} {inner.operand}, 0")
    return Value(fn.op(f"insertvalue {kind} {half}, i1 true, 1"), to)


def unwrap(fn: FunctionLowerer, value: Value, check: bool = True) -> Value:
    """What an Optional holds; traps on None where the value could have changed since it was tested."""
    assert isinstance(value.type, OptionalType)
    if is_pointer(value.type):
        if check:
            fn.trap_if(fn.op(f"icmp eq ptr {value.operand}, null"), TRAP_NONE)
        return value.of_type(value.type.inner)
    kind = fn.kind(value.type)
    if check:
        flag = fn.op(f"extractvalue {kind} {value.operand}, 1")
        fn.trap_if(fn.op(f"xor i1 {flag}, true"), TRAP_NONE)
    return Value(fn.op(f"extractvalue {kind} {value.operand}, 0"), value.type.inner)


def narrow(fn: FunctionLowerer, value: Value, to: Type, stable: bool) -> Value:
    """A variable's value at the narrower type that the type checker proved; `stable` if nothing else can have changed
    it.
    """
    if value.type == to or isinstance(to, NeverType):
        return value
    if isinstance(to, NoneType):
        if not stable and isinstance(value.type, OptionalType):  # somebody may have stored an object since the test
            fn.trap_if(is_present(fn, value), TRAP_CLASS)
        return NONE_VALUE
    if isinstance(value.type, OptionalType) and not isinstance(to, OptionalType):
        value = unwrap(fn, value, check=not (stable and is_pointer(value.type)))
    if value.type == to:
        return value
    if is_reference(value.type) and is_reference(to):
        if not stable:
            check_class(fn, value, to)
        return value.of_type(to)
    if isinstance(value.type, OptionalType) and isinstance(to, OptionalType) and fn.kind(value.type) == fn.kind(to):
        return value.of_type(to)
    return coerce(fn, value, to)


def check_class(fn: FunctionLowerer, value: Value, to: Type) -> None:
    """Trap unless a reference is of a narrower class: between the test and this read, somebody may have stored another
    object. Where nothing lies between, LLVM sees that the same was tested before.
    """
    have = value.type.inner if isinstance(value.type, OptionalType) else value.type
    want = to.inner if isinstance(to, OptionalType) else to
    if fn.is_exception(have) or all(_is_below(fn, part, want) for part in parts_of(have)):
        return
    fits = is_instance(fn, value, want)
    if isinstance(to, OptionalType):
        fits = fn.op(f"or i1 {fits}, {invert(fn, is_present(fn, value))}")
    fn.trap_if(invert(fn, fits), TRAP_CLASS)


def _is_below(fn: FunctionLowerer, t: Type, want: Type) -> bool:
    """Whether what is of the type `t` is surely of the type `want`; type arguments are mypy's business."""
    same = [w for w in parts_of(want) if isinstance(w, ClassType) and isinstance(t, ClassType) and w.name == t.name]
    return bool(same) or fn.world.is_subclass(t, want)


def coerce_tuple(fn: FunctionLowerer, value: Value, to: TupleType) -> Value:
    """Convert a tuple item by item."""
    assert isinstance(value.type, TupleType)
    items = [coerce(fn, tuple_item(fn, value, i), t) for i, t in enumerate(to.items)]
    return make_tuple(fn, items, to)


def tuple_item(fn: FunctionLowerer, value: Value, index: int) -> Value:
    """One item of a tuple."""
    assert isinstance(value.type, TupleType)
    t = value.type.items[index]
    if isinstance(t, NoneType):
        return NONE_VALUE
    return Value(fn.op(f"extractvalue {fn.kind(value.type)} {value.operand}, {index}"), t)


def width(t: Type) -> int:
    """How many registers a value takes, where tuples count by their items."""
    return sum(map(width, t.items)) if isinstance(t, TupleType) else 1


def check_width(fn: FunctionLowerer, t: Type, loc: Loc | None = None) -> None:
    """To LLVM, each step of making a tuple takes time for each of its items."""
    if (count := width(t)) > MOST_ITEMS:
        hint = f"a tuple lies in registers, and has at most {MOST_ITEMS} items: use a list, or a class"
        raise fn.error("KP995", f"a tuple of {count} items", hint, loc)


def make_tuple(fn: FunctionLowerer, items: list[Value], t: TupleType) -> Value:
    """A tuple of items that have its types already."""
    check_width(fn, t)
    kind = fn.kind(t)
    operand = "zeroinitializer"
    for index, item in enumerate(items):
        if not isinstance(item.type, NoneType):
            operand = fn.op(f"insertvalue {kind} {operand}, {fn.kind(item.type)} {item.operand}, {index}")
    return Value(operand, t)


def is_present(fn: FunctionLowerer, value: Value) -> str:
    """`value is not None` as an i1."""
    if isinstance(value.type, NoneType):
        return "false"
    if fn.is_exception(value.type):
        return "true"
    if is_pointer(value.type):
        # A reference that need not be None may still be null before its field was first assigned: compare all the same.
        return fn.op(f"icmp ne ptr {value.operand}, null")
    if isinstance(value.type, OptionalType):
        return fn.op(f"extractvalue {fn.kind(value.type)} {value.operand}, 1")
    return "true"


def invert(fn: FunctionLowerer, bit: str) -> str:
    """`not` of an i1."""
    if bit in ("true", "false"):
        return "false" if bit == "true" else "true"
    inverted = fn.op(f"xor i1 {bit}, true")
    if bit in fn.implied:
        true, false = fn.implied[bit]
        fn.implied[inverted] = (false, true)
    return inverted


def text_length(fn: FunctionLowerer, value: Value) -> str:
    """The length word of a bytes, str or RawArray: for str, of its UTF-8 form."""
    place = fn.offset(value.operand, 8)
    return fn.op(f"load i64, ptr {place}{LENGTH}")


def parts_of(t: Type) -> tuple[Type, ...]:
    return t.items if isinstance(t, UnionType) else (t,)


def call_runtime(fn: FunctionLowerer, builtin: str, args: list[Value], env: dict[str, Type] | None = None) -> Value:
    """Call a function of the run-time library by the builtin's name; what is left out is filled in from its
    defaults.
    """
    return call_named(fn, runtime_function(builtin), args, env)


def call_named(fn: FunctionLowerer, name: str, args: list[Value], env: dict[str, Type] | None = None) -> Value:
    """Call a function by its full name."""
    function = fn.world.function(name, fn.loc)
    target = fn.world.instance(function, env or {})
    parameters = target.parameters
    full = list(args)
    if len(full) < len(parameters):
        live = live_object(fn.world.program, name)
        defaults = getattr(live, "__defaults__", None) or ()
        missing = len(parameters) - len(full)
        for default, t in zip(defaults[len(defaults) - missing :], parameters[len(full) :], strict=True):
            full.append(constant(fn, default, t))
    converted = [coerce(fn, value, t) for value, t in zip(full, parameters, strict=True)]
    return fn.call_instance(target, converted)


def constant(fn: FunctionLowerer, live: object, t: Type) -> Value:
    """A live object as a value of type `t`: numbers folded, everything else frozen."""
    if live is None:
        return coerce(fn, NONE_VALUE, t)
    if isinstance(t, OptionalType):
        return coerce(fn, constant(fn, live, t.inner), t)
    match t:
        case BoolType():
            if not isinstance(live, bool):
                raise unfit(fn, live, t)
            return Value("true" if live else "false", t)
        case EnumType():
            if not isinstance(live, enum.Enum) or f"{type(live).__module__}.{type(live).__qualname__}" != t.name:
                raise unfit(fn, live, t)
            return int_constant(fn.world.enum_number(live, fn.loc), t)
        case IntType():
            if isinstance(live, bool | float) or not isinstance(live, int | enum.Enum):
                raise unfit(fn, live, t)
            number = number_of(live)
            low, high = type_bounds(t)
            if not low <= number <= high:
                raise fn.error("KP932", f"{number} does not fit {show(t)}", "u64(...) holds up to 2**64-1")
            return int_constant(number, t)
        case TupleType(items):
            assert isinstance(live, tuple)
            return make_tuple(fn, [constant(fn, part, item) for part, item in zip(live, items, strict=True)], t)
        case FunctionType():
            declared = fn.world.live_function(live)
            target = fn.world.instance(declared, {})
            return function_reference(fn, target, t)
        case _:
            assert fn.world.freezer is not None
            symbol = fn.world.freezer.symbol_for(live, t)
            fn.module.declare(symbol, f'@"{symbol}" = external dso_local global i8')
            return Value(f'@"{symbol}"', t)


def unfit(fn: FunctionLowerer, live: object, t: Type) -> Diagnostic:
    """A live object that is of another type than its declaration says."""
    hint = "import must leave values of the types that are declared"
    return fn.error("KP932", f"a value of the type {type(live).__name__} is no {show(t)}", hint)


def function_reference(fn: FunctionLowerer, target: object, t: FunctionType) -> Value:
    """A function used as a value."""
    assert isinstance(target, Instance)
    symbol = fn.world.function_value(target, t)
    fn.world.external.add(symbol)
    if not target.extern:
        fn.mention(target, target.parameters, target.result)
    return Value(f'@"{symbol}"', t, origin=target)


def as_int(fn: FunctionLowerer, value: Value) -> Value:
    """Any int as `int`: u64 is checked."""
    if not is_integer(value.type):
        return coerce(fn, value, INT)
    if value.type == U64 or (isinstance(value.type, IntType) and is_unsigned(value.type)):
        return to_integer(fn, value, INT)
    return value if value.type == INT else Value(value.operand, INT, *bounds(value))
