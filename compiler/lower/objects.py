"""Objects: fields, construction, method calls, dispatch by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from compiler.lower.classes import is_instance, load_descriptor
from compiler.lower.convert import coerce, constant, is_unlike, narrow
from compiler.lower.dispatch import EXPRESSIONS, lower, lower_as
from compiler.lower.enums import member
from compiler.lower.function import TRAP_RANGE, TRAP_UNREACHABLE, FunctionLowerer, holds_function
from compiler.lower.guards import note_access, note_unfit
from compiler.lower.inlining import closure_of, inline_call
from compiler.lower.interfaces import ALLOCATE, LIST
from compiler.lower.layout import TEXT_DATA_OFFSET, by_address, descriptor_symbol, live_object, register_type
from compiler.lower.module import NATURAL, field_alias
from compiler.lower.values import NONE_VALUE, Value, bounds, int_constant
from compiler.lower.world import Instance, Passed
from compiler.nodes import walk
from compiler.tree import CallFunction, CallMethod, CallValue, Comprehension, Expr, Field, For, New, Param, While
from compiler.types import (
    CONTAINERS,
    INT,
    ArrayType,
    BoolType,
    ClassType,
    EnumType,
    IntType,
    NeverType,
    OptionalType,
    RawArrayType,
    StructType,
    Type,
    UnionType,
    has_variable,
    is_reference,
    show,
    substitute,
)

MEMORY_ERROR = "builtins.MemoryError"
# Int fields of the run-time library that are never negative: what reads them knows that, and what stores to them shows
# it. One comparison then says whether an index is inside.
NATURAL_FIELDS = frozenset([(LIST, "_length")])
MOST_COMPARED = 3  # methods among which a call chooses by comparing classes,
MOST_NODES = 12  # of each
_CALLS = (CallFunction, CallMethod, CallValue, Comprehension, For, New, While)


# Fields ---------------------------------------------------------------------------------------------------------------


def field_place(fn: FunctionLowerer, receiver: Value, name: str) -> tuple[str, Type, bool]:
    """Address and type of a field, and whether it is aligned as its type asks."""
    t = receiver.type
    if isinstance(t, OptionalType):
        t = t.inner
    if fn.is_exception(t):
        hint = "an exception does not change: raise another one"
        raise fn.error("KP952", f"{name} of an exception is assigned", hint)
    if isinstance(t, UnionType):
        t = same_place(fn, t, name)
    if not isinstance(t, ClassType | StructType):
        raise fn.error("KP950", f"{show(t)} has no field {name}")
    layout = fn.layouts.instance(t)
    if name not in layout.fields:
        raise fn.error("KP950", f"{show(t)} has no field {name}")
    offset, field_type = layout.fields[name]
    aligned = not isinstance(t, StructType)
    return fn.offset(receiver.operand, offset), field_type, aligned


def same_place(fn: FunctionLowerer, union: UnionType, name: str) -> ClassType:
    """A class of the union, if all of them have the field at one place."""
    first = union.items[0]
    places = set()
    for item in union.items:
        if not isinstance(item, ClassType) or name not in fn.layouts.instance(item).fields:
            raise fn.error("KP951", f"not every class of {show(union)} has a field {name}")
        places.add(fn.layouts.instance(item).fields[name])
    if len(places) != 1 or not isinstance(first, ClassType):
        raise fn.error("KP951", f"{name} lies at different places in {show(union)}", "give them a common base class")
    return first


def read_field(fn: FunctionLowerer, e: Field) -> Value:
    """`value.name`."""
    note_parts_of_atomic(fn, e)
    receiver = lower(fn, e.value)
    fn.set_loc(e.loc)
    if fn.is_exception(receiver.type):
        return exception_code(fn, receiver, e.name)
    address, t, aligned = field_place(fn, receiver, e.name)
    path = None if id(e) in fn.free_parts else note_access(fn, receiver, e.name, write=False)
    atomic = is_atomic(fn, receiver, e.name)
    value = load_field(fn, receiver.type, e.name, address, t, aligned, atomic).at(path)
    if holds_function(t) and isinstance(receiver.type, ClassType | StructType):
        value = replace(value, origin=fn.world.field_place(receiver.type, e.name))
    if atomic and fn.type(e.type) != t:
        note_unfit(fn, f"reads {e.name} again, which was tested before")
    return narrow(fn, value, fn.type(e.type), stable=False)


def note_parts_of_atomic(fn: FunctionLowerer, e: Field) -> None:
    """`object.part.name`, where the struct of the part says that `name` is atomic: to find the part touches nothing."""
    owner = fn.type(e.value.type)
    if isinstance(owner, StructType) and e.name in fn.world.notes.atomic(owner.name):
        part = e.value
        while isinstance(part, Field) and isinstance(fn.type(part.type), StructType):
            fn.free_parts.add(id(part))
            part = part.value


def load_field(
    fn: FunctionLowerer, owner: Type, name: str, address: str, t: Type, aligned: bool, atomic: bool
) -> Value:
    """The value of a field that lies at an address."""
    alias = field_alias(owner)
    if is_natural(owner, name):
        return replace(fn.load_at(address, t, aligned, alias + NATURAL), low=0)
    value = fn.load_at(address, t, aligned, alias, atomic)
    if isinstance(t, EnumType) and isinstance(owner, StructType):  # whoever wrote the bytes may know no enum
        return member(fn, value.of_type(INT), t)
    return value


def is_natural(owner: Type, name: str) -> bool:
    """Whether a field is one of those that never hold a negative number (`NATURAL_FIELDS`)."""
    return isinstance(owner, ClassType) and (owner.name, name) in NATURAL_FIELDS


def confirm_natural(fn: FunctionLowerer, owner: Type, name: str, value: Value) -> None:
    """What is stored to such a field is not negative. As nothing but stores changes it, that holds of what is read."""
    if is_natural(owner, name) and fn.live and bounds(value)[0] < 0:
        raise AssertionError(f"{fn.loc.path}:{fn.loc.line}: {name} might become negative")


def exception_code(fn: FunctionLowerer, error: Value, name: str) -> Value:
    """`e.code`: the low half of the error word."""
    if name != "code":
        raise fn.error("KP952", f"an exception has no field {name}", "exceptions carry one int, `code`")
    low = fn.op(f"trunc i64 {error.operand} to i32")
    return Value(fn.op(f"sext i32 {low} to i64"), INT, -(1 << 31), (1 << 31) - 1)


def write_field(fn: FunctionLowerer, receiver: Value, name: str, value: Value, is_first: bool = False) -> None:
    """`receiver.name = value`; `is_first` if the field is known to be empty so far."""
    address, t, aligned = field_place(fn, receiver, name)
    note_access(fn, receiver, name, write=True, first=is_first)
    inside_struct = isinstance(receiver.type, StructType)
    if holds_function(t) and isinstance(receiver.type, ClassType | StructType):
        fn.flow(value, t, fn.world.field_place(receiver.type, name))
    value = coerce(fn, value, t)
    confirm_natural(fn, receiver.type, name, value)
    if is_first and not inside_struct and is_reference(t):
        fn.fill_empty(address, value)
    else:
        atomic = is_atomic(fn, receiver, name)
        fn.store_at(address, value, t, aligned, not inside_struct, field_alias(receiver.type), atomic)


def is_atomic(fn: FunctionLowerer, receiver: Value, name: str) -> bool:
    """Whether a field is read while another processor may store it (`@atomic`)."""
    t = receiver.type.inner if isinstance(receiver.type, OptionalType) else receiver.type
    items = t.items if isinstance(t, UnionType) else (t,)
    return any(
        (isinstance(item, ClassType) and name in fn.world.notes.atomic(fn.world.declaring_class(item, name)))
        or (isinstance(item, StructType) and name in fn.world.notes.atomic(item.name))
        for item in items
    )


# Construction ---------------------------------------------------------------------------------------------------------


def descriptor(fn: FunctionLowerer, t: Type) -> str:
    """The type descriptor of a class whose instances are created here."""
    fn.world.require_class(t)
    symbol = descriptor_symbol(t)
    fn.module.declare(symbol, f'@"{symbol}" = external dso_local constant i8')
    return f'@"{symbol}"'


def allocate(fn: FunctionLowerer, t: Type, size: str) -> str:
    """A fresh object of a class; MemoryError if there is none.

    Not `noalias`, although nobody else has the address: the reclaimer reads and writes the object later through the
    zero-count table. LLVM would delete stores of references to an object that does not escape, and keep the counting.
    """
    fn.module.declare(ALLOCATE, f"declare dso_local ptr @{ALLOCATE}(ptr, i64)")
    return checked_allocation(fn, t, f"call ptr @{ALLOCATE}(ptr {descriptor(fn, t)}, i64 {size})")


def checked_allocation(fn: FunctionLowerer, t: Type, call: str) -> str:
    """A call that gives a fresh object of `t`, or null: then MemoryError."""
    fn.edge("allocate", allocated=t)
    address = fn.op(call + fn.call_marks())
    missing, there = fn.join("memory"), fn.join("go")
    fn.branch_if(fn.op(f"icmp eq ptr {address}, null"), missing, there)
    fn.start(missing)
    fn.raise_constant(MEMORY_ERROR)
    fn.start(there)
    return address


def construct(fn: FunctionLowerer, e: New) -> Value:
    """`C(…)` of a class, struct, exception or RawArray."""
    t = fn.type(e.type)
    if isinstance(t, StructType):
        return construct_struct(fn, t, {name: lower(fn, value) for name, value in e.fields.items()})
    if isinstance(t, ArrayType):
        return construct_array(fn, t)
    if isinstance(t, RawArrayType):
        return construct_raw_array(fn, t, lower_as(fn, e.args[0], INT))
    if not isinstance(t, ClassType):
        raise fn.error("KP953", f"{show(t)} cannot be constructed", loc=e.loc)
    if fn.is_exception(t):
        return construct_exception(fn, t, [lower(fn, a) for a in e.args])
    found = fn.world.find_method(t, "__init__")
    args: list[Value] = []
    init: Instance | None = None
    if found is not None:
        init = fn.world.method_instance(t, "__init__", e.loc)
        args = [lower_as(fn, a, p) for a, p in zip(e.args, init.parameters[1:], strict=False)]
    else:
        args = [lower(fn, a) for a in e.args]
    fn.set_loc(e.loc)
    return new_object(fn, t, init, args)


def new_object(fn: FunctionLowerer, t: ClassType, init: Instance | None, args: list[Value]) -> Value:
    """Allocate and initialise; the arguments have the types of `__init__`'s parameters."""
    if t.name in fn.world.program.classes:
        size = fn.layouts.instance(t).size
    else:
        raise fn.error("KP953", f"{show(t)} cannot be constructed")
    value = Value(allocate(fn, t, str(size)), t)
    if init is not None:
        fn.call_instance(init, [value.of_type(init.parameters[0]), *default_arguments(fn, init, args)])
    return value


