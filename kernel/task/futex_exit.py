"""What a thread leaves in its program's memory at its end: robust locks and the word for its number.

Sources: get_robust_list(2), set_tid_address(2).

Context: sleeps (user memory). Bad addresses end the walk: it is the program's own memory. So does a lack of memory: the
thread ends all the same.
"""

from typing import Final

from kernel.lang import Errno, UserAddr, noraise
from kernel.lib import user
from kernel.task import futex
from kernel.task.task import Task

_LIST_LIMIT: Final = 2048
_OWNER_DIED: Final = 0x4000_0000
_WAITERS: Final = 0x8000_0000
_OWNER_MASK: Final = 0x3FFF_FFFF


@noraise
def leave_locks(task: Task) -> None:
    """Mark the locks that the thread holds, and wake threads that wait for its end. The address space still exists."""
    memory = task.memory
    if memory is None:
        return
    if task.library.robust_list != 0:
        try:
            _walk_robust_list(task, UserAddr(task.library.robust_list))
        except (Errno, MemoryError):
            pass  # a broken list, …
        task.library.robust_list = 0
    address = UserAddr(task.library.clear_tid_address)
    task.library.clear_tid_address = 0
    # No thread can read it in a process that ends, or that executes another program.
    if address != 0 and memory.users > 1:
        try:
            user.write_u32(address, 0)
            futex.wake_address(task, address, 1)
        except (Errno, MemoryError):
            return


def _walk_robust_list(task: Task, head: UserAddr) -> None:
    """struct robust_list_head: next, futex_offset, list_op_pending."""
    entry = user.read_i64(head)
    offset = user.read_i64(user.at(head, 8))
    pending = user.read_i64(user.at(head, 16))
    if offset < -(1 << 30) or offset > 1 << 30:
        return
    for _ in range(_LIST_LIMIT):
        if entry & ~1 == head:
            break
        user.check(entry & ~1, 8)
        following = user.read_i64(UserAddr(entry & ~1))
        if entry & ~1 != pending & ~1:
            _die(task, user.at(UserAddr(entry & ~1), offset), entry & 1 != 0)
        entry = following
    if pending != 0:
        user.check(pending & ~1, 8)
        _die(task, user.at(UserAddr(pending & ~1), offset), pending & 1 != 0)


def _die(task: Task, address: UserAddr, inherits: bool) -> None:
    """If the thread holds the lock at `address`: mark it, and wake one waiter. A lock with priority inheritance goes
    to its next owner by itself.
    """
    user.check(address, 4)
    while True:
        value = user.read_u32(address)
        if value & _OWNER_MASK != task.own_tid:
            return
        if user.compare_and_swap_u32(address, value, value & _WAITERS | _OWNER_DIED) == value:
            break
    if value & _WAITERS != 0 and not inherits:
        futex.wake_address(task, address, 1)
