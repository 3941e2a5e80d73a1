"""Resource limits: getrlimit(2), prlimit(2)."""

from kernel.doors.table import syscall
from kernel.fs.descriptors import HIGHEST_LIMIT
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.syscalls.pid_arguments import process_at
from kernel.task import limits
from kernel.task.acting import real_credentials
from kernel.task.interval_timers import follow_processor_limit
from kernel.task.limits import RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_STACK
from kernel.task.process import Process
from kernel.task.task import current


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
    if new != 0:
        user.check(new, 16)
        soft = limits.from_user(user.read_i64(new))
        hard = limits.from_user(user.read_i64(user.at(new, 8)))
    task = current()
    process = process_at(pid)
    if process.leader is None:
        raise Errno(ESRCH)
    if process is not task.process:
        mine = task.credentials
        theirs = real_credentials(process.leader)
        if not theirs.owns_all(mine.uid, mine.gid) and not mine.capable_in(theirs.user_namespace, CAP_SYS_RESOURCE):
            raise Errno(EPERM)
    limits.check_resource(resource)
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
        soft = max(soft, 1)  # 0 means a second, as in setrlimit
    before_soft = process.limits.soft[resource]
    before_hard = process.limits.hard[resource]
    process.limits.set(resource, soft, hard)
    if resource == RLIMIT_CPU:
        try:
            follow_processor_limit(process)
        except MemoryError:
            process.limits.set(resource, before_soft, before_hard)
            raise
    _apply(process, resource, soft)


def _apply(process: Process, resource: int, soft: int) -> None:
    """Notify code that keeps a copy of a limit."""
    for task in process.threads.values():
        memory = task.memory
        files = task.file_table
        if resource == RLIMIT_NOFILE and files is not None:
            files.limit = soft
        if memory is None:
            continue
        if resource == RLIMIT_AS:
            memory.limits.address = soft
        elif resource == RLIMIT_DATA:
            memory.limits.data = soft
        elif resource == RLIMIT_STACK:
            memory.limits.stack = soft