def default_arguments(fn: FunctionLowerer, init: Instance, args: list[Value]) -> list[Value]:
    """Fill in the defaults that a caller inside the compiler left out."""

    missing = len(init.parameters) - 1 - len(args)
    if missing == 0:
        return args
    defaults = getattr(live_object(fn.world.program, init.function.name), "__defaults__", None) or ()
    types = init.parameters[len(init.parameters) - missing :]
    return args + [constant(fn, d, t) for d, t in zip(defaults[len(defaults) - missing :], types, strict=True)]


def construct_simple(fn: FunctionLowerer, t: ClassType, args: list[Value]) -> Value:
    """`t(*args)` for classes of the run-time library."""
    init = fn.world.method_instance(t, "__init__", fn.loc) if fn.world.find_method(t, "__init__") else None
    if init is not None:
        args = [coerce(fn, a, p) for a, p in zip(args, init.parameters[1:], strict=False)]
    return new_object(fn, t, init, args)


def construct_struct(fn: FunctionLowerer, t: StructType, fields: dict[str, Value]) -> Value:
    """`S(a=…)`: storage in this function's frame."""
    storage = fn.storage(t)
    fn.clear_bytes(storage, fn.layouts.size_align(t)[0])
    value = Value(storage, t)
    for name, field_value in fields.items():
        write_field(fn, value, name, field_value)
    return value


