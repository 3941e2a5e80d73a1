"""Calls that become the body of what is called: of lambdas and nested functions, and of functions that take one."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.lower.convert import coerce, narrow
from compiler.lower.dispatch import EXPRESSIONS, lower, lower_as, lower_body
from compiler.lower.function import TRAP_UNREACHABLE, Closure, Frame, FunctionLowerer, Slot
from compiler.lower.guards import no_contract
from compiler.lower.values import NONE_VALUE, Value
from compiler.lower.world import Instance
from compiler.tree import CallValue, Captured, Expr, Function, Lambda, Local
from compiler.types import FunctionType, OptionalType, Type, show, substitute

INLINE_LIMIT = 40


def closure_of(fn: FunctionLowerer, e: Expr) -> Closure | None:
    """The lambda or nested function that an expression is, if it is one."""
    if isinstance(e, Lambda):
        return Closure(e.function, fn.frame)
    if isinstance(e, Local):
        return fn.frame.closures.get(e.name)
    if isinstance(e, Captured):
        frame = fn.frame.outer
        while frame is not None:
            if e.name in frame.closures:
                return frame.closures[e.name]
            frame = frame.outer
    return None


def new_frame(fn: FunctionLowerer, function: Function, env: dict[str, Type], outer: Frame | None) -> Frame:
    """A frame for a function that is inlined here."""
    fn.inline_depth += 1
    if fn.inline_depth > INLINE_LIMIT:
        raise fn.error(
            "KP993", f"{function.name} is inlined into itself", "a function that takes a lambda cannot be recursive"
        )
    frame = Frame(function, env, len(fn.contexts), outer=outer)
    if not fn.discovering and fn.frame.scope >= 0:
        frame.inlined_at = fn.module.debug.location(fn.loc, fn.frame.scope, fn.frame.inlined_at)
        frame.scope = fn.module.debug.subprogram(function, function.name)
    return frame


def bind_parameters(fn: FunctionLowerer, frame: Frame, args: list[Value | Closure]) -> None:
    """Store arguments in an inlined function's frame."""
    for param, arg in zip(frame.function.params, args, strict=True):
        if isinstance(arg, Closure):
            frame.closures[param.name] = arg
            continue
        with fn.in_frame(frame):
            t = fn.type(param.type)
            fn.set_loc(frame.function.loc)
            slot = fn.new_slot(param.name, t)
            fn.write(slot, coerce(fn, arg, t))


def evaluate_arguments(
    fn: FunctionLowerer, args: list[Expr] | list[Value], parameters: tuple[Type, ...]
) -> list[Value | Closure]:
    """Arguments of an inlined call: closures stay what they are."""
    result: list[Value | Closure] = []
    given: Sequence[Expr | Value] = args
    for arg, t in zip(given, parameters, strict=True):
        if isinstance(arg, Value):
            result.append(arg)
            continue
        closure = closure_of(fn, arg)
        result.append(closure if closure is not None else lower_as(fn, arg, t))
    return result


def run_inlined(fn: FunctionLowerer, frame: Frame, result: Type) -> Value:
    """The body of an inlined function, whose parameters are bound."""
    frame.return_label = fn.label("returned")
    if fn.kind(result) != "void":
        frame.return_slot = Slot(fn.alloca(fn.kind(result)), result)
    with fn.in_frame(frame):
        lower_body(fn, frame.function.body)
        if fn.live and frame.return_slot is not None and not isinstance(result, OptionalType):
            fn.trap(TRAP_UNREACHABLE)
    fn.branch(frame.return_label)
    fn.start(frame.return_label)
    fn.inline_depth -= 1
    if frame.return_slot is None:
        return NONE_VALUE
    return fn.read(frame.return_slot)


def inline_call(fn: FunctionLowerer, target: Instance, receiver: Value | None, args: list[Expr] | list[Value]) -> Value:
    """A call of a function that takes a lambda or nested function: its body, here."""
    no_contract(fn, target.function.decorators, target.function.name)
    parameters = target.parameters
    values: list[Value | Closure] = []
    if receiver is not None:
        values.append(coerce(fn, receiver, parameters[0]))
        parameters = parameters[1:]
    values += evaluate_arguments(fn, args, parameters)
    frame = new_frame(fn, target.function, target.env, None)
    bind_parameters(fn, frame, values)
    return run_inlined(fn, frame, target.result)


def inline_closure(fn: FunctionLowerer, closure: Closure, args: list[Expr]) -> Value:
    """A call of a lambda or nested function: its body, here, with the variables of the frame that made it."""
    function = closure.function
    with_env = closure.frame.env

    parameters = tuple(substitute(p.type, with_env) for p in function.params)
    values = evaluate_arguments(fn, args, parameters)
    frame = new_frame(fn, function, with_env, closure.frame)
    bind_parameters(fn, frame, values)
    return run_inlined(fn, frame, substitute(function.result, with_env))


def call_value(fn: FunctionLowerer, e: CallValue) -> Value:
    """A call through a function value, or of a lambda or nested function that is inlined here."""
    closure = closure_of(fn, e.callee)
    if closure is not None:
        return inline_closure(fn, closure, e.args)
    callee = lower(fn, e.callee)
    if isinstance(callee.type, OptionalType):
        callee = narrow(fn, callee, callee.type.inner, stable=False)
    t = callee.type
    if not isinstance(t, FunctionType):
        raise fn.error("KP967", f"{show(t)} cannot be called", loc=e.loc)
    args = [lower_as(fn, a, p) for a, p in zip(e.args, t.params, strict=True)]
    fn.set_loc(e.loc)
    return fn.call_value(callee, args)


EXPRESSIONS[CallValue] = call_value
