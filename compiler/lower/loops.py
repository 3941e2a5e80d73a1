"""`for` over everything that it runs over, comprehensions, and the inlining of generators, lambdas and nested
functions.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.lower.convert import as_int, coerce, make_tuple, tuple_item, unwrap
from compiler.lower.dispatch import EXPRESSIONS, STATEMENTS, lower, lower_as, lower_body, store
from compiler.lower.elements import element_address, length, load_element
from compiler.lower.expressions import lower_truth
from compiler.lower.function import (
    TRAP_CHANGED,
    TRAP_OVERFLOW,
    TRAP_RANGE,
    Closure,
    Frame,
    FunctionLowerer,
    LoopContext,
)
from compiler.lower.guards import no_contract
from compiler.lower.inlining import bind_parameters, evaluate_arguments, new_frame
from compiler.lower.inside import Place, all_inside, places_of, repeatable
from compiler.lower.integers import arithmetic
from compiler.lower.interfaces import DEQUE, DICT, LIST
from compiler.lower.module import UNROLLED
from compiler.lower.objects import call_method, construct_simple, refuse_overridden
from compiler.lower.ranges import in_loop
from compiler.lower.tables import LEAST, is_constant, table
from compiler.lower.values import INT_MAX, LENGTH_LIMIT, Value, bounds, int_constant
from compiler.tree import (
    CallBuiltin,
    CallFunction,
    CallMethod,
    Comprehension,
    Expr,
    For,
    ForClause,
    LocalTarget,
    Target,
    TupleLit,
    TupleTarget,
)
from compiler.types import (
    BOOL,
    INT,
    ArrayType,
    BytesType,
    ClassType,
    NoneType,
    OptionalType,
    SpanType,
    StrType,
    TupleType,
    Type,
    show,
    substitute,
)

LEAST_REPEATED = 12  # nodes of a body for which LLVM's rules are not enough,
LEAST_UNROLLED = 400  # and of all turns together
Body = Callable[[Value], None]


def lower_for(fn: FunctionLowerer, s: For) -> None:
    """A `for` statement."""
    frame = fn.frame
    end, orelse = fn.join("end"), fn.join("else")

    def body(value: Value) -> None:
        store(fn, s.target, value)
        lower_body(fn, s.body)

    with in_loop(fn, s):
        if places := places_of(fn, s):
            over_places(fn, s, places, body, frame, end, orelse)
        elif isinstance(s.iterable, CallBuiltin) and s.iterable.name == "range":
            over_range(fn, s.iterable.args, body, frame, end, orelse, repeatable(fn, s))
        else:
            iterate(fn, s.iterable, body, frame, end, orelse)
    fn.start(orelse)
    lower_body(fn, s.orelse)
    fn.branch(end)
    fn.start(end)


def over_places(
    fn: FunctionLowerer, s: For, places: list[Place], body: Body, frame: Frame, end: str, done: str
) -> None:
    """A `for` over a range, without some checks if they are not needed (inside.py)."""
    assert isinstance(s.iterable, CallBuiltin)
    values = [as_int(fn, lower(fn, a)) for a in s.iterable.args]
    start, stop = (values[0], values[1]) if len(values) > 1 else (int_constant(0), values[0])
    inside, checked = fn.join("inside"), fn.join("checked")
    fn.branch_if(all_inside(fn, places, s, start, stop), inside, checked)
    before = frame.inside
    known = {id(place.node) for place in places}
    for label, fine in ((inside, before | known), (checked, before)):
        fn.start(label)
        frame.inside = fine
        fn.set_loc(s.loc)
        nodes = repeatable(fn, s) if label == inside else 0
        count_range(fn, start, stop, int_constant(1), body, frame, end, done, nodes)
    frame.inside = before


def iterate(fn: FunctionLowerer, iterable: Expr, body: Body, frame: Frame, end: str, done: str) -> None:
    """Run `body` for each value; `break` goes to `end`, exhaustion to `done`. `frame` is where break and continue
    belong.
    """
    if isinstance(iterable, CallBuiltin):
        match iterable.name:
            case "range":
                return over_range(fn, iterable.args, body, frame, end, done)
            case "enumerate":
                return over_enumerate(fn, iterable, body, frame, end, done)
            case "zip":
                return over_zip(fn, iterable.args, body, frame, end, done)
            case "reversed":
                return over_reversed(fn, iterable.args[0], body, frame, end, done)
    if isinstance(iterable, TupleLit):
        return over_items(fn, iterable, body, frame, end, done)
    if isinstance(iterable, CallMethod) and iterable.method in ("keys", "values", "items"):
        receiver = lower(fn, iterable.receiver)
        if isinstance(receiver.type, ClassType) and receiver.type.name == DICT:
            return over_dict(fn, receiver, iterable.method, body, frame, end, done)
    if isinstance(iterable, CallFunction | CallMethod) and over_generator(fn, iterable, body, frame, end, done):
        return None
    value = lower(fn, iterable)
    if isinstance(value.type, OptionalType):
        value = unwrap(fn, value)
    over_value(fn, value, body, frame, end, done)
    return None


def run_body(fn: FunctionLowerer, body: Body, value: Value, frame: Frame, end: str, following: str) -> None:
    """The body once, then on to the next round."""
    fn.contexts.append(LoopContext(frame, end, following))
    body(value)
    fn.contexts.pop()
    fn.branch(following)


def over_range(
    fn: FunctionLowerer, args: list[Expr], body: Body, frame: Frame, end: str, done: str, nodes: int = 0
) -> None:
    """`range(…)`: a counter of its own, so that the body may assign the target."""
    values = [as_int(fn, lower(fn, a)) for a in args]
    start = values[0] if len(values) > 1 else int_constant(0)
    stop = values[1] if len(values) > 1 else values[0]
    step = values[2] if len(values) > 2 else int_constant(1)
    count_range(fn, start, stop, step, body, frame, end, done, nodes)


def count_range(
    fn: FunctionLowerer,
    start: Value,
    stop: Value,
    step: Value,
    body: Body,
    frame: Frame,
    end: str,
    done: str,
    nodes: int = 0,
) -> None:
    """Count from `start` to before `stop`. `nodes`: how many the body has, if LLVM may make one turn of several."""
    counter = fn.alloca("i64", zero=False)
    fn.emit(f"store i64 {start.operand}, ptr {counter}")
    head, inside, following = fn.label("for"), fn.label("body"), fn.label("next")
    if step.constant is None:
        fn.trap_if(fn.op(f"icmp eq i64 {step.operand}, 0"), TRAP_RANGE)
    elif step.constant == 0:
        fn.trap(TRAP_RANGE)
    fn.branch(head)
    fn.start(head)
    now = fn.op(f"load i64, ptr {counter}")
    if step.constant is not None:
        more = fn.op(f"icmp {'slt' if step.constant > 0 else 'sgt'} i64 {now}, {stop.operand}")
    else:
        below = fn.op(f"icmp slt i64 {now}, {stop.operand}")
        above = fn.op(f"icmp sgt i64 {now}, {stop.operand}")
        upwards = fn.op(f"icmp sgt i64 {step.operand}, 0")
        more = fn.op(f"select i1 {upwards}, i1 {below}, i1 {above}")
    value = Value(now, INT)
    if step.constant is not None and step.constant > 0:
        value = Value(now, INT, bounds(start)[0], bounds(stop)[1] - 1)
    elif step.constant is not None and step.constant < 0:
        value = Value(now, INT, bounds(stop)[0] + 1, bounds(start)[1])
    if value.low is not None and value.high is not None and value.low > value.high:
        more = "false"
    fn.branch_if(more, inside, done)
    fn.start(inside)
    run_body(fn, body, value, frame, end, following)
    fn.start(following)
    again = fn.op(f"load i64, ptr {counter}")
    if step.constant in (1, -1):
        # The counter was before the stop, so one more step does not overflow.
        fn.emit(f"store i64 {fn.op(f'add nsw i64 {again}, {step.operand}')}, ptr {counter}")
        fn.branch(head, unrolled(start, stop, nodes))
        return
    name = "llvm.sadd.with.overflow.i64"
    fn.module.declare(name, f"declare {{ i64, i1 }} @{name}(i64, i64)")
    pair = fn.op(f"call {{ i64, i1 }} @{name}(i64 {again}, i64 {step.operand})")
    fn.emit(f"store i64 {fn.op(f'extractvalue {{ i64, i1 }} {pair}, 0')}, ptr {counter}")
    # Beyond the ints lies beyond the stop.
    fn.branch_if(fn.op(f"extractvalue {{ i64, i1 }} {pair}, 1"), done, head)


def unrolled(start: Value, stop: Value, nodes: int) -> str:
    """The mark of a loop with a short body whose turns are counted: LLVM is to make one of four or two, if that leaves
    none over. By its own rules it would not, because a check counts as several instructions. What is very short, or has
    few turns, is left to these rules: they unroll more of it.
    """
    if start.constant is None or stop.constant is None or nodes < LEAST_REPEATED:
        return ""
    turns = abs(stop.constant - start.constant)
    mark = next((mark for several, mark in UNROLLED.items() if turns % several == 0), "")
    return mark if turns * nodes >= LEAST_UNROLLED else ""


def over_enumerate(fn: FunctionLowerer, e: CallBuiltin, body: Body, frame: Frame, end: str, done: str) -> None:
    """`enumerate(x, start)`."""
    counter = fn.alloca("i64", zero=False)
    inner = e.args[0]
    # Python evaluates the iterable first; a start is nearly always a literal.
    start = lower_as(fn, e.args[1], INT) if len(e.args) > 1 else int_constant(0)
    fn.emit(f"store i64 {start.operand}, ptr {counter}")

    low, high = bounds(start)

    def numbered(value: Value) -> None:
        now = fn.op(f"load i64, ptr {counter}")
        if high > LENGTH_LIMIT:
            fn.trap_if(fn.op(f"icmp slt i64 {now}, {start.operand}"), TRAP_OVERFLOW)
        fn.emit(f"store i64 {fn.op(f'add i64 {now}, 1')}, ptr {counter}")
        number = Value(now, INT, low, INT_MAX if high > LENGTH_LIMIT else INT_MAX - 1)
        body(make_tuple(fn, [number, value], TupleType((INT, value.type))))

    iterate(fn, inner, numbered, frame, end, done)


def over_zip(fn: FunctionLowerer, args: list[Expr], body: Body, frame: Frame, end: str, done: str) -> None:
    """`zip(a, b)`: sequences side by side, until one is over."""
    values = [refuse_dict(fn, lower(fn, a)) for a in args]
    watches = [watch_deque(fn, value) for value in values]
    index = fn.alloca("i64", zero=True)
    fn.emit(f"store i64 0, ptr {index}")
    loc = fn.loc
    head, following = fn.label("zip"), fn.label("next")
    fn.branch(head)
    fn.start(head)
    now = Value(fn.op(f"load i64, ptr {index}"), INT, 0, INT_MAX - 1)
    for value, watch in zip(values, watches, strict=True):
        if watch is not None:  # in its turn: another one may be over before
            fn.set_loc(loc)
            check_watched(fn, [watch])
        more = fn.label("more")
        length = sequence_length(fn, value)
        fn.branch_if(fn.op(f"icmp slt i64 {now.operand}, {length.operand}"), more, done)
        fn.start(more)
    items = [sequence_item(fn, value, now) for value in values]
    run_body(fn, body, make_tuple(fn, items, TupleType(tuple(i.type for i in items))), frame, end, following)
    fn.start(following)
    again = fn.op(f"load i64, ptr {index}")
    fn.emit(f"store i64 {fn.op(f'add nsw i64 {again}, 1')}, ptr {index}")
    fn.branch(head)


def over_reversed(fn: FunctionLowerer, e: Expr, body: Body, frame: Frame, end: str, done: str) -> None:
    """`reversed(range(…))` with one or two bounds, or of a sequence."""
    if isinstance(e, CallBuiltin) and e.name == "range":
        values = [as_int(fn, lower(fn, a)) for a in e.args]
        if len(values) > 2 and values[2].constant != 1:
            reversed_steps(fn, values, body, frame, end, done)
            return
        low = values[0] if len(values) > 1 else int_constant(0)
        high = values[1] if len(values) > 1 else values[0]
        count_down(fn, low, high, body, frame, end, done)
        return
    sequence = refuse_dict(fn, lower(fn, e))
    watch = watch_deque(fn, sequence)
    length = sequence_length(fn, sequence)

    def at(index: Value) -> None:
        if watch is not None:
            check_watched(fn, [watch])
        body(sequence_item(fn, sequence, index))

    count_down(fn, int_constant(0), length, at, frame, end, done)


def refuse_dict(fn: FunctionLowerer, value: Value) -> Value:
    """A dictionary is no sequence: an index would be taken for a key."""
    t = value.type.inner if isinstance(value.type, OptionalType) else value.type
    if isinstance(t, ClassType) and t.name == DICT:
        raise fn.error("KP992", "a dict beside others, or backwards", "make a list of it: list(d)")
    return value


def watch_deque(fn: FunctionLowerer, value: Value) -> tuple[str, str] | None:
    """Where a deque counts its changes, and how many there were."""
    if not isinstance(value.type, ClassType) or value.type.name != DEQUE:
        return None
    offset, version_type = fn.layouts.field(value.type, "version")
    place = fn.offset(value.operand, offset)
    return place, fn.load_at(place, version_type).operand


def check_watched(fn: FunctionLowerer, watched: list[tuple[str, str]]) -> None:
    """Trap if a deque that is run over has changed."""
    for place, version in watched:
        changed = fn.op(f"load i64, ptr {place}")
        fn.trap_if(fn.op(f"icmp ne i64 {changed}, {version}"), TRAP_CHANGED)


def reversed_steps(fn: FunctionLowerer, values: list[Value], body: Body, frame: Frame, end: str, done: str) -> None:
    """`reversed(range(start, stop, step))`: from the last number back to `start`."""
    start, stop, step = values
    if step.constant is None or step.constant == 0:
        raise fn.error("KP990", "reversed of a range whose step is no constant", "write the range backwards")
    one = int_constant(1 if step.constant > 0 else -1)
    # An empty range gives a last number before `start`, so that the loop ends at once.
    span = arithmetic(fn, "-", arithmetic(fn, "-", stop, start, INT), one, INT)
    steps = arithmetic(fn, "//", span, step, INT)
    last = arithmetic(fn, "+", start, arithmetic(fn, "*", steps, step, INT), INT)
    limit = arithmetic(fn, "-", start, one, INT)
    count_range(fn, last, limit, int_constant(-step.constant), body, frame, end, done)


def count_down(fn: FunctionLowerer, low: Value, high: Value, body: Body, frame: Frame, end: str, done: str) -> None:
    """From `high - 1` down to `low`."""
    counter = fn.alloca("i64", zero=False)
    fn.emit(f"store i64 {high.operand}, ptr {counter}")
    head, inside = fn.label("down"), fn.label("body")
    fn.branch(head)
    fn.start(head)
    now = fn.op(f"load i64, ptr {counter}")
    fn.branch_if(fn.op(f"icmp sgt i64 {now}, {low.operand}"), inside, done)
    fn.start(inside)
    index = fn.op(f"add nsw i64 {now}, -1")
    fn.emit(f"store i64 {index}, ptr {counter}")
    run_body(fn, body, Value(index, INT, low.low, None), frame, end, head)


def over_items(fn: FunctionLowerer, e: TupleLit, body: Body, frame: Frame, end: str, done: str) -> None:
    """A tuple literal: the body once for each item (by a counter, so that the body is there once)."""
    t = fn.type(e.type)
    assert isinstance(t, TupleType)
    if not e.items:
        fn.branch(done)
        return
    common = common_type(t.items)
    kind = fn.kind(common)
    values = [lower_as(fn, item, common) for item in e.items]
    if len(values) >= LEAST and all(map(is_constant, values)):
        storage = table(fn, common, values)
    else:
        storage = fn.alloca(f"[{len(values)} x {kind}]", zero=False)
        for number, value in enumerate(values):
            place = fn.op(f"getelementptr inbounds {kind}, ptr {storage}, i64 {number}")
            fn.emit(f"store {kind} {value.operand}, ptr {place}")

    def at(index: Value) -> None:
        place = fn.op(f"getelementptr inbounds {kind}, ptr {storage}, i64 {index.operand}")
        body(Value(fn.op(f"load {kind}, ptr {place}"), common))

    count_range(fn, int_constant(0), int_constant(len(values)), int_constant(1), at, frame, end, done)


def common_type(items: tuple[Type, ...]) -> Type:
    """A type that holds all items of a tuple."""
    result = items[0]
    for item in items[1:]:
        if item != result:
            if isinstance(item, NoneType):
                result = result if isinstance(result, OptionalType) else OptionalType(result)
            elif isinstance(result, NoneType):
                result = item if isinstance(item, OptionalType) else OptionalType(item)
            elif isinstance(item, OptionalType):
                result = item
    return result


def over_dict(fn: FunctionLowerer, d: Value, what: str, body: Body, frame: Frame, end: str, done: str) -> None:
    """A dictionary by its entries; traps if the body changed it."""
    assert isinstance(d.type, ClassType)
    loc = fn.loc
    entry = fn.alloca("i64")
    version_offset, version_type = fn.layouts.field(d.type, "version")
    version = fn.load_at(fn.offset(d.operand, version_offset), version_type)
    first = call_method(fn, d, "entry_first", [])
    fn.emit(f"store i64 {first.operand}, ptr {entry}")
    head, inside, following = fn.label("dict"), fn.label("body"), fn.label("next")
    fn.branch(head)
    fn.start(head)
    now = Value(fn.op(f"load i64, ptr {entry}"), INT)
    fn.branch_if(fn.op(f"icmp sge i64 {now.operand}, 0"), inside, done)
    fn.start(inside)
    value: Value
    if what == "keys":
        value = call_method(fn, d, "entry_key", [now])
    elif what == "values":
        value = call_method(fn, d, "entry_value", [now])
    else:
        key = call_method(fn, d, "entry_key", [now])
        item = call_method(fn, d, "entry_value", [now])
        value = make_tuple(fn, [key, item], TupleType((key.type, item.type)))
    run_body(fn, body, value, frame, end, following)
    fn.start(following)
    fn.set_loc(loc)
    changed = fn.load_at(fn.offset(d.operand, version_offset), version_type)
    fn.trap_if(fn.op(f"icmp ne i64 {changed.operand}, {version.operand}"), TRAP_CHANGED)
    again = Value(fn.op(f"load i64, ptr {entry}"), INT)
    after = call_method(fn, d, "entry_next", [again])
    fn.emit(f"store i64 {after.operand}, ptr {entry}")
    fn.branch(head)


def over_value(fn: FunctionLowerer, value: Value, body: Body, frame: Frame, end: str, done: str) -> None:
    """A list, deque, bytes, bytearray, Span, Array or tuple, or an object with `__len__` and `__getitem__`."""
    t = value.type
    loc = fn.loc
    if isinstance(t, ClassType) and t.name == DICT:
        over_dict(fn, value, "keys", body, frame, end, done)
        return
    if isinstance(t, TupleType):
        over_tuple_value(fn, value, t, body, frame, end, done)
        return
    index = fn.alloca("i64")
    fn.emit(f"store i64 0, ptr {index}")
    head, inside, following = fn.label("each"), fn.label("body"), fn.label("next")
    watch = watch_deque(fn, value)
    # The length of a list may change while it is run over; that of the others cannot.
    fixed = sequence_length(fn, value) if not isinstance(t, ClassType) else None
    fn.branch(head)
    fn.start(head)
    now = Value(fn.op(f"load i64, ptr {index}"), INT, 0, INT_MAX - 1)
    length = fixed or sequence_length(fn, value)
    fn.branch_if(fn.op(f"icmp slt i64 {now.operand}, {length.operand}"), inside, done)
    fn.start(inside)
    run_body(fn, body, sequence_item(fn, value, now), frame, end, following)
    fn.start(following)
    fn.set_loc(loc)
    if watch is not None:
        check_watched(fn, [watch])
    again = fn.op(f"load i64, ptr {index}")
    fn.emit(f"store i64 {fn.op(f'add nsw i64 {again}, 1')}, ptr {index}")
    fn.branch(head)


def over_tuple_value(
    fn: FunctionLowerer, value: Value, t: TupleType, body: Body, frame: Frame, end: str, done: str
) -> None:
    """A tuple that is not a literal here (a Final tuple, say)."""
    if not t.items:
        fn.branch(done)
        return
    common = common_type(t.items)
    kind = fn.kind(common)
    storage = fn.alloca(f"[{len(t.items)} x {kind}]", zero=False)
    for number in range(len(t.items)):
        item = coerce(fn, tuple_item(fn, value, number), common)
        place = fn.op(f"getelementptr inbounds {kind}, ptr {storage}, i64 {number}")
        fn.emit(f"store {kind} {item.operand}, ptr {place}")

    def at(index: Value) -> None:
        place = fn.op(f"getelementptr inbounds {kind}, ptr {storage}, i64 {index.operand}")
        body(Value(fn.op(f"load {kind}, ptr {place}"), common))

    count_range(fn, int_constant(0), int_constant(len(t.items)), int_constant(1), at, frame, end, done)


def sequence_length(fn: FunctionLowerer, value: Value) -> Value:
    """How many elements a sequence has (of a str: characters)."""
    return length(fn, value)


def sequence_item(fn: FunctionLowerer, value: Value, index: Value) -> Value:
    """An element whose index is inside."""
    t = value.type
    if isinstance(t, ClassType):
        return call_method(fn, value, "__getitem__", [index])
    if isinstance(t, BytesType):
        place = fn.op(f"getelementptr inbounds i8, ptr {fn.offset(value.operand, 16)}, i64 {index.operand}")
        byte = fn.op(f"load i8, ptr {place}")
        return Value(fn.op(f"zext i8 {byte} to i64"), INT, 0, 255)
    if isinstance(t, SpanType | ArrayType):
        address, element, aligned, _ = element_address(fn, value, index, check=False)
        return load_element(fn, t, address, element, aligned)
    if isinstance(t, StrType):
        raise fn.error("KP991", "for over a str", "run over its bytes: text.encode()")
    raise fn.error("KP992", f"{show(t)} cannot be run over")


def over_generator(
    fn: FunctionLowerer, e: CallFunction | CallMethod, body: Body, frame: Frame, end: str, done: str
) -> bool:
    """A generator function called in the `for`: its body, here, with the loop's body at each `yield`. False if it is
    none.
    """
    receiver: Value | None = None
    if isinstance(e, CallFunction):
        function = fn.world.program.functions.get(e.function)
        if function is None or not function.is_generator:
            return False
        env = fn.types(e.type_args)
    else:
        t = fn.type(e.receiver.type)
        found = fn.world.find_method(t, e.method)
        if found is None or not found[0].is_generator:
            return False
        refuse_overridden(fn, t, e.method)
        function, owner = found
        env = {**fn.layouts.binding(owner), **fn.types(e.type_args)}
        receiver = lower(fn, e.receiver)
    fn.world.program.judge(function)
    if function.errors:
        raise function.errors[0]
    no_contract(fn, function.decorators, function.name)

    parameters = tuple(substitute(p.type, env) for p in function.params)
    values: list[Value | Closure] = [receiver] if receiver is not None else []
    values += evaluate_arguments(fn, e.args, parameters[len(values) :])
    fn.set_loc(e.loc)
    inner = new_frame(fn, function, env, None)
    bind_parameters(fn, inner, values)
    inner.return_label = done
    outside, outer_contexts, loc = fn.frame, list(fn.contexts), fn.loc

    def on_yield(value: Value) -> None:
        resumed = fn.label("resumed")
        with fn.in_frame(outside), fn.in_contexts([*outer_contexts]):
            fn.set_loc(loc)
            run_body(fn, body, value, frame, end, resumed)
        fn.start(resumed)

    inner.on_yield = on_yield
    with fn.in_frame(inner):
        lower_body(fn, function.body)
    fn.branch(done)
    fn.inline_depth -= 1
    return True


# Comprehensions -------------------------------------------------------------------------------------------------------


def lower_comprehension(fn: FunctionLowerer, e: Comprehension) -> Value:
    """`[… for …]`, `any(… for …)`, `all(… for …)`, `sum(… for …)`."""
    saved = {name: fn.frame.slots.get(name) for clause in e.clauses for name in target_names(clause.target)}
    for name in saved:
        fn.frame.slots.pop(name, None)
    end = fn.label("end")
    if e.kind == "list":
        t = fn.type(e.type)
        assert isinstance(t, ClassType) and t.name == LIST
        result = construct_simple(fn, t, [])

        def append() -> None:
            value = lower_as(fn, e.element, t.args[0])
            fn.set_loc(e.loc)
            call_method(fn, result, "append", [value])

        run_clauses(fn, e.clauses, append, end)
        fn.start(end)
    else:
        result = reduce(fn, e, end)
    for name, slot in saved.items():
        fn.frame.slots.pop(name, None)
        if slot is not None:
            fn.frame.slots[name] = slot
    return result


def reduce(fn: FunctionLowerer, e: Comprehension, end: str) -> Value:
    """any, all and sum of a generator expression."""
    if e.kind == "sum":
        total = fn.alloca("i64", zero=False)
        fn.emit(f"store i64 0, ptr {total}")

        def add() -> None:
            value = lower_as(fn, e.element, INT)
            fn.set_loc(e.loc)
            old = Value(fn.op(f"load i64, ptr {total}"), INT)
            fn.emit(f"store i64 {arithmetic(fn, '+', old, value, INT).operand}, ptr {total}")

        run_clauses(fn, e.clauses, add, end)
        fn.start(end)
        return Value(fn.op(f"load i64, ptr {total}"), INT)
    found = fn.alloca("i1", zero=False)
    fn.emit(f"store i1 {'false' if e.kind == 'any' else 'true'}, ptr {found}")

    def test() -> None:
        bit = lower_truth(fn, e.element)
        stop, go = fn.label("decided"), fn.label("go")
        if e.kind == "any":
            fn.branch_if(bit, stop, go)
        else:
            fn.branch_if(bit, go, stop)
        fn.start(stop)
        fn.emit(f"store i1 {'true' if e.kind == 'any' else 'false'}, ptr {found}")
        fn.branch(end)
        fn.start(go)

    run_clauses(fn, e.clauses, test, end)
    fn.start(end)
    return Value(fn.op(f"load i1, ptr {found}"), BOOL)


def run_clauses(fn: FunctionLowerer, clauses: list[ForClause], innermost: Callable[[], None], end: str) -> None:
    """Nested loops over the clauses; falls to `end` when all are over."""

    def nest(index: int, done: str) -> None:
        if index == len(clauses):
            innermost()
            return
        clause = clauses[index]

        def body(value: Value) -> None:
            store(fn, clause.target, value)
            skip = fn.label("skip")
            for condition in clause.conditions:
                accepted = fn.label("if")
                fn.branch_if(lower_truth(fn, condition), accepted, skip)
                fn.start(accepted)
            if index + 1 == len(clauses):
                innermost()
            else:
                inner_done = fn.label("inner")
                nest(index + 1, inner_done)
                fn.start(inner_done)
            fn.branch(skip)
            fn.start(skip)

        iterate(fn, clause.iterable, body, fn.frame, done, done)

    nest(0, end)


def target_names(target: Target) -> list[str]:
    """The local names that a target assigns."""
    if isinstance(target, LocalTarget):
        return [target.name]
    if isinstance(target, TupleTarget):
        return [name for item in target.items for name in target_names(item)]
    return []


EXPRESSIONS[Comprehension] = lower_comprehension
STATEMENTS[For] = lower_for
