"""What happens when the kernel has a bug: a Python traceback on the console, and the end of the thread or of the
machine.

Compiled checks trap with the instruction `ud1`, whose operand holds the kind of bug (docs/compiler-abi.md).
`kernel_fault` describes it and returns if the kernel may go on without the thread ("oops"); otherwise the machine
stops: it restarts after `panic=` seconds, at once if that is negative, and stays halted if it is 0.

Context: any, with the heap in any state: nothing is allocated.
Safety: reads the five bytes of the trapped instruction only where it lies in the kernel's text, and a message's text in
place.
"""

from collections.abc import Callable
from typing import Final

from arch.x86_64 import idt
from arch.x86_64.frame import TrapFrame
from arch.x86_64.machine import fault_address, read_counter, stop
from kernel.lang import Span, export, final, u8
from kernel.lang.unsafe import address_of, load_u8, span_at, symbol_address
from kernel.lib.traceback import TextSink, write_address, write_number, write_text, write_traceback

_STACK_REACH: Final = 16384  # how far up a frame chain is followed: the size of a kernel stack

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
    """Before the drivers are there, nothing can restart the machine."""


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
    write_text(PANIC, b"\r\nKernel bug\r\n" if survivable else b"\r\nKernel panic\r\n")
    low = frame.rsp
    write_traceback(PANIC, frame.rip, frame.rbp, low, low + _STACK_REACH if low < -_STACK_REACH else 0)
    _write_cause(frame)
    PANIC.message = None
    PANIC.reporting = False
    if not survivable:
        end_machine()


def report_thread(tid: int, name: bytes) -> None:
    """Say whose thread ran into a bug that the kernel survives. After `kernel_fault`."""
    write_text(PANIC, b"In thread ")
    write_number(PANIC, tid)
    write_text(PANIC, b" (")
    write_text(PANIC, name)
    write_text(PANIC, b")\r\n")


def _write_cause(frame: TrapFrame) -> None:
    kind = _trap_kind(frame)
    message = PANIC.message
    if kind > 0:
        write_text(PANIC, _TRAPS[kind])
        if message is not None:
            write_text(PANIC, b": ")
            # A str's UTF-8 lies where docs/compiler-abi.md says.
            PANIC.write(span_at(address_of(message) + 16, len(message)))
    else:
        write_text(PANIC, _fault_name(frame.vector))
        write_text(PANIC, b", error code ")
        write_number(PANIC, frame.error_code)
        if frame.vector == idt.PAGE_FAULT:
            write_text(PANIC, b", address ")
            write_address(PANIC, fault_address())
        write_text(PANIC, b", at ")
        write_address(PANIC, frame.rip)
    write_text(PANIC, b"\r\n")


def _fault_name(vector: int) -> bytes:
    if vector == idt.PAGE_FAULT:
        return b"MemoryFault: page fault"
    if vector == idt.DOUBLE_FAULT:
        return b"RecursionError: double fault (stack overflow?)"
    if vector == idt.GENERAL_PROTECTION:
        return b"MemoryFault: general protection fault"
    if vector == idt.DIVIDE_ERROR:
        return b"ArithmeticFault: divide error"
    if vector == idt.INVALID_OPCODE:
        return b"CodeFault: invalid opcode"
    if vector == idt.NMI:
        return b"non-maskable interrupt"
    if vector == idt.MACHINE_CHECK:
        return b"machine check"
    return b"unexpected exception"


def _trap_kind(frame: TrapFrame) -> int:
    """The kind of a compiled check, 0 for anything else: `ud1 kind(%eax), %eax` is 67 0F B9 40 kind."""
    rip = frame.rip
    if frame.vector != idt.INVALID_OPCODE:
        return 0
    if rip < symbol_address("__text_start") or rip > symbol_address("__text_end") - 5:
        return 0
    if load_u8(rip) != 0x67 or load_u8(rip + 1) != 0x0F or load_u8(rip + 2) != 0xB9 or load_u8(rip + 3) != 0x40:
        return 0
    kind = load_u8(rip + 4)
    return kind if kind < len(_TRAPS) else 0


def end_with_message(message: bytes, code: int) -> None:
    """The machine can't go on, though nothing is wrong with the kernel. Does not return."""
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
