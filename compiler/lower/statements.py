"""Statements: one function for each kind of node. Loops are in loops.py, `match` in matching.py, exceptions in
exceptions.py.
"""

from __future__ import annotations

from typing import Any

from compiler.lower import integers
from compiler.lower.convert import as_int, coerce, invert, tuple_item
from compiler.lower.dispatch import STATEMENTS, TARGETS, lower, lower_as, lower_body, store
from compiler.lower.elements import element_address, length, load_element, note_place
from compiler.lower.expressions import lower_truth, operate
from compiler.lower.function import (
    FOR_ALONE,
    KEEP_CODE,
    TRAP_ASSERT,
    Closure,
    FunctionLowerer,
    LoopContext,
    holds_function,
)
from compiler.lower.guards import note_access, note_need, note_unfit
from compiler.lower.interfaces import BYTE_ARRAY, DEQUE, LIST
from compiler.lower.module import element_alias, field_alias
from compiler.lower.objects import call_method, confirm_natural, field_place, is_atomic, load_field, write_field
from compiler.lower.own import note_return, note_store
from compiler.lower.ranges import begin_turn, end_turns, in_loop
from compiler.lower.text import panic_with
from compiler.lower.values import NONE_VALUE, Value
from compiler.tree import (
    Assert,
    Assign,
    AugAssign,
    Break,
    CallMethod,
    Continue,
    Delete,
    Expr,
    ExprStmt,
    FieldTarget,
    GlobalTarget,
    If,
    IndexTarget,
    IntLit,
    LocalTarget,
    NestedFunction,
    Pass,
    PropertyTarget,
    Return,
    SetItemTarget,
    Target,
    TupleTarget,
    While,
    Yield,
)
from compiler.types import INT, ArrayType, ClassType, NeverType, SpanType, StructType, TupleType, show


def expression_statement(fn: FunctionLowerer, s: ExprStmt) -> None:
    value = lower(fn, s.value)
    if isinstance(value.type, NeverType) and fn.live:
        fn.unreachable()


# Assignment -----------------------------------------------------------------------------------------------------------


def assign(fn: FunctionLowerer, s: Assign) -> None:
    if len(s.targets) == 1 and not isinstance(s.targets[0], TupleTarget | PropertyTarget):
        value = lower_as(fn, s.value, fn.type(s.targets[0].type))
    else:
        value = lower(fn, s.value)
    for target in s.targets:
        fn.set_loc(s.loc)
        store(fn, target, value)


def store_target(fn: FunctionLowerer, target: Target, value: Value) -> None:
    """`target = value`, for each kind of target."""
    match target:
        case LocalTarget():
            slot = fn.slot(target.name, target.type)
            fn.write(slot, coerce(fn, value, slot.type))
        case GlobalTarget():
            t = fn.world.rebound_types[(target.module, target.name)]
            if fn.is_exception(t):
                raise fn.error("KP278", f"an exception in the global {target.name}", KEEP_CODE)
            symbol = fn.world.global_cell(target.module, target.name, t)
            note_need(fn, f"assigns the global {target.name}")
            fn.module.declare(symbol, f'@"{symbol}" = external dso_local global {fn.kind(t)}')
            if holds_function(t):
                fn.flow(value, t, ("global", symbol))
            fn.store_at(f'@"{symbol}"', coerce(fn, value, t), t)
        case FieldTarget():
            note_store(fn, target, in_loop=_in_loop(fn), is_plain=True)
            receiver = lower(fn, target.value)
            fn.set_loc(target.loc)
            write_field(fn, receiver, target.name, value, fn.world.is_first_store(fn.frame.function, target))
        case IndexTarget():
            address, element, aligned, counted = element_place(fn, target)
            fn.store_at(address, coerce(fn, value, element), element, aligned, counted, element_alias(element))
        case SetItemTarget():
            container = lower(fn, target.container)
            index = item_index(fn, container, target.index)
            fn.set_loc(target.loc)
            call_method(fn, container, "__setitem__", [index, value])
        case PropertyTarget():
            receiver = lower(fn, target.value)
            fn.set_loc(target.loc)
            call_method(fn, receiver, f"{target.name}.setter", [value])
        case TupleTarget():
            if not isinstance(value.type, TupleType):
                raise fn.error("KP971", f"{show(value.type)} cannot be unpacked", loc=target.loc)
            items = [tuple_item(fn, value, i) for i in range(len(value.type.items))]
            for part, item in zip(target.items, items, strict=True):
                store(fn, part, item)


