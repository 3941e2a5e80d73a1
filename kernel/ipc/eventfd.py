"""Event descriptors: a counter that reads clear and writes increase (eventfd(2)).

Context: reads sleep while the counter is zero, writes while it would pass its maximum. `signal` is fit for interrupts.
"""

from typing import Final, Literal

from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_NONBLOCK, O_RDWR, POLLERR, READABLE, WRITABLE
from kernel.lang import EAGAIN, EFAULT, EINVAL, Array, Errno, u8, u64
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue

# The counter goes up to 2**64 - 2 on Linux. Kept in an int, it goes up to 2**63 - 2 here: a writer of more waits
# forever on both.
MAXIMUM: Final = (1 << 63) - 2


class EventFile(DescriptorFile):
    """An event descriptor."""

    def __init__(self, initial: int, flags: int, is_semaphore: bool) -> None:
        self.queue: WaitQueue = WaitQueue()
        super().__init__(anonymous_path(b"[eventfd]"), O_RDWR | flags)
        self.count: int = initial
        self.is_semaphore: bool = is_semaphore

    def read(self, buffer: Buffer) -> int:
        if buffer.remaining < 8:
            raise Errno(EINVAL)
        while self.count == 0:
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            self.queue.sleep(interruptible=True)
        value = 1 if self.is_semaphore else self.count
        self.count -= value
        self.queue.wake_all()
        storage: Array[u8, Literal[8]] = Array()
        storage.span().store_u64(0, u64(value))
        if buffer.put(storage.span()) < 8:
            raise Errno(EFAULT)
        return 8

    def write(self, buffer: Buffer) -> int:
        if buffer.remaining != 8:
            raise Errno(EINVAL)
        storage: Array[u8, Literal[8]] = Array()
        given = storage.span()
        taken = buffer.take(given)
        if taken < 8:
            buffer.faulted = True
            return 0
        low = given.load_u32(0)
        high = given.load_u32(4)
        if low == 0xFFFFFFFF and high == 0xFFFFFFFF:
            raise Errno(EINVAL)
        value = min(MAXIMUM, (min(high, 0x7FFFFFFF) << 32) | low)
        while self.count > MAXIMUM - value:
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            self.queue.sleep(interruptible=True)
        self.count += value
        self.queue.wake_all()
        return 8

    def signal(self, value: int) -> None:
        """Add to the counter from inside the kernel; it stays at its maximum."""
        self.count = min(MAXIMUM, self.count + value) if self.count <= MAXIMUM - value else MAXIMUM
        self.queue.wake_all()

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.queue)
        state = 0
        if self.count > 0:
            state |= READABLE
        if self.count < MAXIMUM:
            state |= WRITABLE
        if self.count == MAXIMUM:
            state |= POLLERR
        return state

    def describe(self) -> bytes:
        return f"eventfd-count: {self.count:16x}\n".encode()