def construct_array(fn: FunctionLowerer, t: ArrayType) -> Value:
    """`Array()`: zeros."""
    storage = fn.storage(t)
    fn.clear_bytes(storage, fn.layouts.size_align(t)[0])
    return Value(storage, t)


def construct_raw_array(fn: FunctionLowerer, t: RawArrayType, count: Value) -> Value:
    """`RawArray[T](n)`."""
    size, _ = fn.layouts.size_align(t.element)
    limit = (1 << 62) // max(size, 1)
    if not 0 <= bounds(count)[0] or bounds(count)[1] > limit:
        # A count that is absurd is out of memory, not a bug; a negative one is.
        fn.trap_if(fn.op(f"icmp slt i64 {count.operand}, 0"), TRAP_RANGE)
        big, go = fn.join("memory"), fn.join("go")
        fn.branch_if(fn.op(f"icmp sgt i64 {count.operand}, {limit}"), big, go)
        fn.start(big)
        fn.raise_constant(MEMORY_ERROR)
        fn.start(go)
    bytes_wanted = fn.op(f"mul nuw nsw i64 {count.operand}, {size}") if size != 1 else count.operand
    # Rounded up to whole words: the allocator clears words.
    padded = fn.op(f"add nuw nsw i64 {bytes_wanted}, {TEXT_DATA_OFFSET + 7}")
    total = fn.op(f"and i64 {padded}, -8")
    address = allocate(fn, t, total)
    fn.emit(f"store i64 {count.operand}, ptr {fn.offset(address, 8)}")
    return Value(address, t)


