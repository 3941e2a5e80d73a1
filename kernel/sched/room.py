"""Room on the kernel stack for calls that nest.

A file system on top of others calls them where it is itself called, so the stack of a thread would have to hold the
worst case of file systems two and three times. Instead such a call first ensures fresh room: the stack grows in
place, once for a thread, if less is left than the callee may need. The callee is declared `@with_room(ROOM)`; the
compiler checks that it never needs more, and its callers do not count it.

    def look_up(self, name: bytes) -> Inode | None:
        make_room()
        return _look_up(self, name)

The caller must call both from one function, with nothing in between that needs stack for longer.

Context: never sleeps. Raises MemoryError, also if calls have nested too deeply.
"""

from typing import Final

from arch import present_frame_pointer
from kernel.lang import noinline
from kernel.mm.frames import PAGE_SIZE
from kernel.sched.scheduler import current_thread
from kernel.sched.stacks import grow_stack

ROOM: Final = 24576  # bytes; the number in each @with_room


@noinline
def make_room() -> None:
    """Ensure that ROOM bytes of stack lie below the caller's frame."""
    stack = current_thread().stack
    if stack is None:
        return  # not on a stack of ours: the kernel is booting, or is simulated
    low = present_frame_pointer() - ROOM
    if low < stack.base:
        grow_stack(stack, low & -PAGE_SIZE)
