"""The definition of one function: its head, its parameters, its body, and what it returns at the end."""

from __future__ import annotations

from compiler.lower.convert import coerce
from compiler.lower.dispatch import lower_body
from compiler.lower.function import FOR_ALONE, TRAP_UNREACHABLE, FunctionLowerer, HeldContext
from compiler.lower.guards import contracts
from compiler.lower.interfaces import PERSONALITY
from compiler.lower.values import NONE_VALUE
from compiler.types import NeverType, NoneType, OptionalType


def lower_function(fn: FunctionLowerer) -> str:
    """Lower the function; returns its definition, with `LINKAGE` where its linkage goes."""
    function = fn.instance.function
    if function.is_generator:
        raise fn.error("KP922", "a generator can only be called in a `for`", FOR_ALONE)
    subprogram = -1
    if not fn.discovering:
        subprogram = fn.module.debug.subprogram(function, fn.instance.symbol)
        fn.frame.scope = subprogram
    fn.set_loc(function.loc)
    names = fn.parameters()
    for contract in contracts(fn):
        fn.contexts.append(HeldContext(contract.held))
    lower_body(fn, function.body)
    if fn.live:
        result = fn.instance.result
        if isinstance(result, NoneType | NeverType):
            fn.emit_return(NONE_VALUE)
        elif isinstance(result, OptionalType):
            fn.emit_return(coerce(fn, NONE_VALUE, result))
        else:
            fn.trap(TRAP_UNREACHABLE)
    kind, _ = fn.signature(fn.instance.parameters, fn.instance.result, fn.instance.raises_word, fn.instance.view)
    attributes = "#0"
    base = fn.module.base_attributes()
    if "inline" in function.decorators:
        attributes = fn.module.attribute_group(base + " alwaysinline")
    elif not {"noinline", "recursion", "last_resort", "with_room"}.isdisjoint(function.decorators):
        attributes = fn.module.attribute_group(base + " noinline")
    personality = f" personality ptr @{PERSONALITY}" if fn.unwind_slot else ""
    debug = f" !dbg !{subprogram}" if subprogram >= 0 else ""
    attributes += personality + debug
    header = f'define LINKAGE {kind} @"{fn.instance.symbol}"({", ".join(names)}) {attributes} {{'
    body = [header, "entry:", *fn.entry, "  br label %begin", "begin:", *fn.lines, *fn.tail, "}"]
    return "\n".join(body)
