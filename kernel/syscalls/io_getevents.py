"""Events of asynchronous I/O: io_getevents(2), io_pgetevents(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.ipc.aio import EVENT_SIZE, AioContext
from kernel.lang import EINTR, EINVAL, ERESTARTNOHAND, ERESTARTSYS, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.sched.scheduler import current_thread
from kernel.syscalls.aio_arguments import context_at
from kernel.syscalls.timeouts import temporary_mask
from kernel.task import current
from kernel.time import monotonic_ns
from kernel.time.clock import NS_PER_SECOND
from kernel.time.timers import FOREVER_NS

_AT_ONCE: Final = 16  # events
_MOST: Final = 1 << 24  # of one call: more than any ring holds
_LONGEST_SECONDS: Final = 1 << 31
_COPY_COST: Final = 500
_NO_WAIT_NS: Final = 0


@final
class Reaper:
    """Copies events into a program's memory."""

    def __init__(self, context: AioContext, events: UserAddr, limit: int) -> None:
        """Raises MemoryError; nothing does later, after events were taken."""
        self._context: AioContext = context
        self._events: UserAddr = events
        self._limit: int = max(0, min(limit, _MOST))
        self._storage: bytearray = bytearray(_AT_ONCE * EVENT_SIZE)
        self.count: int = 0

    def take(self) -> bool:
        """Take what there is; whether that was anything. Raises EFAULT, with all events still in the ring, and EINVAL
        if the context has ended; if some were taken before, it takes no more instead.
        """
        before = self.count
        error = 0
        try:
            with self._context.readers:
                self._take_all()
        except Errno as caught:
            error = caught.code
        if self._context.has_ended():
            error = EINVAL
        if error != 0 and self.count == 0:
            raise Errno(error)
        if error != 0:
            self._limit = self.count
        return self.count > before

    def _take_all(self) -> None:
        context = self._context
        index, there = context.ready()
        there = min(there, self._limit - self.count)
        done = 0
        while done < there:
            part = min(there - done, _AT_ONCE, context.event_count - index)
            records = span_of(self._storage)[0 : part * EVENT_SIZE]
            context.read(index, records)
            user.write_from(user.at(self._events, (self.count + done) * EVENT_SIZE), records)
            done += part
            index = (index + part) % context.event_count
            pace(_COPY_COST)
        if done > 0:
            context.take(index)
            self.count += done

    def is_full(self) -> bool:
        """Whether no more events can be taken."""
        return self.count >= self._limit


def _deadline_of(timeout: UserAddr) -> int:
    """When to stop waiting on the monotonic clock. Any numbers are a time here, and a negative one means forever, as on
    Linux. Raises EFAULT.
    """
    if timeout == 0:
        return FOREVER_NS
    seconds = user.read_i64(timeout)
    nanoseconds = user.read_i64(user.at(timeout, 8))
    limit_ns = _LONGEST_SECONDS * NS_PER_SECOND
    wait_ns = max(-_LONGEST_SECONDS, min(seconds, _LONGEST_SECONDS)) * NS_PER_SECOND
    wait_ns += max(-limit_ns, min(nanoseconds, limit_ns))  # fits: both are bounded
    if wait_ns < 0 or wait_ns >= limit_ns:
        return FOREVER_NS
    return _NO_WAIT_NS if wait_ns == 0 else monotonic_ns() + wait_ns


def _read_events(name: int, least: int, most: int, events: UserAddr, deadline_ns: int) -> int:
    """Take at most `most` events, waiting for `least`; returns their number. An early end of the wait is no error."""
    context = context_at(current().space, name)
    if least > most or least < 0:
        raise Errno(EINVAL)
    reaper = Reaper(context, events, most)
    context.hold()
    try:
        found = reaper.take()
        is_over = deadline_ns == _NO_WAIT_NS
        while reaper.count < least and not reaper.is_full() and not is_over:
            # Events may have come while some were copied: sleep only if there are none.
            is_over = current_thread().is_interrupted() if found else not _sleep(context, deadline_ns, reaper.count)
            found = reaper.take()
        return reaper.count
    finally:
        context.let_go()


def _sleep(context: AioContext, deadline_ns: int, taken: int) -> bool:
    """Wait for more events than those taken: False after the timeout, or a signal. Raises MemoryError
    unless events would be lost with it.
    """
    try:
        return context.waiters.sleep_until(deadline_ns)
    except Errno as error:
        if error.code != ERESTARTSYS:
            raise
        return False
    except MemoryError:
        if taken == 0:
            raise
        return False


@syscall("io_getevents", status="Full", args="aio count count >io_event[most] <timespec?")
def io_getevents(name: int, least: int, most: int, events: UserAddr, timeout: UserAddr) -> int:
    """io_getevents(2)."""
    found = _read_events(name, least, most, events, _deadline_of(timeout))
    if found == 0 and current_thread().is_interrupted():
        raise Errno(EINTR)
    return found


@syscall("io_pgetevents", status="Full", args="aio count count >io_event[most] <timespec? <sigmask_argument?")
def io_pgetevents(name: int, least: int, most: int, events: UserAddr, timeout: UserAddr, mask: UserAddr) -> int:
    """io_pgetevents(2)."""
    deadline_ns = _deadline_of(timeout)
    if mask != 0:
        address = user.read_i64(mask)
        size = user.read_i64(user.at(mask, 8))
        if address != 0:
            temporary_mask(UserAddr(address), size)
    found = _read_events(name, least, most, events, deadline_ns)
    if found == 0 and current_thread().is_interrupted():
        raise Errno(ERESTARTNOHAND)
    return found
