"""Loads, stores and helpers as the verifier judges them: whether an access stays inside what a pointer points into.

Context: may raise MemoryError. Refuses with EACCES, EINVAL.
"""

from typing import Final

from kernel.bpf.arithmetic import LEAST, MOST
from kernel.bpf.code import STACK_SIZE
from kernel.bpf.helpers import (
    ANYTHING,
    BUFFER,
    CONSTANT,
    DELETE,
    GIVEN_BACK,
    LOOKUP,
    LOOKUP_PERCPU,
    MAP_KEY,
    MAP_ROOM,
    NOTHING,
    OF_CONTEXT,
    OF_MAP,
    OF_SOCKET,
    POP,
    PUSH,
    READ_BUFFER,
    RING_DISCARD,
    RING_RESERVE,
    RING_SUBMIT,
    ROOM,
    SIZE,
    STORAGE_GET,
    TAIL_CALL,
    TRACE_PRINTK,
    UPDATE,
    VALUE_OR_NONE,
    arguments_of,
    is_for,
    is_for_free,
)
from kernel.bpf.look import Look
from kernel.bpf.maps import BLOOM, PROGRAM_READ_ONLY, PROGRAM_WRITE_ONLY
from kernel.bpf.objects import is_of_maps
from kernel.bpf.state import (
    ANY_NUMBER,
    CONTEXT,
    INNER,
    MAP,
    MAP_VALUE,
    MAYBE_MAP,
    MAYBE_RECORD,
    MAYBE_VALUE,
    MOST_HELD,
    NAMES,
    NOT_SET,
    NUMBER,
    RECORD,
    SOCKET,
    STACK,
    Value,
    number,
)
from kernel.lang import E2BIG, EACCES, EINVAL

_LARGEST_BUFFER: Final = 1 << 29
_CHANGING: Final[list[int]] = [UPDATE, DELETE, PUSH, POP]  # helpers that change a map


def number_of_size(size: int) -> Value:
    """Anything that fits in 1, 2, 4 or 8 bytes."""
    return ANY_NUMBER if size == 8 else number(0, (1 << (8 * size)) - 1)


def load_value(look: Look, register: int, base: Value, offset: int, size: int) -> Value:
    """The result of a load."""
    if base.kind == STACK:
        return _load_stack(look, register, base, offset, size)
    if base.kind == MAP_VALUE:
        _check_value(look, register, base, offset, size, PROGRAM_WRITE_ONLY)
    elif base.kind == RECORD:
        _check_record(look, register, base, offset, size)
    elif base.kind == CONTEXT:
        if base.is_start() and look.subject.has_socket(offset, size):
            return Value(SOCKET, 0, 0)
        _check_context(look, register, base, offset, size, is_store=False)
    else:
        look.refuse(f"R{register} invalid mem access '{NAMES[base.kind]}'", EACCES)
    return number_of_size(size)


def store_value(look: Look, register: int, base: Value, offset: int, size: int, value: Value) -> None:
    """The effect of a store."""
    if base.kind == STACK:
        _store_stack(look, register, base, offset, size, value)
    elif base.kind == MAP_VALUE:
        if value.is_pointer() and not look.subject.may_leak:
            look.refuse("R leaks addr into map", EACCES)
        _check_value(look, register, base, offset, size, PROGRAM_READ_ONLY)
    elif base.kind == RECORD:
        if value.is_pointer() and not look.subject.may_leak:
            look.refuse("R leaks addr into mem", EACCES)
        _check_record(look, register, base, offset, size)
    elif base.kind == CONTEXT:
        if value.is_pointer() and not look.subject.may_leak:
            look.refuse("R leaks addr into ctx", EACCES)
        _check_context(look, register, base, offset, size, is_store=True)
    else:
        look.refuse(f"R{register} invalid mem access '{NAMES[base.kind]}'", EACCES)


def _check_context(look: Look, register: int, base: Value, offset: int, size: int, is_store: bool) -> None:
    if base.least != 0 or base.most != 0:
        look.refuse(f"dereference of modified ctx ptr R{register} off={base.least} disallowed", EACCES)
    subject = look.subject
    if not (subject.may_store(offset, size) if is_store else subject.may_load(offset, size)):
        look.refuse(f"invalid bpf_context access off={offset} size={size}", EACCES)


def _check_value(look: Look, register: int, base: Value, offset: int, size: int, forbidding: int) -> None:
    """Check an access to a map's value, by maps without the flag `forbidding`."""
    map_ = look.map_at(base.place)
    if map_.flags & forbidding != 0:
        what = "read from" if forbidding == PROGRAM_WRITE_ONLY else "write into"
        look.refuse(f"{what} map forbidden, value_size={map_.value_size} off={offset} size={size}", EACCES)
    if base.least + offset < 0:
        look.refuse(f"R{register} min value is negative or outside of the allowed memory range", EACCES)
    if base.most + offset + size > map_.value_size:
        look.refuse(
            f"invalid access to map value, value_size={map_.value_size} off={base.most + offset} size={size}", EACCES
        )


