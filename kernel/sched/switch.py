"""Switching from one kernel stack to another, and the stacks as the reclaimer sees them.

A kernel thread runs in whatever address space was loaded last. That stays safe because the tables of an ended space
are kept until another is loaded (arch.programs.load_root).

Safety: the addresses given to `switch_stacks` are that of the leaving thread's own `context` (an object on the list of
all threads, so it lives) and the stack pointer that was saved in the same place when the other thread left, or set by
`prepare_kernel_entry`.
"""

from arch import (
    OWN_THREAD,
    interrupt_point,
    left_at,
    left_frame_pointer,
    prepare_kernel_entry,
    present_frame_pointer,
    switch_stacks,
    wait_for_interrupt,
    wait_for_sections,
)
from kernel.lang import inline, noinline
from kernel.lang.unsafe import address_of, own_object, set_own_object
from kernel.lib.stack_places import StackPlace, stack_places
from kernel.mm.reclaim import RECLAIMER, hold_stack, let_go
from kernel.sched.thread import AWAKE, Thread, add_awake, take_awake


@noinline
def switch(previous: Thread, following: Thread) -> None:
    """Leave `previous`' stack and go on with `following`'s; returns when `previous` runs again."""
    set_own_object(OWN_THREAD, following)
    switch_stacks(address_of(previous.context), following.context.stack_pointer)


@inline
def own_thread() -> Thread:
    """The thread that this processor runs, also for code without the kernel lock. Some thread has left another before.

    Safety: a processor's `current` refers to the same thread, and keeps it alive (processor.py).
    """
    return own_object(Thread, OWN_THREAD)


def wait_on_stack(thread: Thread) -> None:
    """Stop the processor, which is on the running thread's stack, until an interrupt was served. With several
    processors, others run the kernel in the meantime.
    """
    wait_for_interrupt(address_of(thread.context))


def let_others_in(thread: Thread) -> None:
    """Serve pending interrupts, and let other processors go first that wait for the kernel."""
    interrupt_point(address_of(thread.context))


def first_stack_pointer(thread: Thread) -> int:
    """Prepare a new thread's stack: it will begin in `thread_main`."""
    return prepare_kernel_entry(thread.stack_top, 0)


def scan_sleeping_stacks(current: Thread) -> bool:
    """Show the reclaimer the stacks of all threads but the running one. Those that slept since they were last shown
    hold what they refer to. False if it had enough before the last one.

    Threads that run without the kernel lock are skipped: it waits until their loaded references are forgotten.
    """
    wait_for_sections()
    marked: Thread | None = None  # awake nevertheless; linked by `awake_next`
    thread = take_awake()
    while thread is not None:
        stack = thread.stack
        if stack is not None:  # otherwise it has ended
            if thread is not current:
                thread.context.links = hold_stack(stack.base, thread.context.stack_pointer, stack.top)
            if thread.context.links == AWAKE:
                thread.awake_next = marked
                marked = thread
        thread = take_awake() if RECLAIMER.words_left > 0 else None
    while marked is not None:
        following = marked.awake_next
        add_awake(marked)
        marked = following
    return RECLAIMER.words_left > 0


def wake_stack(thread: Thread) -> None:
    """A thread is about to run whose stack holds what it refers to: drop that, and count the thread as awake."""
    stack = thread.stack
    if stack is not None:
        let_go(stack.base, thread.context.links)
    add_awake(thread)


def places_of(thread: Thread, is_running: bool) -> list[StackPlace]:
    """Where a thread is in the kernel, the most recent call first: nowhere before it starts. Raises MemoryError."""
    stack = thread.stack
    if stack is None or not (is_running or thread.has_begun()):
        return []
    if is_running:
        frame = present_frame_pointer()
        return stack_places(0, frame, frame, stack.top)
    pointer = thread.context.stack_pointer
    return stack_places(left_at(pointer), left_frame_pointer(pointer), pointer, stack.top)
