"""Small switches of a process or thread: prctl(2)."""

from typing import Final, Literal

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Array, Errno, UserAddr, i32, span_of, u8, unlocked
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.mm.merging import take_all, take_none, takes_all
from kernel.mm.space import DENY_WRITE_EXECUTE, THIS_SPACE_ONLY
from kernel.perf.file import command_own
from kernel.sched.processor import RUNNING
from kernel.syscalls.capabilities import control_capabilities, is_about_capabilities
from kernel.syscalls.pr_set_mm import set_mm, set_vma
from kernel.syscalls.seccomp import set_mode
from kernel.task.diversion import set_dispatch
from kernel.task.observer import TASKS
from kernel.task.signals import SIGNAL_COUNT
from kernel.task.speculation import choose_speculation, speculation_state
from kernel.task.task import Task, current
from kernel.task.words import signed_32
from kernel.task.yama import name_tracer

_PR_SET_PDEATHSIG: Final = 1
_PR_GET_PDEATHSIG: Final = 2
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_GET_TIMING: Final = 13
_PR_GET_SECCOMP: Final = 21
_PR_SET_SECCOMP: Final = 22
_PR_GET_TSC: Final = 25
_PR_SET_TSC: Final = 26
_PR_TSC_ENABLE: Final = 1
_PR_TSC_SIGSEGV: Final = 2
_PR_SET_MM: Final = 35
_PR_SET_VMA: Final = 0x5356_4D41
_PR_SET_TIMING: Final = 14
_PR_TASK_PERF_EVENTS_DISABLE: Final = 31
_PR_TASK_PERF_EVENTS_ENABLE: Final = 32
_PR_MCE_KILL: Final = 33
_PR_MCE_KILL_GET: Final = 34
_PR_SET_IO_FLUSHER: Final = 57
_PR_SET_SYSCALL_USER_DISPATCH: Final = 59
_PR_SET_PTRACER: Final = 0x5961_6D61
_PR_SET_MEMORY_MERGE: Final = 67
_PR_GET_MEMORY_MERGE: Final = 68
_PR_SET_MDWE: Final = 65
_PR_GET_MDWE: Final = 66
_PR_GET_AUXV: Final = 0x4155_5856
_PR_MCE_KILL_DEFAULT: Final = 2
_PR_GET_IO_FLUSHER: Final = 58
_PR_SET_NAME: Final = 15
_PR_GET_NAME: Final = 16
_PR_SET_TIMERSLACK: Final = 29
_PR_GET_TIMERSLACK: Final = 30
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_GET_NO_NEW_PRIVS: Final = 39
_PR_GET_TID_ADDRESS: Final = 40
_PR_GET_SPECULATION_CTRL: Final = 52
_PR_SET_SPECULATION_CTRL: Final = 53
_PR_SET_THP_DISABLE: Final = 41
_PR_GET_THP_DISABLE: Final = 42

_NAME_SIZE: Final = 16


@syscall(
    "prctl", status="Full", args="one:prctl any any any any",
    notes="No mitigation is switched: as on a processor that has no switch",
)  # fmt: skip
def prctl(option: i32, second: UserAddr, third: int, fourth: int, fifth: int) -> int:
    """prctl(2)."""
    task = current()
    if option == _PR_SET_NAME or option == _PR_GET_NAME:
        return _name(task, option, second)
    if is_about_capabilities(option):
        return control_capabilities(task, option, second, third, fourth, fifth)
    if option == _PR_SET_PDEATHSIG:
        if second < 0 or second > SIGNAL_COUNT:
            raise Errno(EINVAL)
        task.process.settings.death_signal = second
        return 0
    if option == _PR_GET_TIMERSLACK:
        return task.process.settings.timer_slack_ns
    if option == _PR_SET_TIMERSLACK:
        task.process.settings.timer_slack_ns = second if second != 0 else task.process.settings.default_slack_ns
        return 0
    if option == _PR_SET_DUMPABLE:
        if second != 0 and second != 1:
            raise Errno(EINVAL)
        task.process.program.dumpable = second
        return 0
    if option == _PR_SET_CHILD_SUBREAPER:
        task.process.settings.is_subreaper = second != 0
        return 0
    if option == _PR_SET_NO_NEW_PRIVS:
        if second != 1 or third != 0 or fourth != 0 or fifth != 0:
            raise Errno(EINVAL)
        task.settings.no_new_privileges = True
        return 0
    if option == _PR_SET_SECCOMP:
        return set_mode(task, second, third)
    if option == _PR_SET_PTRACER:
        name_tracer(task, signed_32(second))
        return 0
    if option == _PR_SET_SYSCALL_USER_DISPATCH:
        set_dispatch(task, second, third, fourth, fifth)
        return 0
    if option == _PR_SET_TSC:
        if second != _PR_TSC_ENABLE and second != _PR_TSC_SIGSEGV:
            raise Errno(EINVAL)
        task.registers.forbid_counter(second == _PR_TSC_SIGSEGV)
        return 0
    if option == _PR_SET_SPECULATION_CTRL:
        if fourth != 0 or fifth != 0:
            raise Errno(EINVAL)
        choose_speculation(second, third)
        return 0
    if option == _PR_SET_VMA:
        set_vma(task, second, third, fourth, UserAddr(fifth))
        return 0
    if option == _PR_SET_MM:
        set_mm(task, second, UserAddr(third), fourth, fifth)
        return 0
    if option == _PR_TASK_PERF_EVENTS_DISABLE or option == _PR_TASK_PERF_EVENTS_ENABLE:
        command_own(task, is_on=option == _PR_TASK_PERF_EVENTS_ENABLE)
        return 0
    if option == _PR_SET_TIMING:
        if second != 0:
            raise Errno(EINVAL)  # other than by sampling
        return 0
    if option == _PR_GET_AUXV:
        if fourth != 0 or fifth != 0:
            raise Errno(EINVAL)
        vector = task.space.auxiliary_vector
        user.write_bytes(second, vector[: min(max(third, 0), len(vector))])
        return len(vector)
    if option == _PR_SET_IO_FLUSHER or option == _PR_GET_IO_FLUSHER:
        if not task.credentials.capable(CAP_SYS_RESOURCE):
            raise Errno(EPERM)
    if option in (_PR_SET_THP_DISABLE, _PR_MCE_KILL, _PR_SET_IO_FLUSHER, _PR_SET_MDWE, _PR_SET_MEMORY_MERGE):
        if fourth != 0 or fifth != 0 or (third != 0 and option != _PR_MCE_KILL):
            raise Errno(EINVAL)
        _set(task, option, second, third)
        return 0
    return _read(task, option, second, third, fourth, fifth)


