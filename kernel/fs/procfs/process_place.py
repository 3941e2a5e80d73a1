"""/proc/PID/{syscall,wchan,stack}: what a thread is doing in the kernel (proc_pid_syscall(5) and related pages).

Functions have Krait's names, which are not Linux's, and the stack names files and lines instead of offsets.
"""

from arch import copied_frame
from kernel.fs.procfs.subject import Subject, may_inspect, may_reach
from kernel.lang import EACCES, EPERM, Errno
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.stack_places import StackPlace
from kernel.sched.processor import processor_of
from kernel.sched.switch import places_of
from kernel.sched.thread import ThreadState
from kernel.task.task import Task, current


def _own_places(task: Task) -> list[StackPlace]:
    """A thread's calls, without the scheduler, which is always the last; empty if another processor runs it, since its
    stack changes or is a program's.
    """
    is_own = task is current()
    if not is_own and processor_of(task) is not None:
        return []
    places = places_of(task, is_own)
    return [place for place in places if not place.file.startswith(b"kernel/sched/")]


def wait_channel(subject: Subject) -> bytes:
    """The function that the thread sleeps in; 0 if it does not sleep, and for callers that may not inspect it."""
    task = subject.task()
    state = task.state
    if state == ThreadState.RUNNING or state == ThreadState.READY or task.is_exiting or not may_inspect(subject):
        return b"0"
    places = _own_places(task)
    return places[0].function if len(places) > 0 else b"0"


def kernel_stack(subject: Subject) -> bytes:
    """The functions that the thread is in, the most recent call first. Raises EACCES, EPERM."""
    task = subject.task()
    if not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EACCES)
    if not may_reach(subject):
        raise Errno(EPERM)
    text = bytearray()
    for place in _own_places(task):
        text.extend(b"[<0>] " + place.function + b" (" + place.file + f":{place.line})\n".encode())
    return bytes(text)


def system_call(subject: Subject) -> bytes:
    """The system call that the thread is in, its arguments, stack and instruction pointer; the call is -1 if it was
    interrupted elsewhere. Raises EPERM.
    """
    task = subject.task()
    if not may_reach(subject):
        raise Errno(EPERM)
    if task.stack is None:
        return b"-1 0x0 0x0\n"
    is_ready = task.state == ThreadState.RUNNING or task.state == ThreadState.READY
    if task is not current() and (is_ready or not task.has_begun()):
        return b"running\n"
    frame = copied_frame(task.stack_top)
    number = frame.original_number
    text = f"{number}"
    if number >= 0:
        for argument in (frame.first, frame.second, frame.third, frame.fourth, frame.fifth, frame.sixth):
            text += f" 0x{hexadecimal(argument)}"
    return f"{text} 0x{hexadecimal(frame.stack_pointer)} 0x{hexadecimal(frame.instruction_pointer)}\n".encode()


def hexadecimal(word: int) -> str:
    """The 64 bits of a word, without leading zeros."""
    high = word >> 32 & 0xFFFF_FFFF
    low = word & 0xFFFF_FFFF
    return f"{high:x}{low:08x}" if high != 0 else f"{low:x}"
