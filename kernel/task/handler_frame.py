"""Entering a signal handler, and returning from it (sigaction(2), sigaltstack(2), sigreturn(2)).

The architecture defines the frame in user memory that carries the state.

Context: sleeps (user memory).
"""

from typing import Literal

from arch import TrapFrame
from arch.programs import NO_RESTORER, HandlerCall, SignalContext, pop_frame, push_frame
from kernel.lang import Array, bytes_of, noinline, u8
from kernel.lib import user
from kernel.lib.saturation import sum_of
from kernel.task.actions import SA_ONSTACK, SA_RESTORER, SA_SIGINFO, SignalAction
from kernel.task.blocking import set_blocked
from kernel.task.parts import SS_DISABLE
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo
from kernel.task.signal_stack import SS_AUTODISARM, is_on_stack, restore_stack, stack_flags
from kernel.task.task import Task


def call_handler(task: Task, frame: TrapFrame, action: SignalAction, info: SignalInfo, mask: int) -> None:
    """Let the program go on in a handler; `mask` is what is blocked again when it returns. Raises EFAULT, MemoryError.
    """
    sp = frame.stack_pointer
    user.check(sp, 0)
    call = HandlerCall(signo=info.signo, handler=action.handler)
    call.restorer = action.restorer if action.flags & SA_RESTORER != 0 else NO_RESTORER
    call.context.mask = mask
    call.context.stack_address = task.signals.stack.address
    call.context.stack_flags = stack_flags(task.signals.stack, sp)
    call.context.stack_size = task.signals.stack.size
    if task.signals.stack.flags & SS_DISABLE == 0:
        if is_on_stack(task.signals.stack, sp):
            call.stack_lowest = task.signals.stack.address
        elif action.flags & SA_ONSTACK != 0:
            call.stack_lowest = task.signals.stack.address
            call.stack_top = sum_of(task.signals.stack.address, task.signals.stack.size)
            user.check(call.stack_top, 0)
    call.uses_keys = task.space.keys is not None
    if action.flags & SA_SIGINFO != 0:
        _push_with_details(task, frame, call, info)
    else:
        push_frame(frame, task.registers, call, bytes_of(call)[:0])
    if task.signals.stack.flags & SS_AUTODISARM != 0:
        task.signals.stack.address = 0
        task.signals.stack.size = 0
        task.signals.stack.flags = SS_DISABLE


@noinline
def _push_with_details(task: Task, frame: TrapFrame, call: HandlerCall, info: SignalInfo) -> None:
    """Push the frame of a handler that wants more than the signal's number. Raises EFAULT, MemoryError."""
    details: Array[u8, Literal[128]] = Array()
    info.store(details.span())
    push_frame(frame, task.registers, call, details.span()[:SIGINFO_SIZE])


def return_from_handler(task: Task, frame: TrapFrame) -> None:
    """rt_sigreturn: restore registers, mask and alternate stack from the frame at the stack pointer. Raises EFAULT,
    MemoryError.
    """
    saved: SignalContext = pop_frame(frame, task.registers)
    set_blocked(task, saved.mask)
    restore_stack(task, frame.stack_pointer, saved.stack_address, saved.stack_flags, saved.stack_size)