def _check_record(look: Look, register: int, base: Value, offset: int, size: int) -> None:
    if base.least + offset < 0:
        look.refuse(f"R{register} min value is negative or outside of the allowed memory range", EACCES)
    if base.most + offset + size > base.place:
        look.refuse(f"invalid access to memory, mem_size={base.place} off={base.most + offset} size={size}", EACCES)


# ---- The stack -----------------------------------------------------------------------------------------------------


def _stack_place(look: Look, register: int, base: Value, offset: int, size: int) -> int:
    """The start of an access at a fixed place of the stack."""
    if base.least != base.most:
        look.refuse(f"R{register} variable stack access prohibited", EACCES)
    place = base.least + offset
    if place < -STACK_SIZE or place + size > 0:
        is_across_end = -STACK_SIZE <= place < 0
        look.refuse(f"invalid access to stack R{register} off={place} size={size}", EINVAL if is_across_end else EACCES)
    look.note_stack(base.place, -place)
    return place


def _load_stack(look: Look, register: int, base: Value, offset: int, size: int) -> Value:
    place = _stack_place(look, register, base, offset, size)
    if place % size != 0:
        look.refuse(f"misaligned stack access off {place} size {size}", EACCES)
    stack = look.state.stacks[base.place]
    found = stack.word(place)
    if size == 8 and (found.kind == NUMBER or found.is_pointer()):
        return found
    if found.is_pointer():
        look.refuse("invalid size of register fill", EACCES)
    if not look.subject.may_leak and not stack.are_stored(place, size):
        look.refuse(f"invalid read from stack off {place}+0 size {size}", EACCES)
    return number_of_size(size)


def _store_stack(look: Look, register: int, base: Value, offset: int, size: int, value: Value) -> None:
    place = _stack_place(look, register, base, offset, size)
    if place % size != 0:
        look.refuse(f"misaligned stack access off {place} size {size}", EACCES)
    if value.kind == STACK and base.place != look.state.depth():
        look.refuse("cannot spill pointers to stack into stack frame of the caller", EINVAL)
    stack = look.state.stacks[base.place]
    if size == 8:
        stack.store_whole(place, value)
        return
    if value.is_pointer():
        look.refuse("invalid size of register spill", EACCES)
    if not look.subject.may_leak and stack.word(place).is_pointer():
        look.refuse("attempt to corrupt spilled pointer on stack", EACCES)
    stack.store_bytes(place, size)


# ---- Helpers -------------------------------------------------------------------------------------------------------


def check_helper(look: Look, helper: int) -> Value:
    """Check the arguments of a call, in registers 1 to 5. Returns what it gives."""
    subject = look.subject
    arguments = arguments_of(helper, subject.program_type, subject.may_program, subject.may_leak)
    if arguments is None:
        look.refuse(f"program of this type cannot use helper #{helper}", EINVAL)
        return ANY_NUMBER
    if not subject.is_free and is_for_free(helper):
        look.refuse("cannot call GPL-restricted function from non-GPL compatible program", EINVAL)
    place = 0
    takes_map = False
    constant = 0
    for index in range(len(arguments)):
        kind = arguments[index]
        register = index + 1
        if kind == NOTHING or kind == SIZE:
            continue
        value = look.read(register)
        if kind == ANYTHING:
            if value.is_pointer() and not look.subject.may_leak:
                look.refuse(f"R{register} leaks addr into helper function", EACCES)
        elif kind == OF_MAP:
            if value.kind != MAP:
                look.refuse(f"R{register} type={NAMES[value.kind]} expected=map_ptr", EACCES)
            place = value.place
            takes_map = True
        elif kind == OF_CONTEXT:
            if value.kind != CONTEXT:
                look.refuse(f"R{register} type={NAMES[value.kind]} expected=ctx", EACCES)
            if value.least != 0 or value.most != 0:
                look.refuse(f"dereference of modified ctx ptr R{register} off={value.least} disallowed", EACCES)
        elif kind == OF_SOCKET:
            if value.kind != SOCKET:
                look.refuse(f"R{register} type={NAMES[value.kind]} expected=sock_common, sock", EACCES)
        elif kind == VALUE_OR_NONE and value.is_known() and value.least == 0:
            continue
        elif kind == BUFFER or kind == READ_BUFFER or kind == ROOM:
            may_be_empty = kind != BUFFER and helper != TRACE_PRINTK
            _check_buffer(look, register, value, is_read=kind == READ_BUFFER, may_be_empty=may_be_empty)
        elif kind == CONSTANT:
            if not value.is_known():
                look.refuse(f"R{register} is not a known constant", EACCES)
            constant = value.least
        elif kind == GIVEN_BACK:
            _check_given_back(look, register, value)
            constant = value.identity
        elif kind == MAP_ROOM and look.map_at(place).kind != BLOOM:
            size = look.map_at(place).value_size
            _check_room(look, register, value, size, size)
        else:
            map_ = look.map_at(place)
            size = map_.key_size if kind == MAP_KEY else map_.value_size
            if size == 0:
                look.refuse(f"R{register} invalid zero-sized read", EACCES)
            _check_readable(look, register, value, size)
    if takes_map and not is_for(helper, look.map_at(place).kind):
        look.refuse(f"cannot pass map_type {look.map_at(place).kind} into func #{helper}", EINVAL)
    if helper in _CHANGING and look.map_at(place).flags & PROGRAM_READ_ONLY != 0:
        look.refuse("write into map forbidden", EACCES)
    if helper == TAIL_CALL:
        if len(look.state.held) > 0:
            look.refuse("tail_call would lead to reference leak", EINVAL)
        return NOT_SET
    if helper == RING_RESERVE:
        return _new_record(look, constant)
    if helper == RING_SUBMIT or helper == RING_DISCARD:
        look.state.give_back(constant, ANY_NUMBER if look.subject.may_leak else NOT_SET)
    if helper == LOOKUP and is_of_maps(look.map_at(place).kind):
        return Value(MAYBE_MAP, 0, 0, place + INNER, look.next_lookup())
    if helper == LOOKUP or helper == LOOKUP_PERCPU or helper == STORAGE_GET:
        return Value(MAYBE_VALUE, 0, 0, place, look.next_lookup())
    return number(LEAST, MOST)


