"""Semaphores of System V: sets of counters of which several change at a time, or none (semop(2), semctl(2)).

A list of operations that cannot be done yet waits in its set. A thread that changes a counter checks which waiting
lists can be done now, in order of arrival, and does them for their owners. Operations with SEM_UNDO are added up,
with the opposite sign, in a list that threads may share; its contents are undone when its last thread ends.

Invariants: a counter is in 0 … 32767; each `Undo` is in its set's list and in its owner's, or in neither, or in the
former alone, until it is applied. While a set `is_busy`, only the thread that made it so changes its counters.

Context: `operate` sleeps. So does every change of counters if there is much to do: it takes safe points.
Source: semop(2), semctl(2), sysvipc(7).
"""

from typing import Final

from kernel.ipc.sysv import IPC_NOWAIT, LOOK_COST, READ, WRITE, IpcObject, IpcTable, now_s
from kernel.lang import (
    EAGAIN,
    EFBIG,
    EIDRM,
    EINTR,
    EINVAL,
    ENOSPC,
    ERANGE,
    Errno,
    final,
    noraise,
    span_of,
)
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace, spend
from kernel.lib.pid import Bearer
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.mm.keeping import check_room_to_keep
from kernel.sched import WaitQueue

SEM_UNDO: Final = 0x1000
LARGEST_VALUE: Final = 32767  # SEMVMX, and of what is undone at exit (SEMAEM)
_MOST_SETS: Final = 1 << 15


@final
class _Limits(SystemSetting):
    """Semaphores in a set, in all, operations in a call, sets."""

    def store(self, numbers: list[int]) -> None:
        if len(numbers) == len(self.values) and not 0 <= numbers[3] <= _MOST_SETS:
            raise Errno(ERANGE)
        super().store(numbers)


LIMITS: Final = _Limits(b"kernel/sem", [32000, 1024000000, 500, 32000], INT_LEAST, INT_MOST)

_MOST_NUMBERS: Final = 1 << 16  # semaphores of a set, whatever the limit is: an operation names no others
MOST_AT_ONCE: Final = 4096  # operations, in the same way: they are done in one step

_DONE: Final = 0
_MUST_WAIT: Final = 1
_ADJUSTMENT_BYTES: Final = 2
_ADJUSTMENT_RANGE: Final = 1 << 16
_UNDO_BYTES: Final = 128  # of an `Undo`, beside its adjustments
# Instructions, for `pace`
_UNDO_COST: Final = 1500
_TRY_COST: Final = 200  # of a list, beside its operations
_LOOK_COST: Final = 10
_STEP_COST: Final = 40
_REMOVE_COST: Final = 3000


_QUIET: Final = WaitQueue()  # for sets that are busy


def most_in_a_set() -> int:
    """SEMMSL."""
    return LIMITS.values[0]


def most_in_all() -> int:
    """SEMMNS."""
    return LIMITS.values[1]


def most_operations() -> int:
    """SEMOPM."""
    return LIMITS.values[2]


def most_sets() -> int:
    """SEMMNI."""
    return LIMITS.values[3]


@final
class Operation:
    """struct sembuf."""

    def __init__(self, number: int, change: int, flags: int) -> None:
        self.number: int = number  # of the semaphore in its set
        self.change: int = change  # 0: wait until the counter is 0
        self.flags: int = flags


@final
class PendingRow:
    """Operations that wait to be done together."""

    def __init__(self, operations: list[Operation], process: Bearer, undo: "Undo | None") -> None:
        self.operations: list[Operation] = operations
        self.process: Bearer = process
        self.undo: Undo | None = undo
        self.is_finished: bool = False
        self.error: int = 0  # once finished
        self.blocking: int = 0  # index of the operation that cannot be done
        self.queue: WaitQueue = WaitQueue()

    def finish(self, error: int) -> None:
        """It was done, or can never be done: wake its owner."""
        self.is_finished = True
        self.error = error
        self.queue.wake_all()


