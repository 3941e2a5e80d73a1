"""Kernel threads: the kernel's own flows of control, without user memory."""

from collections.abc import Callable

from kernel.lang import final
from kernel.sched.scheduler import start_thread
from kernel.sched.stacks import allocate_stack
from kernel.sched.thread import Thread
from kernel.sched.wait import prepare_sleep


@final
class KernelThread(Thread):
    """Runs a function once."""

    def __init__(self, name: bytes, function: Callable[[int], None], argument: int) -> None:
        super().__init__(name)
        self.function: Callable[[int], None] = function
        self.argument: int = argument

    def run(self) -> None:
        function = self.function
        function(self.argument)


def spawn_kernel_thread(name: bytes, function: Callable[[int], None], argument: int) -> KernelThread:
    """Start a kernel thread; it ends when `function(argument)` returns. Raises MemoryError."""
    thread = KernelThread(name, function, argument)
    prepare_sleep(thread)
    try:
        thread.stack = allocate_stack()
    except MemoryError:
        thread.waiter = None  # it refers back to the thread
        raise
    start_thread(thread, None)
    return thread
