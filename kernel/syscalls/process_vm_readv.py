"""Reading and writing other processes' memory: process_vm_readv(2), process_vm_writev(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_RW_COUNT
from kernel.lang import EFAULT, EINVAL, EPERM, ESRCH, Errno, UserAddr, i32, span_of
from kernel.lib import user
from kernel.lib.pace import is_dying, pace
from kernel.lib.user import UserVector
from kernel.mm.foreign import read_foreign, write_foreign
from kernel.mm.space import AddressSpace
from kernel.syscalls.buffer_arguments import read_pieces, user_vector
from kernel.syscalls.pid_arguments import task_at
from kernel.task.inspection import may_attach_to
from kernel.task.task import Task, current

_CHUNK: Final = 16384
_PAGE_COST: Final = 3000  # instructions, for `pace`


@syscall(
    "process_vm_readv", status="Full", args="pid <iovec[local_count] count <iovec[remote_count] count flags:0",
)  # fmt: skip
def process_vm_readv(
    pid: i32, local: UserAddr, local_count: int, remote: UserAddr, remote_count: int, flags: int
) -> int:
    """process_vm_readv(2)."""
    return _transfer(pid, local, local_count, remote, remote_count, flags, reads=True)


@syscall(
    "process_vm_writev", status="Full", args="pid <iovec[local_count] count <iovec[remote_count] count flags:0",
)  # fmt: skip
def process_vm_writev(
    pid: i32, local: UserAddr, local_count: int, remote: UserAddr, remote_count: int, flags: int
) -> int:
    """process_vm_writev(2)."""
    return _transfer(pid, local, local_count, remote, remote_count, flags, reads=False)


def _transfer(
    pid: int, local: UserAddr, local_count: int, remote: UserAddr, remote_count: int, flags: int, reads: bool
) -> int:
    if flags != 0:
        raise Errno(EINVAL)
    buffer = user_vector(local, local_count)
    if buffer.remaining == 0:
        return 0
    starts: list[UserAddr] = []
    lengths: list[int] = []
    read_pieces(remote, remote_count, starts, lengths)
    total = 0
    for index in range(len(lengths)):
        lengths[index] = min(lengths[index], MAX_RW_COUNT)
        total += lengths[index]
    if total == 0:
        return 0
    space = _memory_of(task_at(pid))
    space.acquire()
    done = 0
    try:
        for index in range(len(starts)):
            moved = _transfer_range(space, starts[index], lengths[index], buffer, reads)
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
    """Transfer one range of the other process, as far as the local vector and the memory go. Raises EFAULT, ENOMEM if
    nothing was moved.
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
    space = target.memory
    if space is None:
        raise Errno(ESRCH)
    if not may_attach_to(current(), target.process, target):
        raise Errno(EPERM)
    return space
