"""The record of a probe of programs: its layout (tracefs, `format`), and what its arguments are when it is met.

Context: laying out allocates. Arguments are read in the program's exception, from its own memory: that may sleep. What
cannot be read is 0, and a text without bytes.
"""

from typing import Final

from arch import TrapFrame, sampled_register, user_stack_pointer
from kernel.lang import ENAMETOOLONG, Errno, Span, UserAddr, span_of, u8
from kernel.lib import user
from kernel.perf.probe_commands import (
    MEMORY,
    NUMBER,
    REGISTER,
    RETURN_VALUE,
    STACK_POINTER,
    THREAD_NAME,
    Fetch,
    ProbeCommand,
)
from kernel.perf.tracepoints import MOST_BYTES, Field, Tracepoint
from kernel.perf.words import store_word
from kernel.task.task import Task

HEADER_BYTES: Final = 8
_WORD: Final = 8
_MOST_TEXT: Final = 1024
_SIGNED: Final = b"s"


def point_of(number: int, command: ProbeCommand) -> Tracepoint:
    """What tracefs says of it. Raises MemoryError."""
    fields: list[Field] = []
    offset = HEADER_BYTES
    for name in _places(command.is_return):
        fields.append(Field(b"unsigned long " + name, offset, _WORD, is_signed=False))
        offset += _WORD
    pattern = b"(%lx <- %lx)" if command.is_return else b"(%lx)"
    values = b", REC->__probe_func, REC->__probe_ret_ip" if command.is_return else b", REC->__probe_ip"
    for fetch in command.arguments:
        size = fetch.field_bytes()
        is_signed = fetch.letter == _SIGNED or fetch.is_text
        fields.append(Field(_type_of(fetch) + b" " + fetch.name, offset, size, is_signed))
        offset += size
        pattern += b" " + fetch.name + b"=" + _pattern_of(fetch)
        values += b", __get_str(" + fetch.name + b")" if fetch.is_text else b", REC->" + fetch.name
    return Tracepoint(number, command.group, command.event, fields, b'"' + pattern + b'"' + values)


def _places(is_return: bool) -> list[bytes]:
    return [b"__probe_func", b"__probe_ret_ip"] if is_return else [b"__probe_ip"]


def _type_of(fetch: Fetch) -> bytes:
    if fetch.is_text:
        return b"__data_loc char[]"
    return (b"s" if fetch.letter == _SIGNED else b"u") + f"{fetch.size * 8}".encode()


def _pattern_of(fetch: Fetch) -> bytes:
    if fetch.is_text:
        return b'\\"%s\\"'
    is_long = fetch.size == _WORD
    if fetch.letter == _SIGNED:
        return b"%Ld" if is_long else b"%d"
    if fetch.letter == b"u":
        return b"%Lu" if is_long else b"%u"
    return b"0x%Lx" if is_long else b"0x%x"


def arguments_of(task: Task, frame: TrapFrame, command: ProbeCommand) -> bytes:
    """What follows the places in a record. Raises MemoryError."""
    first = HEADER_BYTES + (2 if command.is_return else 1) * _WORD
    size = 0
    for fetch in command.arguments:
        size += fetch.field_bytes()
    data = bytearray(size)
    at = 0
    for fetch in command.arguments:
        if fetch.is_text:
            text = task.name if fetch.kind == THREAD_NAME else _text_of(task, frame, fetch)
            size = 0 if text is None else len(text) + 1
            if first + len(data) + size > MOST_BYTES:
                text = None  # the record has no room for it
                size = 0
            span_of(data).store_u32(at, first + len(data) | size << 16)
            if text is not None:
                data.extend(text)
                data.append(0)
        else:
            _store(span_of(data), at, _word_of(task, frame, fetch), fetch.size)
        at += fetch.field_bytes()
    return bytes(data)


def _store(data: Span[u8], at: int, value: int, size: int) -> None:
    if size == _WORD:
        store_word(data, at, value)
    elif size == 4:
        data.store_u32(at, value & 0xFFFF_FFFF)
    elif size == 2:
        data.store_u16(at, value & 0xFFFF)
    else:
        data.store_u8(at, value & 0xFF)


def _base_of(task: Task, frame: TrapFrame, fetch: Fetch) -> int:
    """Raises EFAULT."""
    if fetch.kind == REGISTER:
        return sampled_register(task.stack_top, fetch.value)
    if fetch.kind == RETURN_VALUE:
        return frame.result
    if fetch.kind == NUMBER or fetch.kind == MEMORY:
        return fetch.value
    stack = user_stack_pointer(task.stack_top)
    if fetch.kind == STACK_POINTER:
        return stack
    return user.read_i64(user.at(UserAddr(stack), fetch.value * _WORD))


def _address_of(task: Task, frame: TrapFrame, fetch: Fetch) -> UserAddr:
    """Where the last word lies that leads there. Raises EFAULT."""
    value = _base_of(task, frame, fetch)
    count = len(fetch.offsets)
    if fetch.kind == MEMORY and count > 0:
        value = user.read_i64(UserAddr(value))
    for index in range(count - 1):
        value = user.read_i64(user.at(UserAddr(value), fetch.offsets[index]))
    return user.at(UserAddr(value), fetch.offsets[count - 1]) if count > 0 else UserAddr(value)


def _word_of(task: Task, frame: TrapFrame, fetch: Fetch) -> int:
    try:
        if fetch.kind != MEMORY and len(fetch.offsets) == 0:
            return _base_of(task, frame, fetch)
        address = _address_of(task, frame, fetch)
        if fetch.size == _WORD:
            return user.read_i64(address)
        if fetch.size == 4:
            return user.read_u32(address)
        return user.read_u16(address) if fetch.size == 2 else user.read_u8(address)
    except Errno:
        return 0


def _text_of(task: Task, frame: TrapFrame, fetch: Fetch) -> bytes | None:
    try:
        address = _address_of(task, frame, fetch)
        try:
            return user.read_string(address, _MOST_TEXT)
        except Errno as error:
            if error.code != ENAMETOOLONG:
                raise
            return user.read_bytes(address, _MOST_TEXT - 1)
    except Errno:
        return None
