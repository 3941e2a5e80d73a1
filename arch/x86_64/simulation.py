"""A processor's surroundings under CPython: what the Python bodies of `@extern` functions ask.

Alone, it answers as a processor without memory, devices and programs; that is enough for the tests of most modules.
`tools/simulated` puts a whole machine behind it. Never part of the image.
"""

from collections.abc import Callable
from enum import Enum, auto

PortRead = Callable[[int, int], int]
PortWrite = Callable[[int, int, int], None]


class NotSimulated(Exception):
    """The instruction has no meaning under CPython."""


class UserMemory:
    """What the copy routines of user_copy.S find. Base class: no program runs, so every access faults."""

    def read(self, address: int, size_bytes: int) -> bytes:
        """What can be read, up to the first fault: possibly less than was asked for."""
        return b""

    def write(self, address: int, data: bytes) -> int:
        """How many bytes could be written, up to the first fault."""
        return 0


class Unlocked(Enum):
    """What became of a system call that may run without the kernel lock."""

    NOT_MADE = auto()
    DONE = auto()
    UNFINISHED = auto()  # something follows that needs the lock


class Control:
    """Switches between threads. Base class: there is only one."""

    def switch_stacks(self, save_sp_to: int, load_sp: int) -> None:
        """As context.switch_stacks."""
        raise NotSimulated("switch_stacks")

    def enter_user_mode(self, frame: int) -> None:
        """As context.enter_user_mode; `frame` is the address of the TrapFrame."""
        raise NotSimulated("enter_user_mode")

    def enter_kernel(self) -> None:
        """A program comes to a door of the kernel."""

    def call_unlocked(self, frame: int) -> Unlocked:
        """Make the call of the TrapFrame at an address without the kernel lock, if that may be."""
        return Unlocked.NOT_MADE

    def is_in_section(self) -> bool:
        """Whether such a call is under way on the present processor."""
        return False

    def spin(self) -> None:
        """A processor waits for another one with the lock in its hands."""

    def leave_kernel(self, interrupt: Callable[[int], None]) -> None:
        """A program continues. `interrupt(vector)` is what the kernel does if it is interrupted first."""

    def wait_for_interrupt(self) -> None:
        """Let time pass until an interrupt was served."""

    def interrupt_window(self) -> None:
        """Serve interrupts that wait."""


class SimulatedProcessor:
    """Port reads go to `port_read(port, size_bytes)`, writes to `port_write(port, size_bytes, value)`."""

    def __init__(self) -> None:
        self.port_read: PortRead | None = None
        self.port_write: PortWrite | None = None
        self.registers: dict[str, int] = {}
        self.msrs: dict[int, int] = {}
        self.cpuid: dict[int, tuple[int, int, int, int]] = {}  # by leaf: eax, ebx, ecx, edx
        self.per_cpu: dict[int, int] = {}  # words of the PerCpu block, by offset
        self.tsc = 0
        self.tsc_step = 1  # how far each reading moves it
        self.memory = UserMemory()
        self.control = Control()

    def read_port(self, port: int, size_bytes: int) -> int:
        if self.port_read is None:
            return (1 << 8 * size_bytes) - 1  # an empty bus floats high
        return self.port_read(port, size_bytes)

    def write_port(self, port: int, size_bytes: int, value: int) -> None:
        if self.port_write is not None:
            self.port_write(port, size_bytes, value)


processor = SimulatedProcessor()