def _in_loop(fn: FunctionLowerer) -> bool:
    return any(isinstance(context, LoopContext) for context in fn.contexts)


def element_place(fn: FunctionLowerer, target: IndexTarget) -> tuple[str, Any, bool, bool]:
    """Address and type of an element of a Span, Array or RawArray; whether it is aligned, and whether its references
    are counted.
    """
    container = lower(fn, target.container)
    index = as_int(fn, item_index(fn, container, target.index))
    note_place(fn, target.index)
    fn.set_loc(target.loc)
    return element_address(fn, container, index, is_inside=id(target) in fn.frame.inside)


def augmented(fn: FunctionLowerer, s: AugAssign) -> None:
    """`target op= value`: container, receiver and index are evaluated once, then the value, as Python does."""
    target = s.target
    t = fn.type(s.result_type)

    def updated(old: Value) -> Value:
        right = lower(fn, s.value)
        fn.set_loc(s.loc)
        return operate(fn, s.op, old, right, t)

    match target:
        case LocalTarget():
            slot = fn.slot(target.name, target.type)
            old = fn.read(slot)
            fn.write(slot, coerce(fn, updated(old), slot.type))
        case GlobalTarget():
            declared = fn.world.rebound_types[(target.module, target.name)]
            symbol = fn.world.global_cell(target.module, target.name, declared)
            note_need(fn, f"assigns the global {target.name}")
            fn.module.declare(symbol, f'@"{symbol}" = external dso_local global {fn.kind(declared)}')
            old = fn.load_at(f'@"{symbol}"', declared)
            fn.store_at(f'@"{symbol}"', coerce(fn, updated(old), declared), declared)
        case FieldTarget():
            note_store(fn, target, in_loop=_in_loop(fn), is_plain=False)
            receiver = lower(fn, target.value)
            fn.set_loc(s.loc)
            address, declared, aligned = field_place(fn, receiver, target.name)
            note_access(fn, receiver, target.name, write=True)
            alias = field_alias(receiver.type)
            atomic = is_atomic(fn, receiver, target.name)
            old = load_field(fn, receiver.type, target.name, address, declared, aligned, atomic)
            value = coerce(fn, updated(old), declared)
            confirm_natural(fn, receiver.type, target.name, value)
            fn.store_at(address, value, declared, aligned, not isinstance(receiver.type, StructType), alias, atomic)
        case IndexTarget():
            address, element, aligned, counted = element_place(fn, target)
            old = load_element(fn, fn.type(target.container.type), address, element, aligned)
            value = coerce(fn, updated(old), element)
            fn.store_at(address, value, element, aligned, counted, element_alias(element))
        case SetItemTarget():
            container = lower(fn, target.container)
            index = item_index(fn, container, target.index)
            fn.set_loc(s.loc)
            old = call_method(fn, container, "__getitem__", [index])
            call_method(fn, container, "__setitem__", [index, updated(old)])
        case PropertyTarget():
            receiver = lower(fn, target.value)
            fn.set_loc(s.loc)
            old = call_method(fn, receiver, target.name, [])
            call_method(fn, receiver, f"{target.name}.setter", [updated(old)])
        case _:
            raise fn.error("KP972", "this cannot be assigned", loc=target.loc)


def item_index(fn: FunctionLowerer, container: Value, index: Expr) -> Value:
    """The index of an item to store: a negative literal counts from the end of a sequence."""
    if not isinstance(index, IntLit) or index.value >= 0:
        return lower(fn, index)
    if isinstance(container.type, ArrayType | SpanType):
        return integers.arithmetic(fn, "+", length(fn, container), lower(fn, index), INT)
    if isinstance(container.type, ClassType) and container.type.name in (LIST, DEQUE, BYTE_ARRAY):
        return integers.arithmetic(fn, "+", call_method(fn, container, "__len__", []), lower(fn, index), INT)
    return lower(fn, index)