def construct_exception(fn: FunctionLowerer, t: ClassType, args: list[Value]) -> Value:
    """An error word: the class's number and the code."""
    number = fn.world.exception_interval(t.name, fn.loc)[0]
    if not args:
        return int_constant(number << 32).of_type(t)
    code = args[0]
    if isinstance(code.type, BoolType):
        raise fn.error("KP184", "a bool where an int is wanted", "write int(b)")
    if not isinstance(code.type, IntType) and register_type(code.type) != "i64":
        return int_constant(number << 32).of_type(t)  # a text for CPython's reader only
    low, high = bounds(code)
    if low < -(1 << 31) or high >= 1 << 31:
        shifted = fn.op(f"add i64 {code.operand}, {1 << 31}")
        fn.trap_if(fn.op(f"icmp ugt i64 {shifted}, {(1 << 32) - 1}"), TRAP_RANGE)
    if code.constant is not None:
        return int_constant(number << 32 | (code.constant & 0xFFFFFFFF)).of_type(t)
    masked = fn.op(f"and i64 {code.operand}, {0xFFFFFFFF}")
    return Value(fn.op(f"or i64 {masked}, {number << 32}"), t)


# Calls ----------------------------------------------------------------------------------------------------------------


def lower_method_call(fn: FunctionLowerer, e: CallMethod) -> Value:
    """`receiver.method(args)`."""
    receiver = lower(fn, e.receiver)
    fn.set_loc(e.loc)
    type_args = fn.types(e.type_args)
    # The type checker narrows properties and elements as if they were variables; each call may give something else.
    return narrow(fn, call_method(fn, receiver, e.method, e.args, type_args), fn.type(e.type), stable=False)


def method_declaration(fn: FunctionLowerer, t: Type, method: str) -> tuple[tuple[Type, ...], Type]:
    """Parameter types (without the receiver) and result of a method as the static type declares it."""
    found = fn.world.find_method(t, method)
    if found is None:
        raise fn.error("KP914", f"{show(t)} has no method {method} that can be compiled")

    function, owner = found
    env = fn.layouts.binding(owner)
    return tuple(substitute(p.type, env) for p in function.params[1:]), substitute(function.result, env)


