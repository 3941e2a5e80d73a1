"""raise, try, with. An exception is an error word: `number << 32 | code`, 0 for none (docs/compiler-abi.md)."""

from __future__ import annotations

from collections.abc import Callable

from compiler.lower.classes import is_numbered
from compiler.lower.convert import coerce, parts_of
from compiler.lower.dispatch import STATEMENTS, lower, lower_body, store
from compiler.lower.function import (
    FinallyContext,
    FunctionLowerer,
    HandlerContext,
    HeldContext,
    TryContext,
)
from compiler.lower.guards import Held, spin_lock_class
from compiler.lower.objects import call_method, method_declaration
from compiler.lower.values import NONE_VALUE, Value
from compiler.lower.world import OTHER_CODE, SAME_CODE, Cleanup
from compiler.nodes import walk
from compiler.tree import Break, Continue, Expr, Handler, If, Local, Pass, Raise, Return, Stmt, Try, With
from compiler.types import ClassType, OptionalType, Type, UnionType


def lower_raise(fn: FunctionLowerer, s: Raise) -> None:
    """`raise E(code)`, `raise e`, or a bare `raise` in a handler."""
    if s.exception is None:
        for context in reversed(fn.contexts):
            if isinstance(context, HandlerContext):
                for name in context.exceptions:
                    fn.edge("raise", exception=name, code=SAME_CODE)
                fn.propagate(fn.op(f"load i64, ptr {context.error}"))
                return
        raise fn.error("KP980", "there is no exception to raise again here", loc=s.loc)
    value = lower(fn, s.exception)
    fn.set_loc(s.loc)
    if not fn.is_exception(value.type):
        raise fn.error("KP981", "only exceptions can be raised", "derive the class from KernelError", s.loc)
    names = [t.name for t in parts_of(value.type) if isinstance(t, ClassType)]
    for name in names:
        fn.edge("raise", exception=name, code=_code_of(s.exception, value.operand))
    # where it was raised, if it may be that nobody catches it (compiler/host/start.c)
    if fn.world.options.target == "host" and any(map(fn.world.may_leave, names)):
        fn.module.declare("krait_raised", "declare dso_local void @krait_raised()")
        fn.emit("call void @krait_raised()")
    fn.propagate(value.operand)


def _code_of(exception: Expr, word: str) -> int:
    """What is known of the number that an error word holds, in its lower half."""
    if isinstance(exception, Local):
        return SAME_CODE
    return int(word) & 0xFFFF_FFFF if word.isdecimal() else OTHER_CODE


def error_slot(fn: FunctionLowerer) -> str:
    """A place for an error word on its way."""
    return fn.alloca("i64")


def with_finally(fn: FunctionLowerer, body: Callable[[], None], clean_up: Callable[[], None]) -> None:
    """Run `body`, then `clean_up` on every way out of it."""

    def final() -> None:
        before = fn.repeating, fn.steady
        fn.repeating, fn.steady = True, {}  # it may lie outside the loops that are left here
        clean_up()
        fn.repeating, fn.steady = before

    context = FinallyContext(final, error_slot(fn), fn.label("finally"), fn.label("landing"), fn.label("unwinding"))
    is_reached = fn.live
    fn.contexts.append(context)
    body()
    fn.contexts.pop()
    end = fn.join("end")
    if fn.live:
        final()
    fn.branch(end)
    if context.used:
        fn.start(context.label)
        # Calls in `final` itself may reuse the slot's name, so the word is kept elsewhere.
        error = fn.op(f"load i64, ptr {context.slot}")
        final()
        fn.propagate(error)
    elif fn.discovering and is_reached:
        context.landed = True  # a trap may always come, and with other numbers than there are at the end
        fn.targets.add(context.landing)
    if context.landed or context.passed:
        fn.land(context)
        final()
        fn.resume()
    fn.start(end)


def lower_try(fn: FunctionLowerer, s: Try) -> None:
    """`try` with all its parts: `finally` outermost."""
    if s.final:
        frame = fn.frame

        def final() -> None:
            with fn.in_frame(frame):
                lower_body(fn, s.final)

        with_finally(fn, lambda: lower_handlers(fn, s), final)
    else:
        lower_handlers(fn, s)


def lower_handlers(fn: FunctionLowerer, s: Try) -> None:
    """Body, `except` clauses and `else`."""
    if not s.handlers:
        lower_body(fn, s.body)
        lower_body(fn, s.orelse)
        return
    caught = tuple(name for handler in s.handlers for name in handler.exceptions)
    context = TryContext(error_slot(fn), fn.label("except"), caught)
    start, depth = len(fn.instance.edges), len(fn.caught())
    fn.contexts.append(context)
    lower_body(fn, s.body)
    fn.contexts.pop()
    if fn.discovering:
        for handler in s.handlers:
            if cleans_up(handler):
                fn.instance.cleanups.append(Cleanup(handler.loc, start, len(fn.instance.edges), depth, caught))
    end = fn.join("end")
    # `else` is outside the handlers' reach.
    lower_body(fn, s.orelse)
    fn.branch(end)
    if context.used:
        fn.start(context.label)
        dispatch(fn, s.handlers, context.slot, end)
    fn.start(end)


