"""Expressions: one function for each kind of node. `lower` gives a value in the form of the node's (narrowed) type."""

from __future__ import annotations

import types as python_types
from dataclasses import replace
from functools import partial
from typing import Any

from compiler.lower import integers
from compiler.lower.comparison import equal, identical, truth
from compiler.lower.convert import (
    as_int,
    call_runtime,
    check_width,
    coerce,
    constant,
    function_reference,
    invert,
    make_tuple,
    narrow,
    number,
    tuple_item,
)
from compiler.lower.dispatch import EXPRESSIONS, integer_literal, lower, lower_as
from compiler.lower.enums import combined, is_flags, other_flags
from compiler.lower.function import KEEP_CODE, FunctionLowerer, holds_function
from compiler.lower.guards import is_holder, note_need, note_table
from compiler.lower.interfaces import LIST
from compiler.lower.layout import live_object
from compiler.lower.objects import call_method, call_with, construct_simple
from compiler.lower.tables import Row, in_rows
from compiler.lower.values import (
    INT_MAX,
    INT_MIN,
    NONE_VALUE,
    Path,
    Value,
    bounds,
    int_constant,
    is_integer,
    is_unsigned,
    together,
)
from compiler.tree import (
    Binary,
    BoolLit,
    BoolOp,
    BytesLit,
    CallFunction,
    Captured,
    Cast,
    Chain,
    ClassConstant,
    Conditional,
    DictLit,
    Expr,
    Global,
    IntLit,
    Lambda,
    ListLit,
    Local,
    NoneLit,
    StrLit,
    TupleIndex,
    TupleLit,
    Unary,
    Walrus,
)
from compiler.types import (
    BOOL,
    BYTES,
    INT,
    STR,
    U64,
    ArrayType,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NoneType,
    OptionalType,
    SpanType,
    StrType,
    StructType,
    TupleType,
    Type,
    TypeObject,
    show,
)

VALUES = (IntType, StrType, BytesType, TupleType, SpanType, StructType, ArrayType)  # what `is` says nothing of


def lower_truth(fn: FunctionLowerer, e: Expr) -> str:
    """The truth of an expression as an i1. Operands of `and` and `or` are asked one by one: their types may differ."""
    if isinstance(e, BoolOp):
        return bool_op(fn, replace(e, type=BOOL)).operand
    return truth(fn, lower(fn, e))


def string_literal(fn: FunctionLowerer, text: str) -> Value:
    return constant(fn, text, STR)


def local(fn: FunctionLowerer, e: Local) -> Value:
    slot = fn.slot(e.name)
    return narrow(fn, fn.read(slot), fn.type(e.type), stable=True)


def captured(fn: FunctionLowerer, e: Captured) -> Value:
    frame = fn.frame.outer
    while frame is not None:
        if e.name in frame.slots or e.name in frame.function.locals:
            narrowed = fn.type(e.type)
            with fn.in_frame(frame):
                value = fn.read(fn.slot(e.name))
            return narrow(fn, value, narrowed, stable=False)
        frame = frame.outer
    raise fn.error("KP962", f"{e.name} is not a variable of an enclosing function", loc=e.loc)


def global_value(fn: FunctionLowerer, e: Global) -> Value:
    t = fn.type(e.type)
    if isinstance(t, TypeObject):
        raise fn.error(
            "KP963",
            f"the class {e.name} cannot be a value",
            "classes are only called, or named in isinstance and sizeof",
        )
    if fn.is_exception(t):
        raise fn.error("KP278", f"an exception in the global {e.name}", KEEP_CODE)
    if (e.module, e.name) in fn.world.rebound:
        declared = declared_global(fn, e.module, e.name, t)
        symbol = fn.world.global_cell(e.module, e.name, declared)
        fn.module.declare(symbol, f'@"{symbol}" = external dso_local global {fn.kind(declared)}')
        note_need(fn, f"reads the global {e.name}, which is assigned")
        value = fn.load_at(f'@"{symbol}"', declared)
        if holds_function(declared):
            value = replace(value, origin=("global", symbol))
        return narrow(fn, value, t, stable=False)
    if isinstance(t, FunctionType):
        function = fn.world.program.functions.get(f"{e.module}.{e.name}")
        if function is not None:
            return function_reference(fn, fn.world.instance(function, {}), t)
    if e.module in fn.world.program.classes:
        live = getattr(live_object(fn.world.program, e.module), e.name)
    else:
        live = fn.world.global_object(e.module, e.name, e.loc)
        if e.module not in fn.world.program.modules and not isinstance(live, int | str | bytes | None):
            raise fn.error("KP197", f"{e.module}.{e.name} belongs to the Python that compiles, not to the program",
                           "only numbers and texts can be taken from other modules")  # fmt: skip
    if is_holder(t):
        note_table(fn, e.name, live)
    return constant(fn, live, t).at(Path(f"{e.module}.{e.name}", (), e.name))


