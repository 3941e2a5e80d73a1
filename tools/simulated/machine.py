"""The machine: it boots the kernel, switches stacks, and lets time pass when nobody runs."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable

from greenlet import getcurrent, greenlet

from arch import TICK_VECTOR
from arch.x86_64.bootinfo import PROTOCOL_PVH, PVH_MAGIC
from arch.x86_64.frame import TrapFrame
from arch.x86_64.layout import DIRECT_MAP_BASE, KERNEL_BASE
from arch.x86_64.percpu import OFFSET_SELF
from arch.x86_64.simulation import Control, processor
from kernel.doors.trap import interrupt_in_kernel, is_accessible_now
from kernel.lang.simulation import Bytes, memory
from kernel.lang.unsafe import store_i64
from kernel.mm.fault import Access
from kernel.sched.scheduler import thread_main
from kernel.sched.wait import SleepTimer
from kernel.start.main import krait_main
from kernel.task.send import send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.task.task import Task, current, current_or_none
from kernel.time.clock import NS_PER_SECOND, monotonic_ns
from kernel.time.timers import ARMED, next_deadline_ns
from tools.cpio import Archive
from tools.simulated.chips import Chips
from tools.simulated.code import Code, Main, decode_registers
from tools.simulated.paging import CopiedMemory, Fault, translate
from tools.simulated.program import Program

MIB = 1 << 20
BOOT_INFO = 0x9000
COMMAND_LINE = BOOT_INFO + 0x100
MODULES = BOOT_INFO + 0x40
MEMORY_MAP = BOOT_INFO + 0x80
QUIET_NS = 60 * NS_PER_SECOND  # nobody has called the kernel for that long
QUIET_LIMIT_NS = 3600 * NS_PER_SECOND  # and nobody will, whatever is armed
WAKE_SIGNAL = 64  # ends a call of process 1 that would never end; its children inherit the handler
FIRST_TOKEN = 1 << 60
DEPTH_LIMIT = 50_000  # calls; a greenlet begins as deep as whoever starts it, over all generations of processes
# Where the image lies, by the names that linker.ld gives; there is nothing in it.
IMAGE = {
    "__image_start": 0x10_0000, "__text_start": 0x10_0000, "__text_end": 0x11_0000, "__rodata_start": 0x11_0000,
    "__rodata_end": 0x12_0000, "__data_start": 0x12_0000, "ist_stacks": 0x12_0000, "boot_stack_guard": 0x14_0000,
    "boot_stack_top": 0x15_0000, "cpu_area": 0x15_0000, "early_arena": 0x15_1000, "early_arena_end": 0x15_2000,
    "__image_end": 0x16_0000,
}  # fmt: skip


class Machine(Control):
    """One a process, because the kernel's state is its modules' own. Whoever makes it becomes process 1."""

    def __init__(
        self,
        memory_mib: int = 32,
        command_line: str = "",
        print_byte: Callable[[int], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.output = bytearray()
        self.code = Code()
        self.init: Program | None = None
        self.interrupted = False  # the user typed ^C
        self._chips = Chips(print_byte or self.output.append, wall_clock)
        self._host = getcurrent()
        self._asleep: dict[int, greenlet] = {}
        self._next_token = FIRST_TOKEN
        sys.setrecursionlimit(DEPTH_LIMIT)
        decode_registers()
        self._ram = self._assemble(memory_mib << 20)
        self._write_boot_info(command_line.encode())

    def _assemble(self, memory_bytes: int) -> Bytes:
        """Memory, chips and a processor that can forbid the execution of data."""
        memory.reset()
        ram = memory.map(DIRECT_MAP_BASE, memory_bytes)
        memory.translate = translate
        for name, place in IMAGE.items():
            memory.define_symbol(name, KERNEL_BASE + place)
        processor.port_read = self._chips.read
        processor.port_write = self._chips.write
        processor.control = self
        processor.tsc = 0
        processor.tsc_step = 100
        processor.registers.clear()
        processor.per_cpu = {OFFSET_SELF: KERNEL_BASE + IMAGE["cpu_area"]}
        processor.cpuid = {0x8000_0000: (0x8000_0001, 0, 0, 0), 0x8000_0001: (0, 0, 0, 1 << 20)}
        self.copied_memory(self._fault_of_copy).install()
        return ram

    def copied_memory(self, fault: Fault) -> CopiedMemory:
        """What the kernel's copy routines see; other kinds of machines may have another one."""
        return CopiedMemory(fault)

    def _write_boot_info(self, command_line: bytes) -> None:
        """As QEMU's PVH loader leaves it (Xen, hvm/start_info.h), with an initial RAM disk at the end of memory."""
        archive = Archive()
        archive.directory("bin")
        archive.directory("tmp", 0o1777)
        archive.file("init", self.code.elf(self._be_host), 0o755)
        packed = archive.pack()
        start = len(self._ram) - (len(packed) + 4095 & -4096)
        self._put(start, packed)
        self._put(MODULES, struct.pack("<QQQQ", start, len(packed), 0, 0))
        self._put(MEMORY_MAP, struct.pack("<QQII", 0, len(self._ram), 1, 0))
        self._put(COMMAND_LINE, command_line + b"\0")
        self._put(
            BOOT_INFO, struct.pack("<IIIIQQQQI", PVH_MAGIC, 1, 0, 1, MODULES, COMMAND_LINE, 0, MEMORY_MAP, 1)
        )

    def _put(self, physical: int, data: bytes) -> None:
        self._ram[physical : physical + len(data)] = data

    # Running ----------------------------------------------------------------------------------------------------------

    def boot(self) -> Program:
        """Start the kernel, up to the first instruction of process 1, which the caller is from then on."""
        self._host = getcurrent()
        greenlet(krait_main).switch(PROTOCOL_PVH, BOOT_INFO)
        assert self.init is not None
        self.init.handle(WAKE_SIGNAL, lambda program, signo: None)
        return self.init

    def _be_host(self, program: Program) -> int:
        """The first program."""
        self.init = program
        self._host.switch()
        raise AssertionError("process 1 goes on in the caller of boot")

    def install(self, path: str, main: Main) -> None:
        """Put a program into the file system."""
        host = self.host
        descriptor = host.call("open", path, 0o1101, 0o755)  # O_WRONLY, O_CREAT, O_TRUNC
        data = self.code.elf(main)
        assert host.call("write", descriptor, data, len(data)) == len(data)
        host.call("close", descriptor)

    def run(self, main: Main) -> int:
        """Run a function as a child of process 1, and wait for it: its status as wait(2) reports it."""
        return self.wait(self.host.fork(main))

    def wait(self, pid: int) -> int:
        """wait4(2) in process 1. An exception that the program did not catch is raised here."""
        status = bytearray(4)
        self.host.call("wait4", pid, status, 0, 0)
        failure = Program.failures.pop(pid, None)
        if failure is not None:
            raise failure
        return int.from_bytes(status, "little")

    def flow_of(self, stack_pointer: int) -> greenlet | None:
        """That of a thread which does not run, by what its context holds."""
        return self._asleep.get(stack_pointer)

    @property
    def host_flow(self) -> greenlet:
        """That of the caller of `boot`, to which what goes wrong elsewhere comes."""
        return self._host

    @property
    def host(self) -> Program:
        """Process 1, in which the caller is."""
        assert self.init is not None, "boot the machine first"
        return self.init

    # What the kernel asks of the processor ----------------------------------------------------------------------------

    def switch_stacks(self, save_sp_to: int, load_sp: int) -> None:
        token = self._next_token
        self._next_token += 1
        store_i64(save_sp_to, token)
        self._asleep[token] = getcurrent()
        following = self._asleep.pop(load_sp, None)
        if following is not None:
            following.switch()
        else:
            greenlet(thread_main, self._host).switch(0)

    def enter_user_mode(self, frame: int) -> None:
        program = Program(current(), self.code)
        processor.control.leave_kernel(program.interrupt)
        program.run()

    def wait_for_interrupt(self) -> None:
        """Nobody is ready: time passes until something is due."""
        if not self.wake_if_nobody_will():
            self._let_time_pass()
            self._tick()

    def wake_if_nobody_will(self) -> bool:
        """If all would sleep for ever, or the user is impatient, end the call of process 1; whether it is so."""
        if not self.interrupted and not self._nobody_will_wake(monotonic_ns()):
            return False
        self.interrupted = False
        send_from_kernel(self.host.task.process, from_kernel(WAKE_SIGNAL))
        return True

    def _let_time_pass(self) -> None:
        """Until something is due: the timer interrupts earlier if its reach is short, and nothing comes of that."""
        now = monotonic_ns()
        due = self._chips.timer_due or processor.tsc
        processor.tsc = max(due, processor.tsc + min(next_deadline_ns() - now, QUIET_LIMIT_NS))

    def _nobody_will_wake(self, now: int) -> bool:
        """Every program waits for another: nothing but sleeps of kernel threads is armed."""
        quiet = now - Program.called_ns
        if quiet < QUIET_NS:
            return False
        return quiet > QUIET_LIMIT_NS or all(
            isinstance(timer, SleepTimer) and not isinstance(timer.thread, Task) for timer in ARMED.entries
        )

    def interrupt_window(self) -> None:
        due = self._chips.timer_due
        if due is not None and processor.tsc >= due:
            self._tick()

    def _tick(self) -> None:
        self._chips.timer_due = None
        interrupt_in_kernel(TrapFrame(vector=TICK_VECTOR))

    def _fault_of_copy(self, address: int, access: Access) -> bool:
        """The kernel's copy routines met a page that is not there."""
        task = current_or_none()
        return task is not None and is_accessible_now(task, address, access)