@final
class Undo:
    """The effect of one list's threads on one set, with the opposite sign.

    Two bytes a semaphore: each process has as many of these as there are sets.
    """

    def __init__(self, owner: "UndoList", target: "SemaphoreSet") -> None:
        self.owner: UndoList | None = owner
        self.target: SemaphoreSet | None = target
        self._adjustments: bytearray = bytearray(len(target.values) * _ADJUSTMENT_BYTES)

    def count(self) -> int:
        """How many semaphores the set has."""
        return len(self._adjustments) // _ADJUSTMENT_BYTES

    def get(self, number: int) -> int:
        """The adjustment of a semaphore: -32768 … 32767."""
        stored = span_of(self._adjustments).load_u16(number * _ADJUSTMENT_BYTES)
        return stored - _ADJUSTMENT_RANGE if stored > LARGEST_VALUE else stored

    def set(self, number: int, adjustment: int) -> None:
        """Set the adjustment."""
        span_of(self._adjustments).store_u16(number * _ADJUSTMENT_BYTES, adjustment & _ADJUSTMENT_RANGE - 1)

    def clear(self) -> None:
        """Nothing is to be undone. Sleeps if there are many semaphores."""
        for number in range(self.count()):
            self.set(number, 0)
            pace(_STEP_COST)

    def held_bytes(self) -> int:
        """How much memory it takes."""
        return _UNDO_BYTES + len(self._adjustments)


@final
class UndoList:
    """Everything to be undone when its last thread ends. Counted: threads share it (CLONE_SYSVSEM)."""

    def __init__(self) -> None:
        self.users: int = 1
        self.undos: list[Undo] = []
        self.held_bytes: int = 0  # by all of them
        self.counted: int = 0  # the last count of memory in which it was met (memory_shortage.py)

    def find(self, target: "SemaphoreSet") -> Undo:
        """The part about one set, created if need be. Raises MemoryError."""
        for undo in self.undos:
            if undo.target is target:
                return undo
        fresh = Undo(self, target)
        self.undos.append(fresh)
        try:
            target.undos.append(fresh)
        except MemoryError:
            self.undos.pop()
            raise
        self.held_bytes += fresh.held_bytes()
        return fresh

    @noraise
    def release(self, process: Bearer | None) -> None:
        """A thread of a process ends. Sleeps if much must be undone."""
        self.users -= 1
        if self.users > 0:
            return
        while len(self.undos) > 0:
            undo = self.undos.pop()
            undo.owner = None
            target = undo.target
            if target is not None:
                target.undo(undo, process)
            pace(_UNDO_COST + undo.count() * _STEP_COST)