def call_method(
    fn: FunctionLowerer,
    receiver: Value,
    method: str,
    args: list[Expr] | list[Value],
    type_args: dict[str, Type] | None = None,
) -> Value:
    """Call a method of a class or struct: directly where only one can be meant, else by the object's class."""
    t = receiver.type.inner if isinstance(receiver.type, OptionalType) else receiver.type
    if fn.is_exception(t):
        hint = "an exception is a number, code, and a class: write a function, and compare classes with isinstance"
        raise fn.error("KP952", f"{method} of an exception is called", hint)
    if isinstance(t, UnionType):
        return call_on_union(fn, receiver, t, method, args)
    if isinstance(t, ClassType) and fn.layouts.is_polymorphic_root(t):
        return call_on_union(fn, receiver, t, method, args)
    found = fn.world.find_method(t, method)
    if found is None:
        raise fn.error("KP914", f"{show(t)} has no method {method} that can be compiled")
    if isinstance(t, ClassType) and t.name.startswith(CONTAINERS):
        refuse_elements(fn, t, method, found[0].params)
    if isinstance(t, StructType) or found[0].type_params or (found[0].cls is None and "." in found[0].name):
        refuse_overridden(fn, t, method)
        target = fn.world.method_instance(t, method, fn.loc, type_args)
        return call_with(fn, target, receiver, args)
    assert isinstance(t, ClassType)
    if has_closures(fn, args):
        refuse_overridden(fn, t, method)
        return call_with(fn, fn.world.method_instance(t, method, fn.loc, type_args), receiver, args)
    parameters, result = method_declaration(fn, t, method)
    if fn.discovering:
        if not fn.live:
            return Value("poison", result)
        fn.world.virtual_site(t, method)
        values = convert_arguments(fn, args, parameters)
        fn.edge("virtual", site=(t, method), arguments=(receiver.path, *(value.path for value in values)))
        note_passed(fn, t, method, receiver, values)
        return fn.call("@virtual", (t, *parameters), result, raises=True, args=[receiver.of_type(t), *values])
    targets = list(dict.fromkeys(i for _, i in fn.world.implementations(t, method)))
    values = convert_arguments(fn, args, parameters)
    receiver = receiver.of_type(t)
    if not targets:
        # No instance exists, so this is not reached (or the receiver is null, which traps too).
        fn.trap(TRAP_UNREACHABLE)
        return Value("poison", result)
    if len(targets) == 1:
        target = targets[0]
        own = [coerce(fn, v, p) for v, p in zip(values, target.parameters[1:], strict=True)]
        answer = fn.call_instance(target, [receiver.of_type(target.parameters[0]), *own])
        return coerce(fn, answer, result)
    return call_virtual(fn, receiver, t, method, values, targets, parameters, result)


def refuse_elements(fn: FunctionLowerer, t: ClassType, method: str, params: list[Param]) -> None:
    """A method of containers of certain elements alone, such as `sort`, knows how these are laid out."""
    declared = params[0].type if params else t
    if isinstance(declared, ClassType) and declared.args and not has_variable(declared) and is_unlike(fn, t, declared):
        raise fn.error("KP914", f"{show(t)} has no {method}, which is for {show(declared)}", "write a loop")


def refuse_overridden(fn: FunctionLowerer, t: Type, method: str) -> None:
    """Where the body of a method stands in its caller, or is made for the types of the call, it must be known which
    one that is.
    """
    if fn.discovering or not isinstance(t, ClassType):
        return
    found = fn.world.find_method(t, method)
    for cls in fn.world.subclasses(t):
        other = fn.world.find_method(cls, method)
        if found is not None and other is not None and other[0] is not found[0]:
            message = f"{method} is another one in {show(cls)}, and which is meant is known only at run time"
            hint = "narrow the object with isinstance, or let a plain method do what differs"
            raise fn.error("KP249", message, hint)


def call_virtual(
    fn: FunctionLowerer,
    receiver: Value,
    t: ClassType,
    method: str,
    values: list[Value],
    targets: list[Instance],
    parameters: tuple[Type, ...],
    result: Type,
) -> Value:
    """A call through the virtual table."""
    shape = fn.signature((t, *parameters), result, targets[0].raises_word, targets[0].view)
    for target in targets:
        if fn.signature(target.parameters, target.result, target.raises_word, target.view) != shape:
            raise fn.error("KP954", f"{target.function.name} has another shape than the method that it overrides",
                           "give parameters and result the same types")  # fmt: skip
    if fn.world.options.optimise and (classes := few_classes(fn, t, method, targets, result)) is not None:
        return call_by_class(fn, receiver, values, classes, result)
    descriptor = load_descriptor(fn, receiver.operand)
    slot = fn.offset(descriptor, 40 + 8 * fn.world.slot(t, method))
    code = fn.op(f"load ptr, ptr {slot}, !invariant.load !{{}}")
    call_set = fn.world.virtual_call_set(t, method, targets)
    for target in targets:
        fn.confirm_arguments(target, [receiver, *values])
    value = fn.call(
        code, (t, *parameters), result, targets[0].raises_word, [receiver, *values], targets[0].view, call_set
    )
    return fn.known_result(value, targets)


