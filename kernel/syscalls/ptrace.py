"""ptrace(2): one thread controls and inspects another. Registers are in ptrace_registers.py."""

from typing import Final

from arch.programs import control_stopped, read_thread_area, write_thread_area
from kernel.doors.table import syscall
from kernel.lang import EINVAL, EIO, ESRCH, Errno, UserAddr, i32, span_of
from kernel.lib import user
from kernel.syscalls import ptrace_registers as registers
from kernel.syscalls.ptrace_memory import peek, poke
from kernel.syscalls.ptrace_records import (
    call_information,
    filter_metadata,
    peek_signals,
    rseq_configuration,
    set_info,
    user_dispatch,
    write_info,
)
from kernel.task.pids import find_task
from kernel.task.send import send_to_task
from kernel.task.siginfo import from_process
from kernel.task.signals import SI_USER, SIGKILL, SIGNAL_COUNT, UNBLOCKABLE
from kernel.task.task import Task, current
from kernel.task.trace_details import filter_program
from kernel.task.tracee import ALL_OPTIONS, CallWatch, Tracee
from kernel.task.tracer import attach, check_options, detach, find_tracee, interrupt_tracee, listen, resume, trace_me
from kernel.task.words import signed_32

_TRACEME: Final = 0
_PEEKTEXT: Final = 1
_PEEKDATA: Final = 2
_PEEKUSER: Final = 3
_POKETEXT: Final = 4
_POKEDATA: Final = 5
_POKEUSER: Final = 6
_CONT: Final = 7
_KILL: Final = 8
_SINGLESTEP: Final = 9
_GETREGS: Final = 12
_SETREGS: Final = 13
_GETFPREGS: Final = 14
_SETFPREGS: Final = 15
_ATTACH: Final = 16
_DETACH: Final = 17
_OLDSETOPTIONS: Final = 21
_SYSCALL: Final = 24
_GET_THREAD_AREA: Final = 25
_SET_THREAD_AREA: Final = 26
_ARCH_PRCTL: Final = 30
_SYSEMU: Final = 31
_SYSEMU_SINGLESTEP: Final = 32
_SINGLEBLOCK: Final = 33
_SETOPTIONS: Final = 0x4200
_GETEVENTMSG: Final = 0x4201
_GETSIGINFO: Final = 0x4202
_SETSIGINFO: Final = 0x4203
_GETREGSET: Final = 0x4204
_SETREGSET: Final = 0x4205
_SEIZE: Final = 0x4206
_INTERRUPT: Final = 0x4207
_LISTEN: Final = 0x4208
_PEEKSIGINFO: Final = 0x4209
_GETSIGMASK: Final = 0x420A
_SETSIGMASK: Final = 0x420B
_SECCOMP_GET_FILTER: Final = 0x420C
_SECCOMP_GET_METADATA: Final = 0x420D
_GET_SYSCALL_INFO: Final = 0x420E
_GET_RSEQ_CONFIGURATION: Final = 0x420F
_SET_SYSCALL_USER_DISPATCH_CONFIG: Final = 0x4210
_GET_SYSCALL_USER_DISPATCH_CONFIG: Final = 0x4211

_WORD: Final = 8


@syscall(
    "ptrace", status="Full", args="one:ptrace tid address address",
    notes="A step over an instruction that sets the trap flag ends with it cleared",
)  # fmt: skip
def ptrace(request: int, pid: i32, address: int, data: int) -> int:
    """ptrace(2)."""
    tracer = current()
    if request == _TRACEME:
        trace_me(tracer)
        return 0
    if request == _ATTACH or request == _SEIZE:
        _attach(tracer, pid, request == _SEIZE, address, data)
        return 0
    tracee = find_tracee(tracer, pid, request != _KILL and request != _INTERRUPT)
    if request == _KILL:
        send_to_task(tracee.task, from_process(SIGKILL, SI_USER, tracer.own_pid, tracer.own_uid))
        return 0
    if request == _INTERRUPT:
        interrupt_tracee(tracee)
        return 0
    if _resume(tracee, request, data):
        return 0
    return _look(tracer, tracee, request, address, data)


def _attach(tracer: Task, pid: int, is_seized: bool, address: int, data: int) -> None:
    task = find_task(tracer.pids.resolve(pid))
    if task is None:
        raise Errno(ESRCH)
    if is_seized:
        if address != 0 or data & ~ALL_OPTIONS != 0:
            raise Errno(EIO)
        check_options(tracer, data)
    attach(tracer, task, is_seized, data if is_seized else 0)


