"""From one kernel stack to another, and the stacks as the reclaimer sees them.

A kernel thread runs in whatever address space was loaded last. That stays safe because the tables of a space that ends
are kept until another is loaded (arch.programs.load_root).

Safety: the addresses given to `switch_stacks` are that of the leaving thread's own `context` (an object on the list of
all threads, so it lives) and the stack pointer that was saved in the same place when the other thread left, or made by
`prepare_kernel_entry`.
"""

from arch import prepare_kernel_entry, switch_stacks
from kernel.lang import noinline
from kernel.lang.unsafe import address_of
from kernel.mm.reclaim import scan_stack
from kernel.sched.thread import Thread, first_thread


@noinline
def switch(previous: Thread, following: Thread) -> None:
    """Leave `previous`' stack and go on with `following`'s; returns when `previous` runs again."""
    switch_stacks(address_of(previous.context), following.context.stack_pointer)


def first_stack_pointer(thread: Thread) -> int:
    """Prepare a new thread's stack: it will begin in `thread_main`."""
    return prepare_kernel_entry(thread.stack_top, 0)


def scan_sleeping_stacks(current: Thread) -> None:
    """Show the reclaimer the stacks of all threads but the running one."""
    thread = first_thread()
    while thread is not None:
        stack = thread.stack
        if thread is not current and stack is not None:
            scan_stack(thread.context.stack_pointer, stack.top)
        thread = thread.all_next