def few_classes(
    fn: FunctionLowerer, t: ClassType, method: str, targets: list[Instance], result: Type
) -> dict[Instance, list[ClassType]] | None:
    """The methods that a virtual call may reach, each with its classes, the one of most classes last; if they are few,
    and so short that to compare the object's class with theirs costs less than the call. Else None.
    """
    if len(targets) > MOST_COMPARED or by_address(result) or fn.kind(result) not in ("i64", "i1", "ptr", "void"):
        return None
    if not all(is_tiny(fn, target) for target in targets):
        return None
    found: dict[Instance, list[ClassType]] = {target: [] for target in targets}
    for cls, target in fn.world.implementations(t, method):
        found[target].append(cls)
    ordered = dict(sorted(found.items(), key=lambda item: len(item[1])))
    return ordered if sum(map(len, list(ordered.values())[:-1])) <= MOST_COMPARED else None


def is_tiny(fn: FunctionLowerer, target: Instance) -> bool:
    """Whether a method computes something in a few steps, and cannot raise."""
    function = target.function
    if target.raises_word or target.view or "noinline" in function.decorators:
        return False
    known = fn.world.tiny.get(id(function))
    if known is None:
        nodes = list(islice((node for part in function.body for node in walk(part)), MOST_NODES + 1))
        known = len(nodes) <= MOST_NODES and not any(isinstance(node, _CALLS) for node in nodes)
        fn.world.tiny[id(function)] = known
    return known


def call_by_class(
    fn: FunctionLowerer,
    receiver: Value,
    values: list[Value],
    classes: dict[Instance, list[ClassType]],
    result: Type,
) -> Value:
    """A call of one of a few methods, by comparing the object's class: LLVM inlines them."""
    found = load_descriptor(fn, receiver.operand)
    end = fn.join("dispatched")
    arms: list[tuple[str, str]] = []
    for number, (target, owners) in enumerate(classes.items(), 1):
        following = fn.join("case")
        if number < len(classes):
            matches = fn.join("class")
            fn.branch_if(is_one_of(fn, found, owners), matches, following)
            fn.start(matches)
        own = [coerce(fn, value, p) for value, p in zip(values, target.parameters[1:], strict=True)]
        answer = coerce(fn, fn.call_instance(target, [receiver.of_type(target.parameters[0]), *own]), result)
        if fn.live:
            arms.append((answer.operand, fn.block))
        fn.branch(end)
        fn.start(following)
    fn.start(end)
    if fn.kind(result) == "void":
        return NONE_VALUE
    return fn.known_result(Value(fn.phi(fn.kind(result), arms), result), list(classes))


def is_one_of(fn: FunctionLowerer, found: str, classes: list[ClassType]) -> str:
    """An i1: whether a type descriptor is that of one of these classes."""
    hits = [fn.op(f"icmp eq ptr {found}, {descriptor(fn, cls)}") for cls in classes]
    any_hit = hits[0]
    for hit in hits[1:]:
        any_hit = fn.op(f"or i1 {any_hit}, {hit}")
    return any_hit


def note_passed(fn: FunctionLowerer, t: ClassType, method: str, receiver: Value, values: list[Value]) -> None:
    """In discovery: remember the ranges of the arguments of a method's call."""
    if fn.discovering and fn.live:
        fn.note_arguments(fn.world.passed_on.setdefault((t, method), Passed()), [receiver, *values])


