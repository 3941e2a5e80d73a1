"""Restartable sequences: pieces of program code that restart if their thread was interrupted in them (rseq(2)).

A thread registers a struct rseq in its memory. The kernel writes there on which processor it runs, and the program
points `rseq_cs` to a description of its current sequence: start, length, and where to go if the thread loses the
processor or takes a signal before the end. A malformed description causes SIGSEGV.

The number of the processor is written when it has changed.

Context: on the way to user mode; sleeps (user memory). Source: Linux's uapi header linux/rseq.h.
"""

from typing import Final

from arch import TrapFrame
from kernel.lang import EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.lib.user import USER_LIMIT
from kernel.mm.space import AddressSpace
from kernel.sched.processor import PROCESSORS, announce_work_of, running_on, this_processor
from kernel.sched.scheduler import announce_work
from kernel.task.task import Task

FEATURE_SIZE: Final = 28  # AT_RSEQ_FEATURE_SIZE: the known fields
ALIGNMENT: Final = 32  # AT_RSEQ_ALIGN
SMALLEST: Final = 32

_CPU_ID_START: Final = 0
_CPU_ID: Final = 4
_SECTION: Final = 8  # rseq_cs
_FLAGS: Final = 16
_NODE_ID: Final = 20
_MM_CID: Final = 24
_SIZE: Final = 28

_UNREGISTERED: Final = -1  # RSEQ_CPU_ID_UNINITIALIZED
NEVER: Final = -1  # as the count of switches: the structure was not written yet


def register(task: Task, address: UserAddr, length: int, signature: int) -> None:
    """Remember the structure; it is filled on the way back to user mode. Raises EFAULT."""
    user.write_i64(user.at(address, _SECTION), 0)
    task.library.rseq.address = address
    task.library.rseq.length = length
    task.library.rseq.signature = signature
    task.library.rseq.switches = NEVER
    announce_work()


def unregister(task: Task) -> None:
    """Mark the structure as unused from now on. Raises EFAULT."""
    address = UserAddr(task.library.rseq.address)
    user.write_u32(user.at(address, _CPU_ID_START), 0)
    user.write_i32(user.at(address, _CPU_ID), _UNREGISTERED)
    user.write_u32(user.at(address, _NODE_ID), 0)
    if task.library.rseq.length > SMALLEST or task.library.rseq.length >= _SIZE:
        user.write_u32(user.at(address, _MM_CID), 0)
    forget(task)


def forget(task: Task) -> None:
    """The structure's memory is gone (execve)."""
    task.library.rseq.address = 0
    task.library.rseq.length = 0
    task.library.rseq.signature = 0


def copy_to_child(parent: Task, child: Task) -> None:
    """A child with its own memory inherits the structure."""
    child.library.rseq.address = parent.library.rseq.address
    child.library.rseq.length = parent.library.rseq.length
    child.library.rseq.signature = parent.library.rseq.signature
    child.library.rseq.switches = NEVER


def has_lost_processor(task: Task) -> bool:
    """Whether another thread has run since `restart` was called last."""
    return task.library.rseq.switches != task.accounts.voluntary_switches + task.accounts.involuntary_switches


def restart_others(space: AddressSpace) -> None:
    """Abort the sequences that other threads of a space run now, on other processors. What they do before they notice
    is over when `synchronise_processors` returns.
    """
    for processor in PROCESSORS:
        thread = running_on(processor)
        if processor is not this_processor() and isinstance(thread, Task) and thread.memory is space:
            thread.library.rseq.switches = NEVER
            announce_work_of(thread)


def restart(task: Task, frame: TrapFrame) -> None:
    """The thread lost the processor or takes a signal: leave the sequence that it is in. Raises EFAULT, EINVAL."""
    address = UserAddr(task.library.rseq.address)
    number = task.processor
    switches = task.accounts.voluntary_switches + task.accounts.involuntary_switches
    if task.library.rseq.switches == NEVER or task.library.rseq.processor != number:
        task.library.rseq.processor = number
        user.write_u32(user.at(address, _CPU_ID_START), number)
        user.write_u32(user.at(address, _CPU_ID), number)
        user.write_u32(user.at(address, _NODE_ID), 0)
        user.write_u32(user.at(address, _MM_CID), number)  # no two threads that run at the same time share one
    section = UserAddr(user.read_i64(user.at(address, _SECTION)))
    if section != 0:
        landing = _landing(task, section, frame.instruction_pointer)
        if landing != 0:
            frame.go_on_at(landing)
        user.write_i64(user.at(address, _SECTION), 0)
    # User memory may have to be waited for: after a switch during that, the number may be another one.
    task.library.rseq.switches = switches


def _landing(task: Task, section: UserAddr, rip: int) -> int:
    """The address to go on at, from `rip`; 0 if that is not in the sequence, a struct rseq_cs of version 0."""
    user.check(section, 32)
    version = user.read_u32(section)
    flags = user.read_u32(user.at(section, 4))
    start = user.read_i64(user.at(section, 8))
    length = user.read_i64(user.at(section, 16))
    landing = UserAddr(user.read_i64(user.at(section, 24)))
    if version != 0 or not _is_user(start) or not _is_user(landing):
        raise Errno(EINVAL)
    if not 0 <= length <= USER_LIMIT - start:  # fits: a user address
        raise Errno(EINVAL)
    if start <= landing < start + length:
        raise Errno(EINVAL)
    if user.read_u32(user.at(landing, -4)) != task.library.rseq.signature:
        raise Errno(EINVAL)
    if not start <= rip < start + length:
        return 0
    if flags != 0 or user.read_u32(user.at(UserAddr(task.library.rseq.address), _FLAGS)) != 0:
        raise Errno(EINVAL)  # the flags that Linux once had are gone
    return landing


def _is_user(address: int) -> bool:
    return 4 <= address < USER_LIMIT