def declared_global(fn: FunctionLowerer, module: str, name: str, at: Type) -> Type:
    """The declared type of a global that is rebound: what its assignments say."""
    return fn.world.rebound_types.get((module, name), at)


_MISSING = object()


def class_constant(fn: FunctionLowerer, e: ClassConstant) -> Value:
    live: Any = live_object(fn.world.program, e.owner)
    value = getattr(live, e.name, _MISSING)
    if value is _MISSING:
        raise fn.error("KP235", f"the class {live.__name__} has no value for {e.name}, which its objects set",
                       f"write {e.name} of an object, or give it a value in the class")  # fmt: skip
    if isinstance(value, python_types.FunctionType):
        function = fn.world.live_function(value)
        t = fn.type(e.type)
        assert isinstance(t, FunctionType)
        return function_reference(fn, fn.world.instance(function, {}), t)
    if is_holder(fn.type(e.type)):
        fn.world.changed.add(id(value))
        note_need(fn, f"uses the contents of {e.name}")
    return constant(fn, value, fn.type(e.type))


# Operators ------------------------------------------------------------------------------------------------------------


def unary(fn: FunctionLowerer, e: Unary) -> Value:
    if e.op == "not":
        return Value(invert(fn, lower_truth(fn, e.operand)), BOOL)
    operand = lower(fn, e.operand)
    fn.set_loc(e.loc)
    if isinstance(operand.type, ClassType | StructType):
        return call_method(fn, operand, {"-": "__neg__", "~": "__invert__", "+": "__pos__"}[e.op], [])
    if e.op == "+":
        return operand
    if not is_integer(operand.type):
        raise fn.error("KP964", f"{e.op} of {show(operand.type)}")
    if e.op == "-":
        return integers.negate(fn, as_int(fn, operand))
    if isinstance(operand.type, EnumType) and is_flags(fn, operand):
        return other_flags(fn, operand, operand.type)
    return integers.complement(fn, operand, INT)


def binary(fn: FunctionLowerer, e: Binary) -> Value:
    t = fn.type(e.type)
    left = lower(fn, e.left)
    if isinstance(left.type, ClassType) and left.type.name == LIST:
        return call_method(fn, left, "concat" if e.op == "+" else "repeat", [e.right])
    right = lower(fn, e.right)
    fn.set_loc(e.loc)
    return operate(fn, e.op, left, right, t)


def operate(fn: FunctionLowerer, op: str, left: Value, right: Value, t: Type) -> Value:
    """`left op right` on values."""
    if isinstance(left.type, OptionalType):
        left = narrow(fn, left, left.type.inner, stable=False)
    if isinstance(left.type, BytesType | StrType):
        name = "bytes" if isinstance(left.type, BytesType) else "str"
        if op not in ("+", "*"):
            raise fn.error("KP964", f"{op} of {show(left.type)}")
        return call_runtime(fn, f"{name}.{'concat' if op == '+' else 'repeat'}", [left, right])
    if isinstance(right.type, BytesType | StrType) and op == "*":
        return operate(fn, op, right, left, t)
    if isinstance(left.type, BoolType) and isinstance(right.type, BoolType) and op in integers.BITS:
        return Value(fn.op(f"{integers.BITS[op]} i1 {left.operand}, {right.operand}"), BOOL)
    if isinstance(left.type, BoolType):
        left = number(fn, left)
    if isinstance(right.type, BoolType):
        right = number(fn, right)
    if not is_integer(left.type) or not is_integer(right.type):
        if isinstance(left.type, ClassType):
            return call_method(fn, left, {"+": "concat", "*": "repeat"}.get(op, op), [right])
        raise fn.error("KP964", f"{show(left.type)} {op} {show(right.type)}")
    return combined(fn, op, left, right, integers.arithmetic(fn, op, left, right, t))