@final
class SemaphoreSet(IpcObject):
    """One set."""

    def __init__(self, owner: "Sets", key: int, mode: int, creator: Credentials, count: int) -> None:
        super().__init__(key, mode, creator, owner.user_namespace)
        check_room_to_keep()
        self.owner: Sets = owner
        self.values: list[int] = [0] * count
        self.changers: list[Bearer | None] = [None] * count  # the process that last changed each
        self.operated_s: int = 0
        self.pending: list[PendingRow] = []
        self.undos: list[Undo] = []
        self.is_busy: bool = False  # a long change is under way, with safe points: others wait for its end

    def check_number(self, number: int) -> None:
        """Raise EFBIG unless there is such a semaphore."""
        if number >= len(self.values):
            raise Errno(EFBIG)

    # ---- Operations ---------------------------------------------------------------------------------------------

    def operate(self, operations: list[Operation], process: Bearer, undo: Undo | None, deadline_ns: int) -> None:
        """semop(2), on semaphores that exist. Raises EAGAIN, EIDRM, EINTR, ERANGE, MemoryError."""
        row = PendingRow(operations, process, undo)
        if self.is_busy:
            self._wait_for_quiet()
            if self.is_removed:
                raise Errno(EIDRM)
        if self._try(row) == _DONE:
            if len(self.pending) > 0:
                self.is_busy = True
                self._end_change()
            return
        if operations[row.blocking].flags & IPC_NOWAIT != 0:
            raise Errno(EAGAIN)
        self.pending.append(row)
        interrupted = False
        timed_out = False
        while not row.is_finished and not interrupted and not timed_out:
            try:
                timed_out = not row.queue.sleep_until(deadline_ns, interruptible=True)
            except Errno:
                interrupted = True
            except MemoryError:
                self.pending.remove(row)  # else it would be done for nobody
                raise
        if row.is_finished:
            if row.error != 0:
                raise Errno(row.error)
            return
        self.pending.remove(row)
        raise Errno(EINTR if interrupted else EAGAIN)

    def _try(self, row: PendingRow) -> int:
        """Do a list if all of it can be done. Raises ERANGE."""
        operations = row.operations
        done = 0
        error = 0
        while done < len(operations):
            error = self._step(operations[done], row.undo)
            if error != 0:
                break
            done += 1
        if done < len(operations):
            row.blocking = done
            while done > 0:
                done -= 1
                self._step_back(operations[done], row.undo)
            if error == _MUST_WAIT:
                return _MUST_WAIT
            raise Errno(error)
        for operation in operations:
            self.changers[operation.number] = row.process
        self.operated_s = now_s()
        return _DONE

    def _step(self, operation: Operation, undo: Undo | None) -> int:
        """One operation: 0, _MUST_WAIT, or ERANGE, which is greater."""
        number = operation.number
        value = self.values[number]
        if operation.change == 0:
            return _MUST_WAIT if value != 0 else _DONE
        changed = value + operation.change
        if changed < 0:
            return _MUST_WAIT
        if changed > LARGEST_VALUE:
            return ERANGE
        if operation.flags & SEM_UNDO != 0 and undo is not None:
            adjustment = undo.get(number) - operation.change
            if not -LARGEST_VALUE - 1 <= adjustment <= LARGEST_VALUE:
                return ERANGE
            undo.set(number, adjustment)
        self.values[number] = changed
        return _DONE

    def _step_back(self, operation: Operation, undo: Undo | None) -> None:
        self.values[operation.number] -= operation.change
        if operation.flags & SEM_UNDO != 0 and undo is not None:
            undo.set(operation.number, undo.get(operation.number) + operation.change)

    @noraise
    def _wait_for_quiet(self) -> None:
        """Sleep until no long change is under way. The set may have been removed then."""
        while self.is_busy:
            _QUIET.wait()

    @noraise
    def _end_change(self) -> None:
        """Counters have changed: do waiting lists that can be done now, and let others go on."""
        try:
            self._advance()
        finally:
            self.is_busy = False
            _QUIET.wake_all()

    @noraise
    def _advance(self) -> None:
        """Do waiting lists that can be done now. Takes safe points, at which their owners may stop waiting."""
        index = 0
        while index < len(self.pending):
            row = self.pending[index]
            error = 0
            try:
                if self._try(row) == _MUST_WAIT:
                    if row.operations[row.blocking].flags & IPC_NOWAIT == 0:
                        pace(_TRY_COST + row.blocking * _STEP_COST)
                        is_there = index < len(self.pending) and self.pending[index] is row
                        index = index + 1 if is_there else 0  # others have gone: they are one place further in front
                        continue
                    error = EAGAIN
            except Errno as failure:
                error = failure.code
            self.pending.pop(index)
            row.finish(error)
            pace(_TRY_COST + len(row.operations) * _STEP_COST)
            index = 0

    @noraise
    def undo(self, undo: Undo, process: Bearer | None) -> None:
        """The threads that share a list have ended: apply it. Sleeps if there are many semaphores, or if many wait."""
        self._wait_for_quiet()
        if undo.target is None:
            return  # the set was removed meanwhile
        undo.target = None
        spend(len(self.undos) * _LOOK_COST)
        self.undos.remove(undo)
        self.is_busy = True
        try:
            for number in range(undo.count()):
                pace(_STEP_COST)
                adjustment = undo.get(number)
                if adjustment != 0:
                    self.values[number] = max(0, min(LARGEST_VALUE, self.values[number] + adjustment))
                    self.changers[number] = process
            self.operated_s = now_s()
        finally:
            self._end_change()

    # ---- semctl -------------------------------------------------------------------------------------------------

    def set_value(self, number: int, value: int, process: Bearer) -> None:
        """SETVAL: pending undos are dropped. Raises EIDRM (it was removed meanwhile)."""
        self._wait_for_quiet()
        if self.is_removed:
            raise Errno(EIDRM)
        self.is_busy = True
        try:
            index = 0
            while index < len(self.undos):  # only IPC_RMID takes some away meanwhile, the last first
                self.undos[index].set(number, 0)
                index += 1
                pace(_STEP_COST)
            self.values[number] = value
            self.changers[number] = process
            self.changed_s = now_s()
        finally:
            self._end_change()

    def set_all(self, values: list[int], process: Bearer) -> None:
        """SETALL. Sleeps if there is much to set. Raises EIDRM (it was removed meanwhile), MemoryError."""
        self._wait_for_quiet()
        if self.is_removed:
            raise Errno(EIDRM)
        self.is_busy = True
        try:
            for number in range(len(values)):
                self.values[number] = values[number]
                self.changers[number] = process
                pace(_STEP_COST)
            index = 0
            while index < len(self.undos):  # as above
                self.undos[index].clear()
                index += 1
                pace(_STEP_COST)
            self.changed_s = now_s()
        finally:
            self._end_change()

    def count_waiting(self, number: int, for_zero: bool) -> int:
        """GETNCNT, GETZCNT: lists that wait for this semaphore to grow, or to become zero."""
        count = 0
        for row in self.pending:
            blocking = row.operations[row.blocking]
            if blocking.number == number and (blocking.change == 0) == for_zero:
                count += 1
        return count

    def remove(self) -> None:
        """IPC_RMID."""
        self.owner.used -= len(self.values)
        self.owner.table.remove(self)
        while len(self.undos) > 0:
            pace(_UNDO_COST)
            undo = self.undos.pop()
            undo.target = None
            owner = undo.owner
            undo.owner = None
            if owner is not None:
                spend(len(owner.undos) * _LOOK_COST)
                owner.undos.remove(undo)
                owner.held_bytes -= undo.held_bytes()
        while len(self.pending) > 0:
            self.pending.pop().finish(EIDRM)
            pace(_TRY_COST)


