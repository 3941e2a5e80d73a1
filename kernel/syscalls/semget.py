"""System V semaphores: semget(2), semop(2), semtimedop(2), semctl(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.ipc.semaphores import (
    LARGEST_VALUE,
    MOST_AT_ONCE,
    SEM_UNDO,
    Operation,
    SemaphoreSet,
    Undo,
    UndoList,
    most_in_a_set,
    most_in_all,
    most_operations,
    most_sets,
    wanted_permission,
)
from kernel.ipc.sysv import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, READ, WRITE
from kernel.lang import E2BIG, EINVAL, ERANGE, Errno, UserAddr, i32, span_of, u32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.timeouts import deadline_after, timespec_ns
from kernel.task.task import Task, current
from kernel.task.words import load_i32, signed_32, store_i32, store_i64
from kernel.time.timers import FOREVER_NS

_GETPID: Final = 11
_GETVAL: Final = 12
_GETALL: Final = 13
_GETNCNT: Final = 14
_GETZCNT: Final = 15
_SETVAL: Final = 16
_SETALL: Final = 17
_SEM_STAT: Final = 18
_SEM_INFO: Final = 19
_SEM_STAT_ANY: Final = 20

_VALUE_COST: Final = 40  # instructions, for `pace`
_STATUS_SIZE: Final = 104
_OPERATION_SIZE: Final = 6
_UNDO_STRUCTURE_SIZE: Final = 20  # Linux's value for SEMUSZ


@syscall("semget", status="Full", args="key count flags:semget -> semid")
def semget(key: i32, count: i32, flags: i32) -> int:
    """semget(2)."""
    task = current()
    return task.namespaces.ipc.sets.open(key, count, flags, task.credentials)


@syscall("semop", status="Full", args="semid <sembuf[count] count")
def semop(identifier: i32, operations: UserAddr, count: u32) -> int:
    """semop(2)."""
    return semtimedop(identifier, operations, count, UserAddr(0))


@syscall("semtimedop", status="Full", args="semid <sembuf[count] count <timespec?")
def semtimedop(identifier: i32, address: UserAddr, count: u32, timeout: UserAddr) -> int:
    """semtimedop(2)."""
    deadline_ns = FOREVER_NS
    if timeout != 0:
        user.read_i64(user.at(timeout, 8))  # EFAULT comes first, EINVAL late
    if count > min(most_operations(), MOST_AT_ONCE):
        raise Errno(E2BIG)
    if count < 1:
        raise Errno(EINVAL)
    operations = _read_operations(address, count)
    if identifier < 0:
        raise Errno(EINVAL)
    if timeout != 0:
        deadline_ns = deadline_after(timespec_ns(timeout))
    task = current()
    found = current().namespaces.ipc.sets.table.get(identifier)
    undo = _undo_for(task, found, operations)
    for operation in operations:
        found.check_number(operation.number)
    found.check_permission(task.credentials, wanted_permission(operations))
    found.operate(operations, task.process.as_bearer(), undo, deadline_ns)
    return 0


def _read_operations(address: UserAddr, count: int) -> list[Operation]:
    """An array of struct sembuf; `count` is bounded."""
    storage = bytearray(count * _OPERATION_SIZE)
    source = span_of(storage)
    user.read_into(source, address)
    operations: list[Operation] = []
    for index in range(count):
        at = index * _OPERATION_SIZE
        change = source.load_u16(at + 2)
        if change >= 1 << 15:
            change -= 1 << 16
        operations.append(Operation(source.load_u16(at), change, source.load_u16(at + 4)))
    return operations


def _undo_for(task: Task, target: SemaphoreSet, operations: list[Operation]) -> Undo | None:
    """Where to record undos, if there are any."""
    for operation in operations:
        if operation.flags & SEM_UNDO != 0:
            undo_list = task.semaphore_undos
            if undo_list is None:
                undo_list = UndoList()
                task.own().semaphore_undos = undo_list
            return undo_list.find(target)
    return None


@syscall("semctl", status="Full", args="semid index one:semctl any")
def semctl(identifier: i32, number: i32, command: i32, argument: int) -> int:
    """semctl(2)."""
    if identifier < 0:
        raise Errno(EINVAL)
    if command == IPC_INFO or command == _SEM_INFO:
        return _write_limits(UserAddr(argument), command == _SEM_INFO)
    credentials = current().credentials
    if command == IPC_STAT:
        found = current().namespaces.ipc.sets.table.get(identifier)
        found.check_permission(credentials, READ)
        _write_status(found, UserAddr(argument))
        return 0
    if command == _SEM_STAT or command == _SEM_STAT_ANY:
        found = current().namespaces.ipc.sets.table.at(identifier)
        if command == _SEM_STAT:
            found.check_permission(credentials, READ)
        _write_status(found, UserAddr(argument))
        return found.identifier
    if command == _SETVAL:
        return _set_value(identifier, number, signed_32(argument))
    if command == _GETALL:
        return _get_all(identifier, UserAddr(argument))
    if command == _SETALL:
        return _set_all(identifier, UserAddr(argument))
    if _GETPID <= command <= _GETZCNT:
        return _get(identifier, number, command)
    if command == IPC_SET:
        storage = bytearray(_STATUS_SIZE)
        user.read_into(span_of(storage), UserAddr(argument))
        found = current().namespaces.ipc.sets.table.get(identifier)
        found.check_owner(credentials)
        fields = span_of(storage)
        found.set_owner(load_i32(fields, 4), load_i32(fields, 8), load_i32(fields, 20))
        return 0
    if command == IPC_RMID:
        found = current().namespaces.ipc.sets.table.get(identifier)
        found.check_owner(credentials)
        found.remove()
        return 0
    raise Errno(EINVAL)


def _get(identifier: int, number: int, command: int) -> int:
    """GETVAL, GETPID, GETNCNT, GETZCNT."""
    found = current().namespaces.ipc.sets.table.get(identifier)
    found.check_permission(current().credentials, READ)
    if not 0 <= number < len(found.values):
        raise Errno(EINVAL)
    if command == _GETVAL:
        return found.values[number]
    if command == _GETPID:
        return current().pids.shown_bearer(found.changers[number])
    return found.count_waiting(number, command == _GETZCNT)


def _set_value(identifier: int, number: int, value: int) -> int:
    if not 0 <= value <= LARGEST_VALUE:
        raise Errno(ERANGE)
    found = current().namespaces.ipc.sets.table.get(identifier)
    if not 0 <= number < len(found.values):
        raise Errno(EINVAL)
    task = current()
    found.check_permission(task.credentials, WRITE)
    found.set_value(number, value, task.process.as_bearer())
    return 0


def _get_all(identifier: int, address: UserAddr) -> int:
    found = current().namespaces.ipc.sets.table.get(identifier)
    found.check_permission(current().credentials, READ)
    storage = bytearray(len(found.values) * 2)
    out = span_of(storage)
    for number in range(len(found.values)):
        out.store_u16(number * 2, found.values[number])
    user.write_from(address, out)
    return 0


def _set_all(identifier: int, address: UserAddr) -> int:
    found = current().namespaces.ipc.sets.table.get(identifier)
    task = current()
    found.check_permission(task.credentials, WRITE)
    count = len(found.values)
    storage = bytearray(count * 2)
    source = span_of(storage)
    user.read_into(source, address)  # may sleep: the set may have gone
    found = current().namespaces.ipc.sets.table.get(identifier)
    values: list[int] = []
    for number in range(count):
        value = source.load_u16(number * 2)
        if value > LARGEST_VALUE:
            raise Errno(ERANGE)
        values.append(value)
        pace(_VALUE_COST)
    found.set_all(values, task.process.as_bearer())
    return 0


def _write_status(found: SemaphoreSet, address: UserAddr) -> None:
    """struct semid64_ds."""
    storage = bytearray(_STATUS_SIZE)
    out = span_of(storage)
    found.store(out)
    store_i64(out, 48, found.operated_s)
    store_i64(out, 64, found.changed_s)
    store_i64(out, 80, len(found.values))
    user.write_from(address, out)


def _write_limits(address: UserAddr, with_usage: bool) -> int:
    """struct seminfo."""
    storage = bytearray(40)
    out = span_of(storage)
    store_i32(out, 0, most_in_all())
    store_i32(out, 4, most_sets())
    store_i32(out, 8, most_in_all())
    store_i32(out, 12, most_in_all())
    store_i32(out, 16, most_in_a_set())
    store_i32(out, 20, most_operations())
    store_i32(out, 24, most_operations())
    store_i32(out, 28, len(current().namespaces.ipc.sets.table.objects) if with_usage else _UNDO_STRUCTURE_SIZE)
    store_i32(out, 32, LARGEST_VALUE)
    store_i32(out, 36, current().namespaces.ipc.sets.used if with_usage else LARGEST_VALUE)
    user.write_from(address, out)
    return current().namespaces.ipc.sets.table.highest_index()