def compare_values(fn: FunctionLowerer, op: str, left: Value, right: Value) -> str:
    """One comparison as an i1."""
    match op:
        case "is" | "is not":
            refuse_values(fn, left, right)
            same = identical(fn, left, right)
            return same if op == "is" else invert(fn, same)
        case "==":
            return equal(fn, left, right)
        case "!=":
            return invert(fn, equal(fn, left, right))
    if isinstance(left.type, OptionalType):
        left = narrow(fn, left, left.type.inner, stable=False)
    if isinstance(right.type, OptionalType):
        right = narrow(fn, right, right.type.inner, stable=False)
    if is_integer(left.type) and is_integer(right.type):
        return integers.compare(fn, op, left, right)
    if isinstance(left.type, StrType | BytesType) and type(left.type) is type(right.type):
        name = "bytes.compare" if isinstance(left.type, BytesType) else "str.compare"
        return integers.compare(fn, op, call_runtime(fn, name, [left, right]), int_constant(0))
    if isinstance(left.type, ClassType):
        method = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}[op]
        return truth(fn, call_method(fn, left, method, [right]))
    hint = "compare ints, texts or bytes, or give the class on the left the method"
    raise fn.error("KP965", f"{show(left.type)} and {show(right.type)} have no order", hint)


def refuse_values(fn: FunctionLowerer, left: Value, right: Value) -> None:
    """`is` of values, which a generic function may be given: which of them are one object is Python's own business."""
    sides = [side.type.inner if isinstance(side.type, OptionalType) else side.type for side in (left, right)]
    if any(isinstance(t, NoneType) for t in sides) or fn.frame.function.name.startswith("kernel.lang.runtime."):
        return
    if any(isinstance(t, VALUES) for t in sides):
        raise fn.error("KP223", f"`is` compares objects, and these are values: {show(sides[0])}", "use == or !=")


def chain(fn: FunctionLowerer, e: Chain) -> Value:
    """`a < b <= c`: stops at the first comparison that fails."""
    end = fn.join("chained")
    arms: list[tuple[str, str]] = []
    left = lower(fn, e.operands[0])
    for place, (op, operand) in enumerate(zip(e.ops, e.operands[1:], strict=True)):
        right = lower(fn, operand)
        fn.set_loc(e.loc)
        bit = fn.decided(compare_values(fn, op, left, right))
        if place + 1 < len(e.ops):
            following = fn.join("next")
            if bit == "false":
                arms.append(("false", fn.block))
                fn.branch(end)
                break
            if bit != "true":
                arms.append(("false", fn.block))
                fn.branch_if(bit, following, end)
                fn.start(following)
        else:
            if fn.live:
                arms.append((bit, fn.block))
            fn.branch(end)
        left = right
    fn.start(end)
    return Value(fn.phi("i1", arms), BOOL)


def bool_op(fn: FunctionLowerer, e: BoolOp) -> Value:
    """`and`, `or`: the value of the operand that decides."""
    t = fn.type(e.type)
    bool_result = isinstance(t, BoolType)
    left = Value(lower_truth(fn, e.left), BOOL) if bool_result else lower(fn, e.left)
    test = truth(fn, left)
    other, end = fn.join("other"), fn.join("decided")
    arms: list[tuple[str, str]] = []
    kept = "none"
    if fn.live:
        keep = fn.join("keep")
        if e.op == "and":
            fn.branch_if(test, other, keep)
        else:
            fn.branch_if(test, keep, other)
        fn.start(keep)
        if fn.live:
            kept = test if bool_result else keep_value(fn, left, t, e.op)
            if fn.live:
                arms.append((kept, fn.block))
            fn.branch(end)
    fn.start(other)
    if bool_result:
        operand = lower_truth(fn, e.right)
    else:
        right = lower(fn, e.right)
        fn.set_loc(e.loc)
        operand = coerce(fn, right, t).operand
    if fn.live:
        arms.append((operand, fn.block))
    fn.branch(end)
    fn.start(end)
    if fn.kind(t) == "void":
        return NONE_VALUE
    merged = fn.phi(fn.kind(t), arms)
    if bool_result and len(arms) > 1:
        side = 0 if e.op == "and" else 1  # both operands were so, if the whole is
        both = together(fact for bit in (test, operand) for fact in fn.implied.get(bit, ([], []))[side])
        fn.implied[merged] = (both, []) if e.op == "and" else ([], both)
    return Value(merged, t)


def keep_value(fn: FunctionLowerer, left: Value, t: Type, op: str) -> str:
    """The left operand as the result: under `or` it is not None, under `and` it is false."""
    if op == "or" and isinstance(left.type, OptionalType) and not isinstance(t, OptionalType):
        left = narrow(fn, left, left.type.inner, stable=True)
    if op == "and" and isinstance(t, OptionalType) and isinstance(left.type, OptionalType) and left.type != t:
        # What is false and may be None: a None of the other type, where the left side can only be None.
        return coerce(fn, NONE_VALUE, t).operand
    return coerce(fn, left, t).operand


