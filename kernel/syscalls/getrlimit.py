"""Resource limits and use (getrlimit(2), prlimit(2), getrusage(2), times(2))."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.descriptors import HIGHEST_LIMIT
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, Span, UserAddr, i32, span_of, u8, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.sched.scheduler import charge_running
from kernel.task import limits
from kernel.task.accounting import NS_PER_CLOCK_TICK, process_usage, thread_usage
from kernel.task.interval_timers import follow_processor_limit
from kernel.task.limits import RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_STACK
from kernel.task.pids import find_process
from kernel.task.process import Process, Usage
from kernel.task.task import current
from kernel.task.words import store_i64
from kernel.time.clock import NS_PER_SECOND, NS_PER_US, monotonic_ns

USAGE_SIZE: Final = 144
_RUSAGE_SELF: Final = 0
_RUSAGE_CHILDREN: Final = -1
_RUSAGE_THREAD: Final = 1
_KIB_PER_PAGE: Final = 4


def store_usage(out: Span[u8], usage: Usage) -> None:
    """struct rusage, 144 bytes, zeroed before."""
    store_i64(out, 0, usage.user_ns // NS_PER_SECOND)
    store_i64(out, 8, usage.user_ns % NS_PER_SECOND // NS_PER_US)
    store_i64(out, 16, usage.system_ns // NS_PER_SECOND)
    store_i64(out, 24, usage.system_ns % NS_PER_SECOND // NS_PER_US)
    store_i64(out, 32, usage.peak_pages * _KIB_PER_PAGE)
    store_i64(out, 64, usage.minor_faults)
    store_i64(out, 72, usage.major_faults)
    store_i64(out, 128, usage.voluntary_switches)
    store_i64(out, 136, usage.involuntary_switches)


@syscall("getrusage", status="Full", args="one:RUSAGE_SELF|RUSAGE_CHILDREN|RUSAGE_THREAD >rusage")
def getrusage(who: i32, address: UserAddr) -> int:
    """getrusage(2)."""
    task = current()
    charge_running()
    if who == _RUSAGE_SELF:
        usage = process_usage(task.process)
    elif who == _RUSAGE_CHILDREN:
        usage = task.process.waited
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
        mine = process_usage(process)
        storage = bytearray(32)
        out = span_of(storage)
        store_i64(out, 0, mine.user_ns // NS_PER_CLOCK_TICK)
        store_i64(out, 8, mine.system_ns // NS_PER_CLOCK_TICK)
        store_i64(out, 16, process.waited.user_ns // NS_PER_CLOCK_TICK)
        store_i64(out, 24, process.waited.system_ns // NS_PER_CLOCK_TICK)
        user.write_from(address, out)
    return monotonic_ns() // NS_PER_CLOCK_TICK


@syscall("getrlimit", status="Full", args="one:rlimit >rlimit")
def getrlimit(resource: u32, address: UserAddr) -> int:
    """getrlimit(2)."""
    limits.check_resource(resource)
    _write(address, current().process, resource)
    return 0


@syscall("setrlimit", status="Full", args="one:rlimit <rlimit")
def setrlimit(resource: u32, address: UserAddr) -> int:
    """setrlimit(2)."""
    user.check(address, 16)
    soft = limits.from_user(user.read_i64(address))
    hard = limits.from_user(user.read_i64(user.at(address, 8)))
    _set(current().process, resource, soft, hard)
    return 0


@syscall("prlimit64", status="Full", args="pid one:rlimit <rlimit? >rlimit?")
def prlimit64(pid: i32, resource: u32, new: UserAddr, old: UserAddr) -> int:
    """prlimit(2)."""
    soft = 0
    hard = 0
    limits.check_resource(resource)
    if new != 0:
        user.check(new, 16)
        soft = limits.from_user(user.read_i64(new))
        hard = limits.from_user(user.read_i64(user.at(new, 8)))
    task = current()
    process = task.process if pid == 0 else find_process(task.pids.resolve(pid))
    if process is None or process.leader is None:
        raise Errno(ESRCH)
    if process is not task.process and not task.credentials.capable(CAP_SYS_RESOURCE):
        mine = task.credentials
        theirs = process.leader.credentials
        if (
            mine.uid != theirs.uid
            or mine.uid != theirs.euid
            or mine.uid != theirs.suid
            or mine.gid != theirs.gid
            or mine.gid != theirs.egid
            or mine.gid != theirs.sgid
        ):
            raise Errno(EPERM)
    before_soft = process.limits.soft[resource]
    before_hard = process.limits.hard[resource]
    if new != 0:
        _set(process, resource, soft, hard)
    if old != 0:
        user.check(old, 16)
        user.write_i64(old, limits.to_user(before_soft))
        user.write_i64(user.at(old, 8), limits.to_user(before_hard))
    return 0


def _write(address: UserAddr, process: Process, resource: int) -> None:
    user.check(address, 16)
    user.write_i64(address, limits.to_user(process.limits.soft[resource]))
    user.write_i64(user.at(address, 8), limits.to_user(process.limits.hard[resource]))


def _set(process: Process, resource: int, soft: int, hard: int) -> None:
    limits.check_resource(resource)
    if soft > hard:
        raise Errno(EINVAL)
    capable = current().credentials.capable(CAP_SYS_RESOURCE)
    if resource == RLIMIT_NOFILE and hard > HIGHEST_LIMIT.value:
        raise Errno(EPERM)
    if hard > process.limits.hard[resource] and not capable:
        raise Errno(EPERM)
    if resource == RLIMIT_CPU:
        soft = max(soft, 1)  # 0 means a second, as setrlimit has it
    process.limits.set(resource, soft, hard)
    if resource == RLIMIT_CPU:
        follow_processor_limit(process)
    _apply(process, resource, soft)


def _apply(process: Process, resource: int, soft: int) -> None:
    """Tell those who keep a copy of a limit."""
    for tid in process.threads.keys():
        task = process.threads[tid]
        memory = task.memory
        files = task.file_table
        if resource == RLIMIT_NOFILE and files is not None:
            files.limit = soft
        if memory is None:
            continue
        if resource == RLIMIT_AS:
            memory.address_limit = soft
        elif resource == RLIMIT_DATA:
            memory.data_limit = soft
        elif resource == RLIMIT_STACK:
            memory.stack_limit = soft
