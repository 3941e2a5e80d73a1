"""What happens when the kernel has a bug: a Python traceback on the console, and the end of the thread or of the
machine.

Compiled checks trap with the instruction `ud1`, whose operand holds the kind of bug (docs/compiler-abi.md).
`kernel_fault` describes it and returns if the kernel may go on without the thread ("oops"); otherwise the machine
stops: it restarts after `panic=` seconds, at once if that is negative, and stays halted if it is 0.

Context: any, with the heap in any state: nothing is allocated.
Safety: a message's text is read in place.
"""

from collections.abc import Callable
from typing import Final

from arch import (
    TrapFrame,
    caller_frame_pointer,
    fault_address,
    fault_name,
    frameless_caller,
    is_page_fault,
    read_counter,
    stop,
    stop_others,
    trap_kind,
)
from kernel.lang import Span, export, final, u8
from kernel.lang.unsafe import address_of, span_at
from kernel.lib.traceback import TextSink, write_address, write_number, write_text, write_traceback

_STACK_REACH: Final = 65536  # how far up a frame chain is followed: the size of the largest kernel stack

# By kind; docs/compiler-abi.md. compiler/tracebacks.py has the same for programs on the host.
_TRAPS: Final[list[bytes]] = [
    b"Trap",
    b"OverflowError: integer overflow",
    b"IndexError: index out of range",
    b"TypeError: the value is None",
    b"ZeroDivisionError: integer division or modulo by zero",
    b"AssertionError",
    b"KeyError: no such key",
    b"MatchError: no case matches",
    b"OverflowError: value out of range of its storage type",
    b"ValueError: shift count out of range",
    b"Panic",
    b"RuntimeError: code that cannot be reached was reached",
    b"ValueError: not a member of the enum",
    b"RuntimeError: container changed during iteration",
    b"RuntimeError: uncaught exception at an exported function",
    b"RecursionError: stack overflow",
    b"TypeError: the value is no longer of the class that was tested",
]


def no_restart() -> None:
    """Before the drivers are started, nothing can restart the machine."""


@final
class Panic(TextSink):
    """What the boot code sets up, and what is being reported."""

    def __init__(self) -> None:
        self.console: Callable[[Span[u8]], None] | None = None
        self.restart: Callable[[], None] = no_restart
        self.timeout_seconds: int = 0
        self.counter_hz: int = 0
        self.message: str | None = None
        self.reporting: bool = False
        self.in_interrupt: bool = False  # an interrupt handler runs: there is no thread to blame

    def write(self, text: Span[u8]) -> None:
        console = self.console
        if console is not None:
            console(text)


PANIC: Final = Panic()


@export("krait_panic_message")
def panic_message(message: str) -> None:
    """Called before the trap of `panic(…)` and of `assert` with a message."""
    PANIC.message = message


def kernel_fault(frame: TrapFrame, survivable: bool) -> None:
    """An exception in kernel code. Returns only if `survivable`: the caller then ends the running thread."""
    if PANIC.reporting:
        stop()  # a bug in the reporting
    PANIC.reporting = True
    if not survivable:
        stop_others()
    write_text(PANIC, b"\r\nKernel bug\r\n" if survivable else b"\r\nKernel panic\r\n")
    low = frame.stack_pointer
    high = low + _STACK_REACH if low < -_STACK_REACH else 0
    caller = frameless_caller(frame)
    write_traceback(PANIC, frame.instruction_pointer, caller, caller_frame_pointer(frame), low, high)
    _write_cause(frame)
    PANIC.message = None
    PANIC.reporting = False
    if not survivable:
        end_machine()


def report_thread(tid: int, name: bytes) -> None:
    """Report which thread ran into a bug that the kernel survives. After `kernel_fault`."""
    write_text(PANIC, b"In thread ")
    write_number(PANIC, tid)
    write_text(PANIC, b" (")
    write_text(PANIC, name)
    write_text(PANIC, b")\r\n")


def _write_cause(frame: TrapFrame) -> None:
    kind = trap_kind(frame)
    message = PANIC.message
    if 0 < kind < len(_TRAPS):
        write_text(PANIC, _TRAPS[kind])
        if message is not None:
            write_text(PANIC, b": ")
            # A str's UTF-8 lies where docs/compiler-abi.md says.
            PANIC.write(span_at(address_of(message) + 16, len(message)))
    else:
        write_text(PANIC, fault_name(frame))
        write_text(PANIC, b", error code ")
        write_number(PANIC, frame.error_code)
        if is_page_fault(frame):
            write_text(PANIC, b", address ")
            write_address(PANIC, fault_address())
        write_text(PANIC, b", at ")
        write_address(PANIC, frame.instruction_pointer)
    write_text(PANIC, b"\r\n")


def end_with_message(message: bytes, code: int) -> None:
    """The machine can't continue, although the kernel is not at fault. Does not return."""
    stop_others()
    write_text(PANIC, b"\r\nKernel panic - not syncing: ")
    write_text(PANIC, message)
    write_address(PANIC, code)
    write_text(PANIC, b"\r\n")
    end_machine()


def end_machine() -> None:
    """Restart as `panic=` says, or halt. Does not return."""
    timeout = PANIC.timeout_seconds
    if timeout != 0:
        if timeout > 0:
            _wait(timeout)
        PANIC.restart()
    stop()


def _wait(seconds: int) -> None:
    """Spin: interrupts are off, and nothing else can be trusted."""
    end = read_counter() + PANIC.counter_hz * seconds
    while read_counter() < end:
        pass
