"""The kernel's own records of a tracee that ptrace(2) shows: its signals, its system call, restartable sequences,
filters, user dispatch.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.siginfo_arguments import read_signal_info
from kernel.task.diversion import ON, set_dispatch
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo
from kernel.task.task import Task, current
from kernel.task.trace_details import (
    CALL_INFORMATION_SIZE,
    check_filter_reader,
    filter_flags,
    pending_signal,
    store_call_information,
)
from kernel.task.tracee import Tracee
from kernel.task.words import load_i32, load_i64, store_i64

_WORD: Final = 8
_PEEK_SHARED: Final = 1
_PEEK_COST: Final = 500  # instructions for a signal, for `pace`
_PEEK_ARGUMENTS_SIZE: Final = 16
_RSEQ_CONFIGURATION_SIZE: Final = 24
_METADATA_SIZE: Final = 16
_DISPATCH_SIZE: Final = 32


def write_info(address: int, info: SignalInfo) -> None:
    storage = bytearray(SIGINFO_SIZE)
    info.store(span_of(storage))
    user.write_from(UserAddr(address), span_of(storage))


def set_info(tracee: Tracee, address: int) -> None:
    info = read_signal_info(UserAddr(address), 0)
    if tracee.info is None:
        raise Errno(EINVAL)
    tracee.info = info


def peek_signals(task: Task, address: int, data: int) -> int:
    """PTRACE_PEEKSIGINFO: returns how many of the requested ones there are."""
    storage = bytearray(_PEEK_ARGUMENTS_SIZE)
    user.read_into(span_of(storage), UserAddr(address))
    first = load_i64(span_of(storage), 0)
    flags = span_of(storage).load_u32(8)
    wanted = load_i32(span_of(storage), 12)
    if flags & ~_PEEK_SHARED != 0 or wanted < 0:
        raise Errno(EINVAL)
    pending = task.process.pending if flags & _PEEK_SHARED != 0 else task.pending
    done = 0
    while done < wanted and 0 <= first < 1 << 32:
        info = pending_signal(pending, first + done)
        if info is None:
            break
        try:
            write_info(data, info)
        except Errno:
            if done == 0:
                raise
            break
        data += SIGINFO_SIZE  # fits: it was written
        done += 1
        pace(_PEEK_COST)
        if current().interrupted:
            break
    return done


def call_information(tracee: Tracee, size: int, address: int) -> int:
    """PTRACE_GET_SYSCALL_INFO: writes as much as there is room for; returns the full size."""
    storage = bytearray(CALL_INFORMATION_SIZE)
    known = store_call_information(tracee, span_of(storage))
    count = known if size < 0 else min(known, size)
    user.write_from(UserAddr(address), span_of(storage)[0:count])
    return known


def rseq_configuration(task: Task, size: int, address: int) -> int:
    storage = bytearray(_RSEQ_CONFIGURATION_SIZE)
    out = span_of(storage)
    store_i64(out, 0, task.library.rseq.address)
    out.store_u32(8, task.library.rseq.length)
    out.store_u32(12, task.library.rseq.signature)
    count = _RSEQ_CONFIGURATION_SIZE if size < 0 else min(size, _RSEQ_CONFIGURATION_SIZE)
    user.write_from(UserAddr(address), out[0:count])
    return _RSEQ_CONFIGURATION_SIZE


def filter_metadata(tracer: Task, task: Task, size: int, address: int) -> int:
    """PTRACE_SECCOMP_GET_METADATA: the flags of the filter that the structure names."""
    check_filter_reader(tracer)
    if 0 <= size < _WORD:
        raise Errno(EINVAL)
    index = user.read_i64(UserAddr(address))
    storage = bytearray(_METADATA_SIZE)
    out = span_of(storage)
    store_i64(out, 0, index)
    store_i64(out, 8, filter_flags(tracer, task, index))
    count = _METADATA_SIZE if size < 0 else min(size, _METADATA_SIZE)
    user.write_from(UserAddr(address), out[0:count])
    return count


def user_dispatch(task: Task, size: int, address: int, sets: bool) -> None:
    """Read or set the words of struct ptrace_sud_config: mode, selector, start and size."""
    if size != _DISPATCH_SIZE:
        raise Errno(EINVAL)
    storage = bytearray(_DISPATCH_SIZE)
    words = span_of(storage)
    if sets:
        user.read_into(words, UserAddr(address))
        set_dispatch(task, load_i64(words, 0), load_i64(words, 16), load_i64(words, 24), load_i64(words, 8))
        return
    dispatch = task.dispatch
    if dispatch is not None:
        store_i64(words, 0, ON)
        store_i64(words, 8, dispatch.selector)
        store_i64(words, 16, dispatch.start)
        store_i64(words, 24, dispatch.size)
    user.write_from(UserAddr(address), words)