def cleans_up(handler: Handler) -> bool:
    """Whether a handler does something, whatever the exception says, and then raises it again."""
    if not handler.body or not isinstance(last := handler.body[-1], Raise):
        return False
    again = last.exception
    if again is not None and not (isinstance(again, Local) and again.name == handler.name):
        return False
    return not all(_decides(s, handler.name) for s in handler.body[:-1])


def _decides(statement: Stmt, name: str | None) -> bool:
    """Whether a statement of a handler is about its exception, or chooses whether to leave with a result."""
    if any(isinstance(node, Local) and node.name == name for node in walk(statement)):
        return True
    if not isinstance(statement, If) or statement.orelse:
        return isinstance(statement, Pass)
    return bool(statement.then) and isinstance(statement.then[-1], Return | Break | Continue | Raise)


def dispatch(fn: FunctionLowerer, handlers: list[Handler], slot: str, end: str) -> None:
    """Find the handler for the error word in `slot`, else propagate it."""
    error = fn.op(f"load i64, ptr {slot}")
    number = fn.op(f"lshr i64 {error}, 32")
    for handler in handlers:
        fn.set_loc(handler.loc)
        matches, following = fn.label("handler"), fn.label("next")
        fn.branch_if(is_numbered(fn, number, handler.exceptions, handler.loc), matches, following)
        fn.start(matches)
        run_handler(fn, handler, error)
        fn.branch(end)
        fn.start(following)
    fn.propagate(error)


def run_handler(fn: FunctionLowerer, handler: Handler, error: str) -> None:
    """The body of an `except` clause."""
    kept = error_slot(fn)
    fn.emit(f"store i64 {error}, ptr {kept}")
    if handler.name is not None:
        classes = tuple(ClassType(name) for name in handler.exceptions)
        slot = fn.slot(handler.name, classes[0] if len(classes) == 1 else UnionType(classes))
        fn.write(slot, Value(error, slot.type))
    fn.contexts.append(HandlerContext(kept, tuple(handler.exceptions)))
    lower_body(fn, handler.body)
    fn.contexts.pop()


# with -----------------------------------------------------------------------------------------------------------------


def lower_with(fn: FunctionLowerer, s: With, index: int) -> None:
    """The items of a `with` from `index` on, and its body innermost."""
    if index == len(s.items):
        lower_body(fn, s.body)
        return
    item = s.items[index]
    manager = lower(fn, item.context)
    fn.set_loc(s.loc)
    lock = spin_lock_class(fn, manager.type)
    fn.taking = lock or ""
    entered = call_method(fn, manager, "__enter__", [])
    fn.taking = ""
    frame, loc = fn.frame, s.loc
    # The manager is needed again on every way out: keep it where each can read it.
    slot = fn.alloca(fn.kind(manager.type))
    fn.emit(f"store {fn.kind(manager.type)} {manager.operand}, ptr {slot}")

    def leave() -> None:
        with fn.in_frame(frame), fn.at(loc):
            again = Value(fn.op(f"load {fn.kind(manager.type)}, ptr {slot}"), manager.type)
            fn.giving = lock is not None
            call_exit(fn, again)
            fn.giving = False

    def body() -> None:
        if item.target is not None:
            fn.set_loc(loc)
            store(fn, item.target, entered)
        if lock is not None:
            fn.contexts.append(HeldContext(Held(manager.path, lock)))
        lower_with(fn, s, index + 1)
        if lock is not None:
            fn.contexts.pop()

    with_finally(fn, body, leave)


def call_exit(fn: FunctionLowerer, manager: Value) -> None:
    """`manager.__exit__(None, None, None)`: its result does not matter, and an exception continues."""
    parameters, _ = method_declaration(fn, manager.type, "__exit__")
    call_method(fn, manager, "__exit__", [empty(fn, t) for t in parameters])


def empty(fn: FunctionLowerer, t: Type) -> Value:
    """None, whatever the parameter's type."""
    kind = fn.kind(t)
    if kind == "void":
        return NONE_VALUE
    if isinstance(t, OptionalType):
        return coerce(fn, NONE_VALUE, t)
    return Value("null" if kind == "ptr" else "zeroinitializer" if kind.startswith("{") else "0", t)


STATEMENTS.update({Raise: lower_raise, Try: lower_try, With: lambda fn, s: lower_with(fn, s, 0)})