def _set(task: Task, option: int, second: int, third: int) -> None:
    """Options whose further arguments must be zero."""
    if option == _PR_SET_THP_DISABLE:
        task.space.settings.refuses_huge_pages = second != 0
    elif option == _PR_SET_MEMORY_MERGE:
        if second != 0:
            take_all(task.space)
        else:
            take_none(task.space)
    elif option == _PR_MCE_KILL:
        if second == 0 and third == 0:
            task.settings.memory_failure_policy = _PR_MCE_KILL_DEFAULT
        elif second == 1 and 0 <= third <= _PR_MCE_KILL_DEFAULT:
            task.settings.memory_failure_policy = third
        else:
            raise Errno(EINVAL)
    elif option == _PR_SET_IO_FLUSHER:
        if second != 0 and second != 1:
            raise Errno(EINVAL)
        task.settings.flushes_io = second == 1
    else:
        if second not in (0, DENY_WRITE_EXECUTE, DENY_WRITE_EXECUTE | THIS_SPACE_ONLY):
            raise Errno(EINVAL)
        space = task.space
        if space.settings.write_execute_rule != 0 and space.settings.write_execute_rule != second:
            raise Errno(EPERM)
        space.settings.write_execute_rule = second


def _read(task: Task, option: int, second: UserAddr, third: int, fourth: int, fifth: int) -> int:
    """Options that only report."""
    process = task.process
    if option == _PR_GET_PDEATHSIG:
        user.write_i32(second, process.settings.death_signal)
        return 0
    if option == _PR_GET_DUMPABLE:
        return process.program.dumpable
    if option == _PR_GET_TIMING:
        return 0
    if option == _PR_GET_SECCOMP:
        return task.calls.seccomp_mode
    if option == _PR_GET_TSC:
        user.write_i32(second, _PR_TSC_SIGSEGV if task.registers.lacks_counter else _PR_TSC_ENABLE)
        return 0
    if option == _PR_MCE_KILL_GET or option == _PR_GET_IO_FLUSHER:
        if second != 0 or third != 0 or fourth != 0 or fifth != 0:
            raise Errno(EINVAL)
        if option == _PR_MCE_KILL_GET:
            return task.settings.memory_failure_policy
        return 1 if task.settings.flushes_io else 0
    if option == _PR_GET_CHILD_SUBREAPER:
        user.write_i32(second, 1 if process.settings.is_subreaper else 0)
        return 0
    if option == _PR_GET_TID_ADDRESS:
        user.check(second, 8)
        user.write_i64(second, task.library.clear_tid_address)
        return 0
    if option == _PR_GET_SPECULATION_CTRL:
        if third != 0 or fourth != 0 or fifth != 0:
            raise Errno(EINVAL)
        return speculation_state(second)
    if option in (_PR_GET_NO_NEW_PRIVS, _PR_GET_THP_DISABLE, _PR_GET_MDWE, _PR_GET_MEMORY_MERGE):
        if second != 0 or third != 0 or fourth != 0 or fifth != 0:
            raise Errno(EINVAL)
        if option == _PR_GET_MDWE:
            return task.space.settings.write_execute_rule
        if option == _PR_GET_MEMORY_MERGE:
            return 1 if takes_all(task.space) else 0
        if option == _PR_GET_THP_DISABLE:
            return 1 if task.space.settings.refuses_huge_pages else 0
        return 1 if task.settings.no_new_privileges else 0
    raise Errno(EINVAL)


def _name(task: Task, option: int, address: UserAddr) -> int:
    """The thread's name, 16 bytes with its NUL."""
    if option == _PR_GET_NAME:
        user.write_bytes(address, task.name + bytes(_NAME_SIZE - len(task.name)))
        return 0
    task.name = user.read_string_start(address, _NAME_SIZE - 1)
    if RUNNING.is_observed:
        TASKS.observer.renamed(task)
    return 0


@quick("prctl")
@unlocked
def _quick_prctl(option: i32, address: UserAddr) -> int:
    if option != _PR_GET_NAME:
        return TAKE_LOCK
    name = current().name
    storage: Array[u8, Literal[16]] = Array()
    storage.span()[0 : len(name)].copy_from(span_of(name))
    user.write_small(address, storage.span())
    return 0
