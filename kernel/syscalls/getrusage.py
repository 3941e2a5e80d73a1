"""Resource usage: getrusage(2), times(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.sched.scheduler import charge_running
from kernel.task.accounting import NS_PER_CLOCK_TICK, thread_usage, usage_by_and_by
from kernel.task.task import current
from kernel.task.usage import Usage
from kernel.task.words import store_i64
from kernel.time.clock import NS_PER_SECOND, NS_PER_US, monotonic_ns

USAGE_SIZE: Final = 144
_RUSAGE_SELF: Final = 0
_RUSAGE_CHILDREN: Final = -1
_RUSAGE_THREAD: Final = 1
_KIB_PER_PAGE: Final = 4
_BLOCK: Final = 512


def store_usage(out: Span[u8], usage: Usage) -> None:
    """struct rusage, 144 bytes, zeroed before."""
    store_i64(out, 0, usage.user_ns // NS_PER_SECOND)
    store_i64(out, 8, usage.user_ns % NS_PER_SECOND // NS_PER_US)
    store_i64(out, 16, usage.system_ns // NS_PER_SECOND)
    store_i64(out, 24, usage.system_ns % NS_PER_SECOND // NS_PER_US)
    store_i64(out, 32, usage.peak_pages * _KIB_PER_PAGE)
    store_i64(out, 64, usage.minor_faults)
    store_i64(out, 72, usage.major_faults)
    store_i64(out, 88, usage.disk_read_bytes // _BLOCK)
    store_i64(out, 96, usage.disk_written_bytes // _BLOCK)
    store_i64(out, 128, usage.voluntary_switches)
    store_i64(out, 136, usage.involuntary_switches)


@syscall("getrusage", status="Full", args="one:RUSAGE_SELF|RUSAGE_CHILDREN|RUSAGE_THREAD >rusage")
def getrusage(who: i32, address: UserAddr) -> int:
    """getrusage(2)."""
    task = current()
    charge_running()
    if who == _RUSAGE_SELF:
        usage = usage_by_and_by(task.process)
    elif who == _RUSAGE_CHILDREN:
        usage = task.process.family.waited
    elif who == _RUSAGE_THREAD:
        usage = thread_usage(task)
    else:
        raise Errno(EINVAL)
    storage = bytearray(USAGE_SIZE)
    store_usage(span_of(storage), usage)
    user.write_from(address, span_of(storage))
    return 0


@syscall("times", status="Full", args=">tms?")
def times(address: UserAddr) -> int:
    """times(2)."""
    charge_running()
    if address != 0:
        process = current().process
        mine = usage_by_and_by(process)
        storage = bytearray(32)
        out = span_of(storage)
        store_i64(out, 0, mine.user_ns // NS_PER_CLOCK_TICK)
        store_i64(out, 8, mine.system_ns // NS_PER_CLOCK_TICK)
        store_i64(out, 16, process.family.waited.user_ns // NS_PER_CLOCK_TICK)
        store_i64(out, 24, process.family.waited.system_ns // NS_PER_CLOCK_TICK)
        user.write_from(address, out)
    return monotonic_ns() // NS_PER_CLOCK_TICK
