"""A program: a Python function in user mode, which reaches the kernel by system calls and page faults alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from arch import CALL_NUMBERS, number_of_call
from arch.x86_64.frame import FRAME_SIZE, TrapFrame
from arch.x86_64.layout import VECTOR_SYSCALL
from arch.x86_64.simulation import Unlocked, processor
from kernel.doors.dispatch import krait_finish_call, krait_syscall
from kernel.doors.table import SYSCALLS
from kernel.doors.trap import trap
from kernel.lang.unsafe import address_of, struct_at_address
from kernel.mm.fault import Access
from kernel.task.actions import SA_RESTORER
from tools.simulated.code import CALL_BYTES, CALL_SITE, RESTORER, Code, Handler, Main
from tools.simulated.paging import read_pages, write_pages

if TYPE_CHECKING:
    from kernel.task.task import Task

VECTOR_PAGE_FAULT = 14
FAULT_WRITE = 2
FAULT_USER = 4
FAULT_FETCH = 16
RED_ZONE = 128  # below the stack pointer, which a program may use without moving it (System V ABI)
FAILED = 1  # the status of a program that ended by an exception, as CPython's
CALL_NS = 1000  # what a call takes beside what the kernel asks of the clock

Argument = int | bytes | str | bytearray | None | Sequence[bytes]


class Replaced(BaseException):
    """The program that ran was replaced by execve: its Python function ends here."""


class KernelBug(BaseException):
    """The kernel ran into what would stop it: a failed check, or a panic. No program can catch it."""


class Program:
    """The user mode of one task."""

    called_ns = 0  # when a program last made a call
    is_in_kernel = False
    failures: ClassVar[dict[int, Exception]] = {}  # by pid: what ended a program that did not catch it

    def __init__(self, task: Task, code: Code) -> None:
        self.task = task
        self.code = code
        self.frame = struct_at_address(TrapFrame, task.stack_top - FRAME_SIZE)

    # Starting and ending ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Be the program, or the child, that the registers tell, and those after it. Does not return."""
        while True:
            main = self.code.mains.get(self.frame.r15) or self.code.mains[self.frame.rip]
            self.frame.r15 = 0
            try:
                status = main(self)
            except Replaced:
                continue
            except Exception as error:
                Program.failures[int(self.task.pid)] = error
                status = FAILED
            self.call("exit_group", status or 0)

    def fork(self, main: Main) -> int:
        """fork(2): the child goes on with `main`, and ends with its result as its status. Returns the child's pid."""
        self.frame.r15 = self.code.add_main(main)
        try:
            return self.call("fork")
        finally:
            self.frame.r15 = 0

    def arguments(self) -> list[bytes]:
        """argv, as execve left it on the stack. Only before the stack was used for anything else."""
        sp = self.frame.rsp
        count = int.from_bytes(self.load(sp, 8), "little")
        return [self.string(int.from_bytes(self.load(sp + 8 + 8 * i, 8), "little")) for i in range(count)]

    # System calls -----------------------------------------------------------------------------------------------------

    def call(self, name: str, *arguments: Argument) -> int:
        """A system call by name. Bytes and text are given by address, with a NUL after it; a bytearray is also filled
        with what the call leaves there; a list of bytes becomes a vector of pointers; None is 0. Raises OSError.
        """
        sp = self.frame.rsp
        registers: list[int] = []
        buffers: list[tuple[int, bytearray]] = []
        self.frame.rsp = sp - RED_ZONE
        for argument in arguments:
            registers.append(self._place(argument))
            if isinstance(argument, bytearray):
                buffers.append((registers[-1], argument))
        self.frame.rsp &= ~15
        result = self.raw(number_of_call(name), registers)
        for address, buffer in buffers:
            buffer[:] = self.load(address, len(buffer))
        self.frame.rsp = sp
        if -4096 < result < 0:
            raise OSError(-result, f"{name}: {os.strerror(-result)} ({errno.errorcode.get(-result, '?')})")
        return result

    def __getattr__(self, name: str) -> Callable[..., int]:
        """A system call by its name: `program.getpid()`."""
        if name not in CALL_NUMBERS:
            raise AttributeError(f"no system call is called {name}", name=name, obj=self)
        return partial(self.call, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(row.name for row in SYSCALLS if row is not None)})

    def _place(self, argument: Argument) -> int:
        """An argument as the register has it: what is no number goes below the stack pointer."""
        if argument is None:
            return 0
        if isinstance(argument, int):
            return argument
        if isinstance(argument, str):
            argument = argument.encode()
        if not isinstance(argument, bytes | bytearray):
            pointers = b"".join(self._place(item).to_bytes(8, "little") for item in argument) + bytes(8)
            return self._push(pointers)
        return self._push(bytes(argument) + (b"" if isinstance(argument, bytearray) else b"\0"))

    def _push(self, data: bytes) -> int:
        address = (self.frame.rsp - len(data)) & ~15
        self.store(address, data)
        self.frame.rsp = address
        return address

    def raw(self, number: int, registers: list[int]) -> int:
        """A system call by number: what the processor and entry.S do. Returns what rax holds."""
        frame = self.frame
        values = registers + [0] * (6 - len(registers))
        frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9 = values
        frame.rax = number
        frame.rip = CALL_SITE
        while True:
            processor.tsc += CALL_NS
            Program.called_ns = processor.tsc
            frame.rcx = frame.rip
            frame.r11 = frame.rflags
            frame.vector = VECTOR_SYSCALL
            frame.error_code = frame.rax
            made = processor.control.call_unlocked(address_of(frame))
            if made == Unlocked.DONE:
                processor.control.leave_kernel(self.interrupt)
            else:
                self._enter(krait_finish_call if made == Unlocked.UNFINISHED else krait_syscall)
            self._go_on(CALL_SITE, CALL_SITE - CALL_BYTES)
            if frame.rip == CALL_SITE:
                return frame.rax
            frame.rip = CALL_SITE  # the call is made once more

    def _go_on(self, *places: int) -> None:
        """Run signal handlers until the program is where it was, or somewhere new."""
        frame = self.frame
        while frame.rip not in places:
            handler = self.code.handlers.get(frame.rip)
            if handler is None:
                raise Replaced
            sp = frame.rsp
            signo = frame.rdi
            handler(self, signo)
            frame.rsp = sp + 8  # the return to the restorer
            frame.rax = number_of_call("rt_sigreturn")
            frame.rip = RESTORER
            frame.vector = VECTOR_SYSCALL
            frame.error_code = frame.rax
            self._enter(krait_syscall)

    def _enter(self, door: Callable[[TrapFrame], None]) -> None:
        """Go through a door of the kernel and come back."""
        processor.control.enter_kernel()
        Program.is_in_kernel = True
        try:
            door(self.frame)
        except Exception as error:
            raise KernelBug(f"{type(error).__name__}: {error}") from error
        finally:
            Program.is_in_kernel = False
        processor.control.leave_kernel(self.interrupt)

    def interrupt(self, vector: int) -> None:
        """An interrupt in user mode."""
        self.frame.vector = vector
        trap(self.frame)

    def handle(self, signo: int, handler: Handler, flags: int = 0) -> None:
        """sigaction(2) with a Python function."""
        words = (self.code.add_handler(handler), flags | SA_RESTORER, RESTORER, 0)
        self.call("rt_sigaction", signo, bytearray(b"".join(w.to_bytes(8, "little") for w in words)), 0, 8)

    # Memory -----------------------------------------------------------------------------------------------------------

    def load(self, address: int, size_bytes: int) -> bytes:
        """Read memory as an instruction does: page faults go to the kernel, and may end the program."""
        return read_pages(address, size_bytes, Access.READ, self._fault)

    def store(self, address: int, data: bytes) -> None:
        """Write memory as an instruction does."""
        write_pages(address, data, self._fault)

    def string(self, address: int) -> bytes:
        """The C string at an address."""
        found = bytearray()
        while (byte := self.load(address + len(found), 1)) != b"\0":
            found += byte
        return bytes(found)

    def _fault(self, address: int, access: Access) -> bool:
        """A page fault in user mode."""
        frame = self.frame
        before = frame.rip
        frame.vector = VECTOR_PAGE_FAULT
        frame.error_code = FAULT_USER | {Access.WRITE: FAULT_WRITE, Access.EXECUTE: FAULT_FETCH}.get(access, 0)
        processor.registers["cr2"] = address
        self._enter(trap)
        self._go_on(before)
        return True
