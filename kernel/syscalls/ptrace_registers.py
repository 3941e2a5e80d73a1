"""Registers of a stopped tracee, by ptrace(2): register sets, and the words of struct user."""

from typing import Final

from arch.programs import (
    FLOATING_SIZE,
    PORTS_SIZE,
    REGISTERS_SIZE,
    USER_AREA_SIZE,
    read_floating,
    read_ports,
    read_register,
    read_user_word,
    read_vectors,
    vector_size,
    write_floating,
    write_register,
    write_user_word,
    write_vectors,
)
from kernel.lang import EINVAL, EIO, ENODEV, ENXIO, EOPNOTSUPP, ESRCH, Errno, Span, UserAddr, span_of, u8
from kernel.lib import user
from kernel.sched.thread import ThreadState
from kernel.task.task import Task
from kernel.task.words import load_i64, store_i64

GENERAL: Final = 1  # NT_PRSTATUS
FLOATING: Final = 2  # NT_FPREGSET
_PORTS: Final = 0x201  # NT_386_IOPERM
_VECTORS: Final = 0x202  # NT_X86_XSTATE
_SHADOW_STACK: Final = 0x204  # NT_X86_SHSTK, which no program has
WHOLE: Final = -1

_WORD: Final = 8


def _size_of(kind: int) -> int:
    """The size of a register set in bytes. Raises EINVAL for an unknown one."""
    if kind == GENERAL:
        return REGISTERS_SIZE
    if kind == FLOATING:
        return FLOATING_SIZE
    if kind == _VECTORS:
        return vector_size()
    if kind == _PORTS:
        return PORTS_SIZE
    if kind == _SHADOW_STACK:
        return _WORD
    raise Errno(EINVAL)


def _check_is_still_stopped(task: Task) -> None:
    """Raise ESRCH if the tracee was killed while the tracer's memory was read: it may have no stack any more."""
    if task.state != ThreadState.TRACED:
        raise Errno(ESRCH)


def get_set(task: Task, kind: int, address: UserAddr, size: int) -> None:
    """Write the first `size` bytes of a register set to the tracer's memory; WHOLE for all. Raises EFAULT, EINVAL,
    ENODEV, ENXIO.
    """
    whole = _size_of(kind)
    storage = bytearray(whole)
    _read(task, kind, span_of(storage))
    user.write_from(address, span_of(storage)[0 : whole if size < 0 else size])


def _read(task: Task, kind: int, out: Span[u8]) -> None:
    if kind == FLOATING:
        read_floating(task.registers, out)
    elif kind == _VECTORS:
        read_vectors(task.registers, out)
    elif kind == _PORTS:
        ports = read_ports(task.registers)
        if len(ports) == 0:
            raise Errno(ENXIO)
        out.copy_from(span_of(ports))
    elif kind == _SHADOW_STACK:
        raise Errno(ENODEV)
    else:
        for index in range(REGISTERS_SIZE // _WORD):
            store_i64(out, index * _WORD, read_register(task.stack_top, task.registers, index))


def put_set(task: Task, kind: int, address: UserAddr, size: int) -> None:
    """Set the registers from the first `size` bytes of a set in the tracer's memory. Of the general registers, those
    before one that is refused have changed. Raises EFAULT, EINVAL, EIO, ENODEV, EOPNOTSUPP, ESRCH, MemoryError.
    """
    whole = _size_of(kind)
    if kind == _PORTS:
        raise Errno(EOPNOTSUPP)
    if kind == _SHADOW_STACK:
        raise Errno(ENODEV)
    storage = bytearray(whole if size < 0 else min(size, whole))  # fits: a register set is small
    data = span_of(storage)
    user.read_into(data, address)
    _check_is_still_stopped(task)
    if kind == FLOATING:
        write_floating(task.registers, data)
    elif kind == _VECTORS:
        write_vectors(task.registers, data)
    else:
        for index in range(len(data) // _WORD):
            write_register(task.stack_top, task.registers, index, load_i64(data, index * _WORD))


def transfer_set(task: Task, kind: int, address: UserAddr, reads: bool) -> None:
    """PTRACE_GETREGSET and PTRACE_SETREGSET: the iovec says where, and then how much was moved. Raises EFAULT, EINVAL,
    EIO, ENODEV, ENXIO, EOPNOTSUPP, ESRCH, MemoryError.
    """
    base = UserAddr(user.read_i64(address))
    length = user.read_i64(user.at(address, _WORD))
    whole = _size_of(kind & 0xFFFF_FFFF)
    if length & _WORD - 1 != 0:
        raise Errno(EINVAL)
    if whole == 0:
        raise Errno(ENODEV)
    size = whole if length < 0 else min(length, whole)
    if reads:
        _check_is_still_stopped(task)
        get_set(task, kind & 0xFFFF_FFFF, base, size)
    else:
        put_set(task, kind & 0xFFFF_FFFF, base, size)
    user.write_i64(user.at(address, _WORD), size)


def peek_user(task: Task, offset: int) -> int:
    """PTRACE_PEEKUSER. Raises EIO."""
    _check_offset(offset)
    return read_user_word(task.stack_top, task.registers, offset)


def poke_user(task: Task, offset: int, value: int) -> None:
    """PTRACE_POKEUSER. Raises EIO, EINVAL, MemoryError."""
    _check_offset(offset)
    write_user_word(task.stack_top, task.registers, offset, value)


def _check_offset(offset: int) -> None:
    if offset & _WORD - 1 != 0 or not 0 <= offset < USER_AREA_SIZE:
        raise Errno(EIO)