def _resume(tracee: Tracee, request: int, data: int) -> bool:
    """Whether the request resumes the tracee, with the signal `data`. Raises EIO for an invalid one."""
    calls = CallWatch.NOTHING
    steps = False
    if request == _SYSCALL:
        calls = CallWatch.STOPS
    elif request == _SYSEMU:
        calls = CallWatch.EMULATED
    elif request == _SYSEMU_SINGLESTEP:
        calls = CallWatch.EMULATED
        steps = True
    elif request == _SINGLESTEP or request == _SINGLEBLOCK:
        steps = True
    elif request != _CONT and request != _DETACH:
        return False
    if not 0 <= data <= SIGNAL_COUNT:
        raise Errno(EIO)
    if request == _DETACH:
        detach(tracee, data)
    else:
        resume(tracee, data, calls, steps)
    return True


def _look(tracer: Task, tracee: Tracee, request: int, address: int, data: int) -> int:
    """A request that leaves the tracee stopped."""
    if request == _PEEKTEXT or request == _PEEKDATA:
        user.write_i64(UserAddr(data), peek(tracee, address))
    elif request == _POKETEXT or request == _POKEDATA:
        poke(tracee, address, data)
    elif request == _PEEKUSER:
        user.write_i64(UserAddr(data), registers.peek_user(tracee.task, address))
    elif request == _POKEUSER:
        registers.poke_user(tracee.task, address, data)
    elif request == _GETREGS:
        registers.get_set(tracee.task, registers.GENERAL, UserAddr(data), registers.WHOLE)
    elif request == _SETREGS:
        registers.put_set(tracee.task, registers.GENERAL, UserAddr(data), registers.WHOLE)
    elif request == _GETFPREGS:
        registers.get_set(tracee.task, registers.FLOATING, UserAddr(data), registers.WHOLE)
    elif request == _SETFPREGS:
        registers.put_set(tracee.task, registers.FLOATING, UserAddr(data), registers.WHOLE)
    elif request == _GETREGSET or request == _SETREGSET:
        registers.transfer_set(tracee.task, address, UserAddr(data), request == _GETREGSET)
    elif request == _SETOPTIONS or request == _OLDSETOPTIONS:
        check_options(tracer, data)
        tracee.options = data
    elif request == _GETEVENTMSG:
        user.write_i64(UserAddr(data), tracee.message)
    elif request == _LISTEN:
        listen(tracee)
    elif request == _ARCH_PRCTL:
        control_stopped(tracee.task.registers, data, address)
    elif request == _GET_THREAD_AREA or request == _SET_THREAD_AREA:
        _thread_area(tracee.task, signed_32(address), UserAddr(data), is_read=request == _GET_THREAD_AREA)
    else:
        return _look_at_signals(tracer, tracee, request, address, data)
    return 0


def _thread_area(task: Task, number: int, address: UserAddr, *, is_read: bool) -> None:
    """A segment of the thread's own. Raises EIO, EINVAL, EFAULT, MemoryError."""
    if number < 0:
        raise Errno(EIO)
    if is_read:
        read_thread_area(task.registers, number, address)
    else:
        write_thread_area(task.registers, number, address)


def _look_at_signals(tracer: Task, tracee: Tracee, request: int, address: int, data: int) -> int:
    """… and asks for signals, or for what the kernel keeps of the task."""
    task = tracee.task
    if request == _GETSIGINFO:
        info = tracee.info
        if info is None:
            raise Errno(EINVAL)
        write_info(data, info)
    elif request == _SETSIGINFO:
        set_info(tracee, data)
    elif request == _PEEKSIGINFO:
        return peek_signals(task, address, data)
    elif request == _GETSIGMASK or request == _SETSIGMASK:
        if address != _WORD:
            raise Errno(EINVAL)
        if request == _GETSIGMASK:
            is_saved = task.signals.restores_blocked
            user.write_i64(UserAddr(data), task.signals.saved_blocked if is_saved else task.signals.blocked)
        else:
            task.signals.blocked = user.read_i64(UserAddr(data)) & ~UNBLOCKABLE
            task.signals.restores_blocked = False
    elif request == _GET_SYSCALL_INFO:
        return call_information(tracee, address, data)
    elif request == _GET_RSEQ_CONFIGURATION:
        return rseq_configuration(task, address, data)
    elif request == _SECCOMP_GET_FILTER:
        program = filter_program(tracer, task, address)
        if data != 0:
            user.write_from(UserAddr(data), span_of(program))
        return len(program) >> 3
    elif request == _SECCOMP_GET_METADATA:
        return filter_metadata(tracer, task, address, data)
    elif request in (_SET_SYSCALL_USER_DISPATCH_CONFIG, _GET_SYSCALL_USER_DISPATCH_CONFIG):
        user_dispatch(task, address, data, request == _SET_SYSCALL_USER_DISPATCH_CONFIG)
    else:
        raise Errno(EIO)
    return 0
