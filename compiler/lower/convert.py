"""Conversions between the forms of values: storing into a declared type, narrowing, truth, equality, identity."""

from __future__ import annotations

from compiler.lower.function import TRAP_CLASS, TRAP_NONE, TRAP_RANGE, FunctionLowerer
from compiler.lower.interfaces import runtime_function
from compiler.lower.layout import is_int_enum, is_pointer, live_object, number_of, register_type
from compiler.lower.values import NONE_VALUE, Value, bounds, int_constant, is_integer, is_unsigned, type_bounds
from compiler.types import (
    INT,
    U64,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
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
    is_reference,
    show,
)


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
        return Value(fn.op(f"zext i1 {value.operand} to i64"), to, 0, 1)
    if isinstance(to, FunctionType) and isinstance(have, FunctionType):
        fn.world.check_shapes(have, to, fn.loc)
        fn.world.join_groups(have, to)
        return value.of_type(to)
    if isinstance(to, TupleType) and isinstance(have, TupleType):
        return coerce_tuple(fn, value, to)
    if fn.kind(to) == fn.kind(have) and not isinstance(have, BoolType):
        return value.of_type(to)
    raise fn.error("KP930", f"{show(have)} cannot become {show(to)}")


def to_integer(fn: FunctionLowerer, value: Value, to: Type) -> Value:
    """Check that an int lies in the range of the type that it is stored as."""
    if isinstance(to, EnumType):
        return value.of_type(to)
    low, high = type_bounds(to)
    have_low, have_high = bounds(value)
    if have_low >= low and have_high <= high:
        return Value(value.operand, to, value.low, value.high)
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
    """A variable's value at the narrower type that the type checker proved; `stable` if nobody else can have changed
    it.
    """
    if value.type == to or isinstance(to, NeverType):
        return value
    if isinstance(to, NoneType):
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
    from compiler.lower.objects import is_instance

    have = value.type.inner if isinstance(value.type, OptionalType) else value.type
    want = to.inner if isinstance(to, OptionalType) else to
    if fn.is_exception(have) or all(_is_below(fn, part, want) for part in _parts(have)):
        return
    fits = is_instance(fn, value, want)
    if isinstance(to, OptionalType):
        fits = fn.op(f"or i1 {fits}, {invert(fn, is_present(fn, value))}")
    fn.trap_if(invert(fn, fits), TRAP_CLASS)


def _is_below(fn: FunctionLowerer, t: Type, want: Type) -> bool:
    """Whether what is of the type `t` is surely of the type `want`; type arguments are mypy's business."""
    same = [w for w in _parts(want) if isinstance(w, ClassType) and isinstance(t, ClassType) and w.name == t.name]
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


def make_tuple(fn: FunctionLowerer, items: list[Value], t: TupleType) -> Value:
    """A tuple of items that have its types already."""
    kind = fn.kind(t)
    operand = "zeroinitializer"
    for index, item in enumerate(items):
        if not isinstance(item.type, NoneType):
            operand = fn.op(f"insertvalue {kind} {operand}, {fn.kind(item.type)} {item.operand}, {index}")
    return Value(operand, t)


# Truth ----------------------------------------------------------------------------------------------------------------


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
            if not is_int_enum(fn.world.program, name):
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
            if not fn.discovering and any(has_length(fn, item) for item in items):
                raise fn.error("KP933", f"the truth of a {show(t)}", "narrow it first, or compare it with None")
            return "true"
        case ClassType() | StructType():
            for method in ("__bool__", "__len__"):
                if fn.world.find_method(t, method) is not None:
                    from compiler.lower.objects import call_method

                    return truth(fn, call_method(fn, value, method, []))
            refuse_hidden_truth(fn, t)
            return "true"
        case TupleType(items):
            return "true" if items else "false"
        case _:
            return "true"


def optional_truth(fn: FunctionLowerer, value: Value, inner: Type) -> str:
    """Not None, and true."""
    present = is_present(fn, value)
    refuse_hidden_truth(fn, inner)
    if is_pointer(value.type) and not isinstance(inner, StrType | BytesType) and not has_length(fn, inner):
        return present
    test, end = fn.label("present"), fn.label("truth")
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


def is_present(fn: FunctionLowerer, value: Value) -> str:
    """`value is not None` as an i1."""
    if isinstance(value.type, NoneType):
        return "false"
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
    return fn.op(f"xor i1 {bit}, true")


def text_length(fn: FunctionLowerer, value: Value) -> str:
    """The length word of a bytes, str or RawArray: for str, of its UTF-8 form."""
    place = fn.offset(value.operand, 8)
    return fn.op(f"load i64, ptr {place}")


