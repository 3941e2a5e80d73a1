"""From one kernel stack to another, and the stacks as the reclaimer sees them.

A kernel thread runs in whatever address space was loaded last. That stays safe because the tables of a space that ends
are kept until another is loaded (kernel.mm.pages).

Safety: the addresses given to `switch_stacks` are that of the leaving thread's own `context` (an object on the list of
all threads, so it lives) and the stack pointer that was saved in the same place when the other thread left, or made by
`prepare_kernel_entry`.
"""

from typing import Final

from arch.x86_64.context import prepare_kernel_entry, switch_stacks
from arch.x86_64.frame import FRAME_SIZE
from kernel.lang import noinline, panic
from kernel.lang.unsafe import address_of
from kernel.mm.reclaim import scan_stack
from kernel.sched.thread import Thread, first_thread

_USER_ENTRY_SIZE: Final = 64  # what prepare_user_entry writes below the frame, rounded up to 16


@noinline
def switch(previous: Thread, following: Thread) -> None:
    """Leave `previous`' stack and go on with `following`'s; returns when `previous` runs again."""
    switch_stacks(address_of(previous.context), following.context.stack_pointer)


def first_stack_pointer(thread: Thread) -> int:
    """Prepare a new thread's stack: it will begin in `thread_main`, below the room for a user frame and for what leads
    to it.
    """
    stack = thread.stack
    if stack is None:
        panic("a thread without a stack")
    return prepare_kernel_entry(stack.top - FRAME_SIZE - _USER_ENTRY_SIZE, 0)


def scan_sleeping_stacks(current: Thread) -> None:
    """Show the reclaimer the stacks of all threads but the running one."""
    thread = first_thread()
    while thread is not None:
        stack = thread.stack
        if thread is not current and stack is not None:
            scan_stack(thread.context.stack_pointer, stack.top)
        thread = thread.all_next
