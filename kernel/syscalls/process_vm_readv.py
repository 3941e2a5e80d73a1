"""Looking into other processes: process_vm_readv(2), process_vm_writev(2), kcmp(2), process_madvise(2),
process_mrelease(2).
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import IOV_MAX, MAX_RW_COUNT
from kernel.fs.file import File
from kernel.ipc.epoll import EpollFile
from kernel.lang import EACCES, EBADF, EFAULT, EINVAL, EPERM, ESRCH, Errno, UserAddr, i32, span_of, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.lib.pace import is_dying, pace
from kernel.lib.user import UserVector
from kernel.mm import remap as remapping
from kernel.mm.foreign import read_foreign, write_foreign
from kernel.mm.space import AddressSpace, each_area
from kernel.syscalls.read_write import user_vector
from kernel.task.inspection import may_ask_about, may_attach_to, may_look_into
from kernel.task.pidfd import pid_file
from kernel.task.pids import find_task
from kernel.task.task import Task, current

_CHUNK: Final = 16384
_VECTOR_SIZE: Final = 16  # of struct iovec
_PAGE_COST: Final = 3000  # instructions, for `pace`

_KCMP_FILE: Final = 0
_KCMP_VM: Final = 1
_KCMP_FILES: Final = 2
_KCMP_FS: Final = 3
_KCMP_SIGHAND: Final = 4
_KCMP_IO: Final = 5
_KCMP_SYSVSEM: Final = 6
_KCMP_EPOLL_TFD: Final = 7
_SAME: Final = 0
_LESS: Final = 1
_GREATER: Final = 2

_MADV_WILLNEED: Final = 3
_MADV_COLD: Final = 20
_MADV_PAGEOUT: Final = 21
_MADV_COLLAPSE: Final = 25


def _task_at(pid: int) -> Task:
    task = find_task(current().pids.resolve(pid)) if pid > 0 else None
    if task is None:
        raise Errno(ESRCH)
    return task


# ---- memory ---------------------------------------------------------------------------------------------------------


@syscall(
    "process_vm_readv", status="Full", args="pid <iovec[local_count] count <iovec[remote_count] count flags:0",
)  # fmt: skip
def process_vm_readv(
    pid: i32, local: UserAddr, local_count: int, remote: UserAddr, remote_count: int, flags: int
) -> int:
    """process_vm_readv(2)."""
    return _transfer(pid, local, local_count, remote, remote_count, flags, True)


@syscall(
    "process_vm_writev", status="Full", args="pid <iovec[local_count] count <iovec[remote_count] count flags:0",
)  # fmt: skip
def process_vm_writev(
    pid: i32, local: UserAddr, local_count: int, remote: UserAddr, remote_count: int, flags: int
) -> int:
    """process_vm_writev(2)."""
    return _transfer(pid, local, local_count, remote, remote_count, flags, False)


def _transfer(
    pid: int, local: UserAddr, local_count: int, remote: UserAddr, remote_count: int, flags: int, reads: bool
) -> int:
    if flags != 0:
        raise Errno(EINVAL)
    buffer = user_vector(local, local_count)
    if buffer.remaining == 0:
        return 0
    if remote_count < 0 or remote_count > IOV_MAX:
        raise Errno(EINVAL)
    starts: list[int] = []
    lengths: list[int] = []
    total = 0
    if remote_count > 0:
        user.check(remote, remote_count * _VECTOR_SIZE)
    for index in range(remote_count):
        starts.append(user.read_i64(user.at(remote, index * 16)))
        length = user.read_i64(user.at(remote, index * 16 + 8))
        if length < 0:
            raise Errno(EINVAL)
        lengths.append(min(length, MAX_RW_COUNT))
        total += lengths[index]
    if total == 0:
        return 0
    space = _memory_of(_task_at(pid))
    space.acquire()
    done = 0
    try:
        for index in range(remote_count):
            moved = _transfer_range(space, UserAddr(starts[index]), lengths[index], buffer, reads)
            done += moved
            if moved < lengths[index]:
                break
    except Errno:
        if done == 0:
            raise
    finally:
        space.release()
    if done == 0 and buffer.faulted:
        raise Errno(EFAULT)
    return done


def _transfer_range(space: AddressSpace, start: UserAddr, length: int, buffer: UserVector, reads: bool) -> int:
    """One range of the other process, as far as the local vector and the memory go. Raises EFAULT, ENOMEM if nothing
    was moved.
    """
    storage = bytearray(min(_CHUNK, length))
    done = 0
    while done < length and buffer.remaining > 0 and not buffer.faulted:
        address = user.at(start, done)
        # Up to the end of the page: what comes before one that is missing is moved.
        count = min(length - done, buffer.remaining, 4096 - (address & 4095))
        part = span_of(storage)[0:count]
        try:
            user.check(address, count)
            if reads:
                read_foreign(space, address, part)
                done += buffer.put(part)
            else:
                taken = buffer.take(part)
                write_foreign(space, address, part[0:taken])
                done += taken
        except Errno:
            if done == 0:
                raise
            return done
        pace(_PAGE_COST)
        if is_dying():
            break
    return done


def _memory_of(target: Task) -> AddressSpace:
    if not may_attach_to(current(), target.process, target):
        raise Errno(EPERM)
    space = target.memory
    if space is None:
        raise Errno(ESRCH)
    return space


# ---- comparison -----------------------------------------------------------------------------------------------------


@syscall("kcmp", status="Full", args="pid pid one:0|1|2|3|4|5|6|7 any any")
def kcmp(first_pid: i32, second_pid: i32, kind: i32, first: int, second: UserAddr) -> int:
    """kcmp(2): 0 for the same thing, 1 or 2 for an order that means nothing."""
    one = _task_at(first_pid)
    other = _task_at(second_pid)
    reader = current()
    if not may_ask_about(reader, one.process, one) or not may_ask_about(reader, other.process, other):
        raise Errno(EPERM)
    if kind == _KCMP_FILE:
        return _order(hash(_file_of(one, first)), hash(_file_of(other, second)))
    if kind == _KCMP_VM:
        return _order(_identity_of_memory(one), _identity_of_memory(other))
    if kind == _KCMP_FILES:
        return _order(_identity_of_files(one), _identity_of_files(other))
    if kind == _KCMP_FS:
        return _order(_identity_of_context(one), _identity_of_context(other))
    if kind == _KCMP_SIGHAND:
        return _order(hash(one.process.actions), hash(other.process.actions))
    if kind == _KCMP_IO:
        return _SAME  # no task has an I/O context: they are all the same nothing
    if kind == _KCMP_SYSVSEM:
        mine = one.semaphore_undos
        theirs = other.semaphore_undos
        return _order(0 if mine is None else hash(mine), 0 if theirs is None else hash(theirs))
    if kind == _KCMP_EPOLL_TFD:
        return _compare_epoll(one, first, other, second)
    raise Errno(EINVAL)


def _order(first: int, second: int) -> int:
    if first == second:
        return _SAME
    return _LESS if first < second else _GREATER


def _identity_of_memory(task: Task) -> int:
    space = task.memory
    return 0 if space is None else hash(space)


def _identity_of_files(task: Task) -> int:
    """0 for a thread that has ended: it has given its descriptors up."""
    table = task.file_table
    return 0 if table is None else hash(table)


def _identity_of_context(task: Task) -> int:
    context = task.fs_context
    return 0 if context is None else hash(context)


def _file_of(task: Task, descriptor: int) -> File:
    table = task.file_table
    if table is None or not 0 <= descriptor < table.size():
        raise Errno(EBADF)
    return table.get_any(descriptor)


def _compare_epoll(one: Task, descriptor: int, other: Task, slot: UserAddr) -> int:
    """KCMP_EPOLL_TFD: whether a descriptor is the one that an epoll set watches under a number."""
    set_descriptor = user.read_u32(slot)
    watched = user.read_u32(user.at(slot, 4))
    offset = user.read_u32(user.at(slot, 8))
    file = _file_of(one, descriptor)
    owner = _file_of(other, set_descriptor)
    if not isinstance(owner, EpollFile):
        raise Errno(EINVAL)
    return _order(hash(file), hash(owner.watched_file(watched, offset)))


# ---- advice and release ---------------------------------------------------------------------------------------------


@syscall("process_madvise", status="Full", args="fd:pidfd <iovec[count] count one:madvise flags:0")
def process_madvise(descriptor: i32, vector: UserAddr, count: int, advice: i32, flags: u32) -> int:
    """process_madvise(2)."""
    if flags != 0 or count < 0 or count > IOV_MAX:
        raise Errno(EINVAL)
    starts: list[int] = []
    lengths: list[int] = []
    if count > 0:
        user.check(vector, count * _VECTOR_SIZE)
    for index in range(count):
        starts.append(user.read_i64(user.at(vector, index * 16)))
        lengths.append(user.read_i64(user.at(vector, index * 16 + 8)))
        if lengths[index] < 0:
            raise Errno(EINVAL)
    reader = current()
    process = pid_file(reader.files.get_any(descriptor)).living()
    if advice not in (_MADV_COLD, _MADV_PAGEOUT, _MADV_WILLNEED, _MADV_COLLAPSE):
        raise Errno(EINVAL)
    target = process.any_thread()
    if target is None or target.memory is None:
        raise Errno(ESRCH)
    if not may_look_into(reader, process, target):
        raise Errno(EACCES)
    space = target.space
    if space is not reader.memory and not reader.credentials.capable(CAP_SYS_NICE):
        raise Errno(EPERM)
    done = 0
    space.acquire()
    try:
        for index in range(count):
            remapping.advise(space, starts[index], lengths[index], advice)
            done += lengths[index]  # fits: each was user memory
    except Errno:
        if done == 0:
            raise
    finally:
        space.release()
    return done


@syscall("process_mrelease", status="Full", args="fd:pidfd flags:0")
def process_mrelease(descriptor: i32, flags: u32) -> int:
    """process_mrelease(2): take the memory of a process that is being killed before it comes to ending."""
    if flags != 0:
        raise Errno(EINVAL)
    process = pid_file(current().files.get_any(descriptor)).living()
    target = process.any_thread()
    if target is None or target.memory is None:
        raise Errno(ESRCH)
    space = target.space
    if not process.is_exiting or space.users > process.thread_count():
        raise Errno(EINVAL)
    space.acquire()
    try:
        for area in each_area(space):
            if not area.shared:
                space.empty(area.start, area.end)
        return 0
    finally:
        space.release()