# Equality and identity ------------------------------------------------------------------------------------------------


def identical(fn: FunctionLowerer, a: Value, b: Value) -> str:
    """`a is b` as an i1."""
    if isinstance(a.type, NoneType) or isinstance(b.type, NoneType):
        other = b if isinstance(a.type, NoneType) else a
        return invert(fn, is_present(fn, other))
    if is_pointer(a.type) and is_pointer(b.type):
        return fn.op(f"icmp eq ptr {a.operand}, {b.operand}")
    return equal(fn, a, b)


def equal(fn: FunctionLowerer, a: Value, b: Value) -> str:
    """`a == b` as an i1."""
    if isinstance(a.type, NoneType) or isinstance(b.type, NoneType):
        return identical(fn, a, b)
    if isinstance(a.type, OptionalType) or isinstance(b.type, OptionalType):
        return equal_optional(fn, a, b)
    if is_integer(a.type) and is_integer(b.type):
        from compiler.lower.integers import compare

        return compare(fn, "==", a, b)
    if isinstance(a.type, BoolType) and isinstance(b.type, BoolType):
        return fn.op(f"icmp eq i1 {a.operand}, {b.operand}")
    if isinstance(a.type, BoolType) or isinstance(b.type, BoolType):
        return equal(fn, coerce(fn, a, INT), coerce(fn, b, INT))
    if isinstance(a.type, StrType | BytesType) and type(a.type) is type(b.type):
        name = "bytes.equal" if isinstance(a.type, BytesType) else "str.equal"
        return call_runtime(fn, name, [a, b]).operand
    if isinstance(a.type, TupleType) and isinstance(b.type, TupleType) and len(a.type.items) == len(b.type.items):
        result = "true"
        for index in range(len(a.type.items)):
            item = equal(fn, tuple_item(fn, a, index), tuple_item(fn, b, index))
            result = item if result == "true" else fn.op(f"and i1 {result}, {item}")
        return result
    if isinstance(a.type, ClassType) and not fn.is_exception(a.type) and fn.world.find_method(a.type, "__eq__"):
        from compiler.lower.objects import call_method

        return truth(fn, call_method(fn, a, "__eq__", [b]))
    if fn.is_exception(a.type) or fn.is_exception(b.type):
        raise fn.error("KP931", "exceptions cannot be compared", "compare their codes")
    for part in (*_parts(a.type), *_parts(b.type)):
        own = isinstance(part, ClassType) and fn.world.find_method(part, "__eq__")
        if own or fn.world.hidden(part, ("__eq__",)) is not None:
            hint = "put the side whose class has __eq__ on the left, and narrow it to this class"
            raise fn.error("KP931", f"{show(a.type)} and {show(b.type)} are compared without the __eq__", hint)
    if is_pointer(a.type) and is_pointer(b.type):
        if isinstance(a.type, UnionType) or isinstance(b.type, UnionType):
            texts = (StrType, BytesType)
            parts = [*_parts(a.type), *_parts(b.type)]
            if any(isinstance(part, texts) for part in parts):
                raise fn.error("KP931", f"{show(a.type)} and {show(b.type)} cannot be compared", "narrow them first")
        if isinstance(a.type, StrType | BytesType) != isinstance(b.type, StrType | BytesType):
            return "false"
        return fn.op(f"icmp eq ptr {a.operand}, {b.operand}")
    raise fn.error("KP931", f"{show(a.type)} and {show(b.type)} cannot be compared")


def _parts(t: Type) -> tuple[Type, ...]:
    return t.items if isinstance(t, UnionType) else (t,)


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
    compare, end = fn.label("both"), fn.label("equal")
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


# The run-time library -------------------------------------------------------------------------------------------------


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
            return Value("true" if live else "false", t)
        case IntType() | EnumType():
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


def function_reference(fn: FunctionLowerer, target: object, t: FunctionType) -> Value:
    """A function used as a value."""
    from compiler.lower.world import Instance

    assert isinstance(target, Instance)
    symbol = fn.world.function_value(target, t)
    fn.world.external.add(symbol)
    if not target.extern:
        fn.mention(target, target.parameters, target.result)
    return Value(f'@"{symbol}"', t, origin=target)


def as_int(fn: FunctionLowerer, value: Value) -> Value:
    """Any int as `int`: u64 is checked."""
    if value.type == U64 or (isinstance(value.type, IntType) and is_unsigned(value.type)):
        return to_integer(fn, value, INT)
    return value if value.type == INT else Value(value.operand, INT, *bounds(value))
