"""Enums: their members, numbers that become members, and sets of flags."""

from __future__ import annotations

from typing import Any

from compiler.lower import integers
from compiler.lower.convert import as_int, number, unwrap
from compiler.lower.dispatch import EXPRESSIONS, lower
from compiler.lower.function import TRAP_ENUM, FunctionLowerer
from compiler.lower.layout import is_flag, is_int_enum, live_object
from compiler.lower.values import Value, bounds, int_constant, is_integer, is_unsigned
from compiler.tree import EnumFromInt, EnumMember
from compiler.types import BoolType, EnumType, OptionalType, show


def enum_member(fn: FunctionLowerer, e: EnumMember) -> Value:
    """`E.X`."""
    live: Any = live_object(fn.world.program, e.enum)
    member = live.__members__.get(e.name)
    if member is None:
        message = f"{e.name} is no member of {e.enum.rpartition('.')[2]}"
        raise fn.error("KP177", message, "keep what is no member in a constant of the module", e.loc)
    return int_constant(fn.world.enum_number(member, fn.loc), EnumType(e.enum))


def enum_from_int(fn: FunctionLowerer, e: EnumFromInt) -> Value:
    """`E(n)`: traps unless n is a member's value, or flags may have it."""
    t = fn.type(e.type)
    assert isinstance(t, EnumType)
    value = lower(fn, e.value)
    fn.set_loc(e.loc)
    if isinstance(value.type, OptionalType):  # None is no member's value
        value = unwrap(fn, value)
    if isinstance(value.type, BoolType):
        value = number(fn, value)
    if value.type == t:
        return value
    if isinstance(value.type, EnumType) and not is_int_enum(fn.world.program, value.type.name):
        hint = "take its .value, if it stands for the same"
        raise fn.error("KP930", f"a member of {show(value.type)} is no value of {show(t)}", hint)
    if not is_integer(value.type):
        raise fn.error("KP966", f"{show(value.type)} is not a number")
    return member(fn, as_int(fn, value), t)


def member(fn: FunctionLowerer, value: Value, t: EnumType) -> Value:
    """The member that an int stands for; traps if there is none."""
    if is_flag(fn.world.program, t.name):
        return flags(fn, value, t)
    numbers = sorted(set(fn.world.enum_members(t.name, fn.loc).values()))
    if numbers and numbers[-1] - numbers[0] + 1 == len(numbers):
        relative = fn.op(f"sub i64 {value.operand}, {numbers[0]}")
        fn.trap_if(fn.op(f"icmp ugt i64 {relative}, {len(numbers) - 1}"), TRAP_ENUM)
        return Value(value.operand, t)
    known, unknown = fn.label("member"), fn.label("stranger")
    if fn.live:
        fn.targets |= {known, unknown}
        cases = " ".join(f"i64 {n}, label %{known}" for n in numbers)
        fn.emit(f"switch i64 {value.operand}, label %{unknown} [ {cases} ]")
        fn.live = False
    fn.start(unknown)
    fn.trap(TRAP_ENUM)
    fn.start(known)
    return Value(value.operand, t)


def flags(fn: FunctionLowerer, value: Value, t: EnumType) -> Value:
    """A number as a set of flags. An IntFlag keeps bits that have no name, a Flag traps; of a negative number Python
    makes a positive one.
    """
    if not is_int_enum(fn.world.program, t.name):
        unknown = fn.op(f"and i64 {value.operand}, {~mask_of(fn, t)}")
        fn.trap_if(fn.op(f"icmp ne i64 {unknown}, 0"), TRAP_ENUM)
    elif bounds(value)[0] < 0:
        fn.trap_if(fn.op(f"icmp slt i64 {value.operand}, 0"), TRAP_ENUM)
    low, high = bounds(value)
    return Value(value.operand, t, max(low, 0), max(high, 0))


def mask_of(fn: FunctionLowerer, t: EnumType) -> int:
    """All bits that members have."""
    mask = 0
    for bits in fn.world.enum_members(t.name, fn.loc).values():
        mask |= bits
    return mask


def other_flags(fn: FunctionLowerer, value: Value, t: EnumType) -> Value:
    """`~flags`: those that are not in the set, of all that have a name; of an IntFlag also bits between them."""
    mask = mask_of(fn, t)
    if is_int_enum(fn.world.program, t.name):
        mask = (1 << mask.bit_length()) - 1
        if value.constant is None or value.constant > mask:  # Python takes as many bits then as the set has
            fn.trap_if(fn.op(f"icmp ugt i64 {value.operand}, {mask}"), TRAP_ENUM)
    else:  # Python takes bits that have a name of their own alone
        members = set(fn.world.enum_members(t.name, fn.loc).values())
        mask = sum(bits for bits in members if bits.bit_count() == 1)
    if value.constant is not None:
        return int_constant(mask & ~value.constant, t)
    return Value(fn.op(f"and i64 {fn.op(f'xor i64 {value.operand}, -1')}, {mask}"), t, 0, mask)


def combined(fn: FunctionLowerer, op: str, left: Value, right: Value, value: Value) -> Value:
    """The result of an operator on flags and flags, or on flags and an int."""
    sets = [side.type for side in (left, right) if is_flags(fn, side)]
    if op not in integers.BITS or not sets or is_unsigned(value.type):
        return value
    t = sets[0]
    assert isinstance(t, EnumType)
    return value.of_type(t) if len(sets) == 2 else flags(fn, value.of_type(t), t)


def is_flags(fn: FunctionLowerer, value: Value) -> bool:
    """Whether a value is a set of flags."""
    return isinstance(value.type, EnumType) and is_flag(fn.world.program, value.type.name)


EXPRESSIONS.update({EnumMember: enum_member, EnumFromInt: enum_from_int})