def _new_record(look: Look, size: int) -> Value:
    """What reserving a record of `size` bytes gives. Too large a size gives none, at run time."""
    identity = look.next_lookup()
    if len(look.state.held) >= MOST_HELD:
        look.refuse(f"more than {MOST_HELD} records at once", E2BIG)
    look.state.held.append(identity)
    return Value(MAYBE_RECORD, 0, 0, size & 0xFFFF_FFFF, identity)


def _check_given_back(look: Look, register: int, value: Value) -> None:
    """Check a record that a helper takes over."""
    if value.kind != RECORD:
        look.refuse(f"R{register} type={NAMES[value.kind]} expected=ringbuf_mem", EACCES)
    if value.least != 0 or value.most != 0:
        look.refuse(f"R{register} must have zero offset when passed to release func", EINVAL)


def _check_readable(look: Look, register: int, value: Value, size: int) -> None:
    """Check memory that a helper reads."""
    if value.kind == MAP_VALUE:
        _check_value(look, register, value, 0, size, PROGRAM_WRITE_ONLY)
        return
    if value.kind == RECORD:
        _check_record(look, register, value, 0, size)
        return
    if value.kind != STACK:
        look.refuse(f"R{register} type={NAMES[value.kind]} expected=fp, map_key, map_value", EACCES)
    place = _stack_place(look, register, value, 0, max(size, 1))
    if look.subject.may_leak or size == 0:
        return
    stack = look.state.stacks[value.place]
    if not stack.are_stored(place, size) or stack.has_pointer(place, size):
        look.refuse(f"invalid indirect read from stack R{register} off {place} size {size}", EACCES)


def _check_buffer(look: Look, register: int, value: Value, *, is_read: bool, may_be_empty: bool) -> None:
    """Check memory that a helper writes or reads, whose size is in the next register."""
    size = look.read(register + 1)
    if size.kind != NUMBER:
        look.refuse(f"R{register + 1} type={NAMES[size.kind]} expected=scalar", EACCES)
    if size.least < 0:
        look.refuse(f"R{register + 1} min value is negative, either use unsigned or 'var &= const'", EACCES)
    if size.least == 0 and not may_be_empty:
        look.refuse(f"R{register + 1} invalid zero-sized read", EACCES)
    if size.most >= _LARGEST_BUFFER:
        look.refuse(f"R{register + 1} unbounded memory access, use 'var &= const' or 'if (var < const)'", EACCES)
    if is_read:
        _check_readable(look, register, value, size.most)
        return
    _check_room(look, register, value, size.least, size.most)


def _check_room(look: Look, register: int, value: Value, least: int, most: int) -> None:
    """Check memory of which a helper writes `least` to `most` bytes."""
    if value.kind == MAP_VALUE:
        _check_value(look, register, value, 0, most, PROGRAM_READ_ONLY)
        return
    if value.kind == RECORD:
        _check_record(look, register, value, 0, most)
        return
    if value.kind != STACK:
        look.refuse(f"R{register} type={NAMES[value.kind]} expected=fp, map_value", EACCES)
    place = _stack_place(look, register, value, 0, most)
    if most == 0:
        return
    stack = look.state.stacks[value.place]
    if not look.subject.may_leak and stack.has_pointer(place, most):
        look.refuse("attempt to corrupt spilled pointer on stack", EACCES)
    stack.forget(place, most)
    stack.store_bytes(place, least)