@final
class Sets:
    """All sets of a namespace."""

    def __init__(self, user_namespace: UserNamespace) -> None:
        self.user_namespace: UserNamespace = user_namespace
        self.table: IpcTable[SemaphoreSet] = IpcTable()
        self.used: int = 0  # semaphores in all sets

    def open(self, key: int, count: int, flags: int, credentials: Credentials) -> int:
        """semget(2): the number of the set with this key, created if need be. Raises ENOENT, EEXIST, EINVAL, EACCES,
        ENOSPC, MemoryError.
        """
        if count < 0 or count > min(most_in_a_set(), _MOST_NUMBERS):
            raise Errno(EINVAL)
        found = self.table.find(key, flags)
        if found is not None:
            if count > len(found.values):
                raise Errno(EINVAL)
            found.check_permission(credentials, flags)
            return found.identifier
        if count == 0:
            raise Errno(EINVAL)
        if len(self.table.objects) >= most_sets() or self.used + count > most_in_all():
            raise Errno(ENOSPC)
        identifier = self.table.add(SemaphoreSet(self, key, flags, credentials, count))
        self.used += count
        return identifier

    def remove_all(self) -> None:
        """Their namespace ends: remove all. Has safe points."""
        for index in range(self.table.highest_index() + 1):
            found = self.table.objects.get(index)
            if found is not None:
                found.remove()
                pace(_REMOVE_COST)
            pace(LOOK_COST)


def wanted_permission(operations: list[Operation]) -> int:
    """The permission that a list needs: waiting for zero only reads."""
    for operation in operations:
        if operation.change != 0:
            return WRITE
    return READ


HEADING: Final = b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"


def set_line(found: SemaphoreSet) -> bytes:
    """A line of /proc/sysvipc/sem."""
    return (
        f"{found.key:10d} {found.identifier:10d}  {found.mode:4o} {len(found.values):10d}"
        f"{found.owner_columns()}"
        f" {found.operated_s:10d} {found.changed_s:10d}\n"
    ).encode()
