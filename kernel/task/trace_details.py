"""What a tracer reads of a stopped task besides registers and memory: its system call, its signals, its filters
(ptrace(2)).

Context: may raise MemoryError; sleeps only where said.
"""

from typing import Final

from arch import AUDIT_ARCHITECTURE, copied_frame
from kernel.lang import EACCES, EINVAL, ENOENT, Errno, Span, u8
from kernel.lib.bpf import INSTRUCTION_SIZE
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.task.pending import PendingSignals
from kernel.task.seccomp import FILTER, FLAG_LOG
from kernel.task.seccomp_filter import CallFilter
from kernel.task.siginfo import SignalInfo, anonymous, from_kernel
from kernel.task.signals import SIGNAL_COUNT, SIGTRAP, contains
from kernel.task.task import Task
from kernel.task.tracee import EVENT_SECCOMP, Tracee
from kernel.task.words import store_i64

# System calls ---------------------------------------------------------------------------------------------------------

CALL_INFORMATION_SIZE: Final = 88  # struct ptrace_syscall_info
_HEADER_SIZE: Final = 24
_ENTRY_SIZE: Final = 80
_EXIT_SIZE: Final = 33
_SECCOMP_SIZE: Final = 84
_BEFORE: Final = 1
_AFTER: Final = 2
_AT_FILTER: Final = 3
_CALL_STOP: Final = SIGTRAP | 0x80
_SECCOMP_STOP: Final = SIGTRAP | EVENT_SECCOMP << 8
_HIGHEST_ERRNO: Final = 4095


def store_call_information(tracee: Tracee, out: Span[u8]) -> int:
    """struct ptrace_syscall_info, into zeroed bytes; returns how many of them are meaningful at this stop."""
    frame = copied_frame(tracee.task.stack_top)
    out.store_u32(4, AUDIT_ARCHITECTURE)
    store_i64(out, 8, frame.instruction_pointer)
    store_i64(out, 16, frame.stack_pointer)
    info = tracee.info
    code = 0 if info is None else info.code
    if code == _CALL_STOP and tracee.message == _AFTER:
        out[0] = _AFTER
        result = frame.result
        store_i64(out, 24, result)
        out[32] = 1 if -_HIGHEST_ERRNO <= result < 0 else 0
        return _EXIT_SIZE
    if code != _SECCOMP_STOP and (code != _CALL_STOP or tracee.message != _BEFORE):
        return _HEADER_SIZE
    store_i64(out, 24, frame.original_number)
    store_i64(out, 32, frame.first)
    store_i64(out, 40, frame.second)
    store_i64(out, 48, frame.third)
    store_i64(out, 56, frame.fourth)
    store_i64(out, 64, frame.fifth)
    store_i64(out, 72, frame.sixth)
    if code == _CALL_STOP:
        out[0] = _BEFORE
        return _ENTRY_SIZE
    out[0] = _AT_FILTER
    out.store_u32(80, tracee.message)
    return _SECCOMP_SIZE


# Pending signals ------------------------------------------------------------------------------------------------------


def pending_signal(pending: PendingSignals, index: int) -> SignalInfo | None:
    """The pending signal at an index: first those with information, in order of arrival."""
    if index < len(pending.queue):
        return pending.queue[index]
    index -= len(pending.queue)
    for signo in range(1, SIGNAL_COUNT + 1):
        if not contains(pending.mask, signo) or _is_queued(pending, signo):
            continue
        if index == 0:
            return from_kernel(signo) if contains(pending.from_kernel, signo) else anonymous(signo)
        index -= 1
    return None


def _is_queued(pending: PendingSignals, signo: int) -> bool:
    for info in pending.queue:
        if info.signo == signo:
            return True
    return False


# Filters of system calls ----------------------------------------------------------------------------------------------


def check_filter_reader(reader: Task) -> None:
    """Check that a reader may see filters; EACCES if not."""
    if not reader.credentials.capable(CAP_SYS_ADMIN) or reader.calls.seccomp_mode != 0:
        raise Errno(EACCES)


def _filter_at(reader: Task, task: Task, index: int) -> CallFilter:
    """The filter at an index, 0 for the first one added. Raises EACCES, EINVAL, ENOENT."""
    check_filter_reader(reader)
    if task.calls.seccomp_mode != FILTER:
        raise Errno(EINVAL)
    candidate = task.call_filter
    while candidate is not None and candidate.count - 1 != index:
        candidate = candidate.previous
    if candidate is None:
        raise Errno(ENOENT)
    return candidate


def filter_program(reader: Task, task: Task, index: int) -> bytearray:
    """A filter's instructions, as struct sock_filter. Raises EACCES, EINVAL, ENOENT."""
    program = _filter_at(reader, task, index).program
    out = bytearray(len(program) * INSTRUCTION_SIZE)
    for place in range(len(program)):
        offset = place * INSTRUCTION_SIZE
        code = program.code(place)
        out[offset] = code & 0xFF
        out[offset + 1] = code >> 8 & 0xFF
        out[offset + 2] = program.if_true(place) & 0xFF
        out[offset + 3] = program.if_false(place) & 0xFF
        constant = program.constant(place)
        for byte in range(4):
            out[offset + 4 + byte] = constant >> byte * 8 & 0xFF
    return out


def filter_flags(reader: Task, task: Task, index: int) -> int:
    """The flags with which a filter was added: SECCOMP_FILTER_FLAG_LOG or 0. Raises EACCES, EINVAL, ENOENT."""
    return FLAG_LOG if _filter_at(reader, task, index).is_logged else 0