def delete(fn: FunctionLowerer, s: Delete) -> None:
    match s.value:
        case CallMethod(method="__delitem__", args=[IntLit() as index]) as call if index.value < 0:
            container = lower(fn, call.receiver)
            place = item_index(fn, container, index)
            fn.set_loc(s.loc)
            call_method(fn, container, "__delitem__", [place])
        case Expr() as call:
            lower(fn, call)


# Flow -----------------------------------------------------------------------------------------------------------------


def if_statement(fn: FunctionLowerer, s: If) -> None:
    test = lower_truth(fn, s.test)
    then, orelse, end = fn.join("then"), fn.join("else"), fn.join("end")
    fn.branch_if(test, then, orelse)
    fn.start(then)
    lower_body(fn, s.then)
    fn.branch(end)
    fn.start(orelse)
    lower_body(fn, s.orelse)
    fn.branch(end)
    fn.start(end)


def while_statement(fn: FunctionLowerer, s: While) -> None:
    head, body, orelse, end = fn.label("while"), fn.join("body"), fn.join("else"), fn.join("end")
    note_unfit(fn, "loops without a bound")
    fn.branch(head)
    with in_loop(fn, s):
        before = fn.ranges
        fn.start(head)
        believed = begin_turn(fn, s, head, before)
        fn.branch_if(lower_truth(fn, s.test), body, orelse)
        fn.start(body)
        fn.contexts.append(LoopContext(fn.frame, end, head))
        lower_body(fn, s.body)
        fn.contexts.pop()
        fn.branch(head)
        end_turns(fn, s, head, believed)
    fn.start(orelse)
    lower_body(fn, s.orelse)
    fn.branch(end)
    fn.start(end)


def leave_loop(fn: FunctionLowerer, s: Break | Continue) -> None:
    for depth in range(len(fn.contexts) - 1, -1, -1):
        context = fn.contexts[depth]
        if isinstance(context, LoopContext) and context.frame is fn.frame:
            fn.unwind_to(depth + 1)
            fn.branch(context.break_label if isinstance(s, Break) else context.continue_label)
            return
    raise fn.error("KP973", "not inside a loop", loc=s.loc)


def return_statement(fn: FunctionLowerer, s: Return) -> None:
    result = fn.type(fn.frame.function.result)
    if fn.frame.function.is_generator:
        fn.unwind_to(fn.frame.depth)
        fn.branch(fn.frame.return_label)
        return
    value = lower_as(fn, s.value, result) if s.value is not None else coerce(fn, NONE_VALUE, result)
    fn.set_loc(s.loc)
    note_return(fn, value)
    fn.return_value(value)


def assert_statement(fn: FunctionLowerer, s: Assert) -> None:
    test = lower_truth(fn, s.test)
    fn.set_loc(s.loc)
    if s.message is None:
        fn.trap_if(invert(fn, test), TRAP_ASSERT)
        return

    fail, go = fn.join("assert"), fn.join("go")
    fn.branch_if(test, go, fail)
    fn.start(fail)
    panic_with(fn, s.message, TRAP_ASSERT)
    fn.start(go)


def nested_function(fn: FunctionLowerer, s: NestedFunction) -> None:
    name = s.function.name.rpartition(".")[2]
    fn.frame.closures[name] = Closure(s.function, fn.frame)


def yield_statement(fn: FunctionLowerer, s: Yield) -> None:
    on_yield = fn.frame.on_yield
    if on_yield is None:
        raise fn.error("KP922", "a generator can only be called in a `for`", FOR_ALONE, s.loc)
    value = lower_as(fn, s.value, fn.type(fn.frame.function.result))
    fn.set_loc(s.loc)
    on_yield(value)


STATEMENTS.update(
    {
        ExprStmt: expression_statement,
        Assign: assign,
        AugAssign: augmented,
        If: if_statement,
        While: while_statement,
        Break: leave_loop,
        Continue: leave_loop,
        Pass: lambda fn, s: None,
        Return: return_statement,
        Yield: yield_statement,
        Assert: assert_statement,
        Delete: delete,
        NestedFunction: nested_function,
    }
)
TARGETS.update(
    dict.fromkeys(
        (LocalTarget, GlobalTarget, FieldTarget, IndexTarget, SetItemTarget, PropertyTarget, TupleTarget), store_target
    )
)