def conditional(fn: FunctionLowerer, e: Conditional) -> Value:
    """`a if test else b`."""
    t = fn.type(e.type)
    test = lower_truth(fn, e.test)
    then, orelse, end = fn.join("then"), fn.join("else"), fn.join("chosen")
    fn.branch_if(test, then, orelse)
    arms: list[tuple[str, str]] = []
    low: int | None = None
    high: int | None = None
    first = True
    for label, part in ((then, e.then), (orelse, e.orelse)):
        fn.start(label)
        if not fn.live:
            continue
        value = lower_as(fn, part, t)
        if fn.live:
            arms.append((value.operand, fn.block))
            if is_integer(value.type):
                least, greatest = bounds(value)
                low = least if first else min(low or 0, least) if low is not None else None
                high = greatest if first else max(high or 0, greatest) if high is not None else None
                first = False
        fn.branch(end)
    fn.start(end)
    if fn.kind(t) == "void":
        return NONE_VALUE
    return Value(fn.phi(fn.kind(t), arms), t, low, high)


def walrus(fn: FunctionLowerer, e: Walrus) -> Value:
    value = lower(fn, e.value)
    slot = fn.slot(e.name, e.value.type)
    fn.set_loc(e.loc)
    fn.write(slot, coerce(fn, value, slot.type))
    return narrow(fn, value, fn.type(e.type), stable=True)


def cast(fn: FunctionLowerer, e: Cast) -> Value:
    """`u32(x)` wraps, `int(x)` and `u64(x)` check or wrap as the node says."""
    t = fn.type(e.type)
    if e.wrapping and isinstance(t, IntType):
        value = wrapped(fn, e.value)
        fn.set_loc(e.loc)
        return integers.wrap(fn, value, t)
    value = lower(fn, e.value)
    fn.set_loc(e.loc)
    if isinstance(t, BoolType):
        return Value(truth(fn, value), BOOL)
    if isinstance(value.type, BoolType):
        return coerce(fn, number(fn, value), t)
    if isinstance(value.type, OptionalType):
        value = narrow(fn, value, value.type.inner, stable=False)
    return as_int(fn, value) if t == INT else coerce(fn, value, t)


def wrapped(fn: FunctionLowerer, e: Expr) -> Value:
    """An expression directly under a wrapping cast: its ring operators are computed modulo 2**64."""
    if isinstance(fn.type(e.type), EnumType):
        return lower(fn, e)
    if isinstance(e, Binary) and (e.op in integers.PLAIN or e.op in integers.BITS):
        left = wrapped(fn, e.left)
        right = wrapped(fn, e.right)
        if is_integer(left.type) and is_integer(right.type):
            fn.set_loc(e.loc)
            if left.constant is not None and right.constant is not None:
                folded = integers.fold(e.op, left.constant, right.constant)
                if folded is not None and INT_MIN <= folded < 1 << 64:
                    return int_constant(folded, U64 if folded > INT_MAX else INT)
            name = integers.PLAIN.get(e.op) or integers.BITS[e.op]
            t = U64 if is_unsigned(left.type) or is_unsigned(right.type) else INT
            if e.op in integers.BITS:
                low, high = integers.bit_bounds(e.op, left, right, t == U64)
                return Value(fn.op(f"{name} i64 {left.operand}, {right.operand}"), t, low, high)
            return Value(fn.op(f"{name} i64 {left.operand}, {right.operand}"), t)
        return operate(fn, e.op, left, right, fn.type(e.type))
    if isinstance(e, Binary) and e.op == "<<":
        left = wrapped(fn, e.left)
        count = as_int(fn, lower(fn, e.right))
        if is_integer(left.type):
            fn.set_loc(e.loc)
            integers.check_shift_count(fn, count)
            t = U64 if is_unsigned(left.type) else INT
            return Value(fn.op(f"shl i64 {left.operand}, {count.operand}"), t)
    if isinstance(e, Unary) and e.op in ("-", "~"):
        operand = wrapped(fn, e.operand)
        fn.set_loc(e.loc)
        t = U64 if is_unsigned(operand.type) else INT
        if operand.constant is not None:
            folded = -operand.constant if e.op == "-" else ~operand.constant
            if folded >= INT_MIN:
                return int_constant(folded, INT)
        text = f"sub i64 0, {operand.operand}" if e.op == "-" else f"xor i64 {operand.operand}, -1"
        return Value(fn.op(text), t)
    value = lower(fn, e)
    if isinstance(value.type, BoolType):
        return number(fn, value)
    if isinstance(value.type, OptionalType):
        value = narrow(fn, value, value.type.inner, stable=False)
    if not is_integer(value.type):
        raise fn.error("KP966", f"{show(value.type)} is not a number", loc=e.loc)
    return value