def call_on_union(fn: FunctionLowerer, receiver: Value, t: Type, method: str, args: list[Expr] | list[Value]) -> Value:
    """A method of a union of classes or of a protocol: compare the object's class with each that it can be."""
    if isinstance(t, UnionType):
        cases: list[Type] = list(t.items)
    else:
        assert isinstance(t, ClassType)
        fn.world.virtual_site(t, method)
        cases = [c for c, _ in fn.world.implementations(t, method)]
        refuse_field_for_method(fn, t, method)
    if not cases:
        if not fn.discovering:
            fn.trap(TRAP_UNREACHABLE)
        return protocol_result(fn, t, method, receiver, args)
    parameters, result = method_declaration(fn, t if isinstance(t, ClassType) else cases[0], method)
    values = convert_arguments(fn, args, parameters)
    is_open = fn.discovering and isinstance(t, ClassType)  # more classes may be found
    if isinstance(t, ClassType):
        fn.edge("virtual", site=(t, method), arguments=(receiver.path, *(value.path for value in values)))
        note_passed(fn, t, method, receiver, values)
    end = fn.join("dispatched")
    arms: list[tuple[str, str]] = []
    for number, case in enumerate(cases):
        following = fn.join("case")
        if number + 1 < len(cases) or is_open:
            matches = fn.join("class")
            fn.branch_if(is_instance(fn, receiver, case), matches, following)
            fn.start(matches)
        own = method_declaration(fn, case, method)[0]
        answer = call_method(
            fn, receiver.of_type(case), method, [coerce(fn, v, p) for v, p in zip(values, own, strict=True)]
        )
        answer = coerce(fn, answer, result)
        if fn.live:
            arms.append((answer.operand, fn.block))
        fn.branch(end)
        fn.start(following)
    if fn.live and not isinstance(result, NeverType):
        arms.append(("poison", fn.block))
        fn.branch(end)
    fn.start(end)
    if register_type_of(fn, result) == "void":
        return NONE_VALUE
    return Value(fn.phi(register_type_of(fn, result), arms), result)


def refuse_field_for_method(fn: FunctionLowerer, protocol: ClassType, method: str) -> None:
    """A field cannot stand for a property or method of a protocol: a call through the protocol would not find it."""
    if fn.discovering:
        return
    names = {name.rpartition(".")[2] for name in fn.layouts.declaration(protocol).methods}
    for cls in fn.world.instantiated:
        if not isinstance(cls, ClassType) or fn.world.find_method(cls, method) is not None:
            continue
        fields = fn.layouts.instance(cls).fields
        if method in fields and all(name in fields or fn.world.find_method(cls, name) for name in names):
            message = f"{method} is a field of {show(cls)}, and none of the protocol {show(protocol)}"
            raise fn.error("KP274", message, "give the class a method or property of this name, which reads the field")


def protocol_result(
    fn: FunctionLowerer, t: Type, method: str, receiver: Value, args: list[Expr] | list[Value]
) -> Value:
    """What a call of a protocol's method gives where no class implements it (yet)."""
    parameters, result = method_declaration(fn, t, method)
    values = convert_arguments(fn, args, parameters)
    if fn.discovering:
        fn.edge("virtual", site=(t, method))
        assert isinstance(t, ClassType)
        note_passed(fn, t, method, receiver, values)
        return fn.call(
            "@virtual",
            (t, *parameters),
            result,
            raises=True,
            args=[receiver.of_type(t), *[Value("poison", p) for p in parameters]],
        )
    return Value("poison", result)


def register_type_of(fn: FunctionLowerer, t: Type) -> str:
    return fn.kind(t)


def has_closures(fn: FunctionLowerer, args: list[Expr] | list[Value]) -> bool:
    """Whether a lambda or nested function is among the arguments."""
    return any(isinstance(a, Expr) and closure_of(fn, a) is not None for a in args)


def convert_arguments(fn: FunctionLowerer, args: list[Expr] | list[Value], parameters: tuple[Type, ...]) -> list[Value]:
    """Evaluate arguments into the types of parameters."""
    result: list[Value] = []
    given: Sequence[Expr | Value] = args
    for arg, t in zip(given, parameters, strict=False):
        result.append(coerce(fn, arg, t) if isinstance(arg, Value) else lower_as(fn, arg, t))
    return result


def call_with(fn: FunctionLowerer, target: Instance, receiver: Value | None, args: list[Expr] | list[Value]) -> Value:
    """Call a known function with arguments to evaluate; inlined if it is a generator's business or takes closures."""
    parameters = target.parameters
    if has_closures(fn, args):
        return inline_call(fn, target, receiver, args)
    values: list[Value] = []
    if receiver is not None:
        values.append(coerce(fn, receiver, parameters[0]))
        parameters = parameters[1:]
    values += convert_arguments(fn, args, parameters)
    fn.set_loc(fn.loc)
    if receiver is None and target.function.cls is None and target.function.name.endswith(".__init__"):
        raise fn.error("KP955", "__init__ is called by constructing")
    return fn.call_instance(target, values)


EXPRESSIONS.update({Field: read_field, CallMethod: lower_method_call, New: construct})