# Calls and literals of containers -------------------------------------------------------------------------------------


def call_function(fn: FunctionLowerer, e: CallFunction) -> Value:
    function = fn.world.function(e.function, e.loc)
    env = fn.types(e.type_args)
    # A base class's method called by `super()`: the receiver's type says what the class's variables stand for.
    if function.cls is not None and e.args:
        receiver = fn.type(e.args[0].type)
        for ancestor in fn.layouts.ancestry(receiver) if isinstance(receiver, ClassType) else ():
            if ancestor.name == function.cls:
                env.update(fn.layouts.binding(ancestor))
    target = fn.world.instance(function, env)
    fn.set_loc(e.loc)
    value = call_with(fn, target, None, e.args)
    return narrow(fn, value, fn.type(e.type), stable=False)


# Longer literals call a function for each item: LLVM's time grows with the square of what is inlined into one function.
MOST_INLINE_ITEMS = 32


def list_literal(fn: FunctionLowerer, e: ListLit) -> Value:
    """`[a, b]`: a List with room for its items."""
    t = fn.type(e.type)
    assert isinstance(t, ClassType)
    result = construct_simple(fn, t, [])
    if len(e.items) > 1:
        call_method(fn, result, "reserve", [int_constant(len(e.items))])
    append = "append" if len(e.items) <= MOST_INLINE_ITEMS else "append_reserved"

    def use(row: Row) -> None:
        fn.set_loc(e.loc)
        call_method(fn, result, append, row)

    in_rows(fn, [t.args[0]], [partial(row_of, fn, [(item, t.args[0])]) for item in e.items], use)
    return result


def row_of(fn: FunctionLowerer, items: list[tuple[Expr, Type]]) -> Row:
    """Items of a literal that belong together."""
    return [lower_as(fn, item, t) for item, t in items]


def dict_literal(fn: FunctionLowerer, e: DictLit) -> Value:
    """`{k: v}`: a Dict; a long one has room for its entries before the first is set."""
    t = fn.type(e.type)
    assert isinstance(t, ClassType)
    result = construct_simple(fn, t, [])
    method = "__setitem__"
    if len(e.items) > MOST_INLINE_ITEMS:
        call_method(fn, result, "reserve", [int_constant(len(e.items))])
        method = "set_reserved"

    def use(row: Row) -> None:
        fn.set_loc(e.loc)
        call_method(fn, result, method, row)

    pairs = [[(key, t.args[0]), (value, t.args[1])] for key, value in e.items]
    in_rows(fn, list(t.args[:2]), [partial(row_of, fn, pair) for pair in pairs], use)
    return result


def tuple_literal(fn: FunctionLowerer, e: TupleLit) -> Value:
    t = fn.type(e.type)
    assert isinstance(t, TupleType)
    check_width(fn, t, e.loc)
    items = [lower_as(fn, item, kind) for item, kind in zip(e.items, t.items, strict=True)]
    return make_tuple(fn, items, t)


def tuple_index(fn: FunctionLowerer, e: TupleIndex) -> Value:
    return narrow(fn, tuple_item(fn, lower(fn, e.value), e.index), fn.type(e.type), stable=True)


def _no_lambda(fn: FunctionLowerer, e: Lambda) -> Value:
    raise fn.error(
        "KP968", "a lambda can only be an argument of a function that calls it", "write a top-level function", e.loc
    )


EXPRESSIONS.update(
    {
        IntLit: integer_literal,
        BoolLit: lambda fn, e: Value("true" if e.value else "false", BOOL),
        StrLit: lambda fn, e: constant(fn, e.value, STR),
        BytesLit: lambda fn, e: constant(fn, e.value, BYTES),
        NoneLit: lambda fn, e: NONE_VALUE,
        Local: local,
        Captured: captured,
        Global: global_value,
        ClassConstant: class_constant,
        Unary: unary,
        Binary: binary,
        Chain: chain,
        BoolOp: bool_op,
        Conditional: conditional,
        Walrus: walrus,
        CallFunction: call_function,
        Cast: cast,
        ListLit: list_literal,
        DictLit: dict_literal,
        TupleLit: tuple_literal,
        TupleIndex: tuple_index,
        Lambda: _no_lambda,
    }
)
