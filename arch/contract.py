"""What an architecture owes the kernel: every name of its two faces, `arch` and `arch.programs`, with its type.

mypy holds the faces to the protocols here, a module being an object with its names (tests/unit/arch/test_contract.py);
the test also finds names that only one side has. The classes that the faces offer have protocols of their own. What a
name promises is said here; how an architecture keeps it, where it does.

What an architecture owes beside these names (assembly, the vDSO, the compiler's back end) is in docs/porting.md.

Context: read by people and mypy; no part of the image.
"""

from collections.abc import Callable
from types import ModuleType
from typing import NoReturn, Protocol

import arch
from arch import programs
from kernel.lang import Span, UserAddr, u8
from kernel.mm.frames import Frame
from kernel.mm.swap_slots import Slot


class ArchitectureFrame(Protocol):
    """TrapFrame: a struct with the registers of an interrupted or calling program, as every door of the kernel saves
    them. What Python stores there is what the program goes on with.
    """

    vector: int
    """The number of the interrupt."""
    error_code: int
    """What the processor said of an exception, for a traceback."""

    @property
    def instruction_pointer(self) -> int: ...
    @property
    def stack_pointer(self) -> int: ...
    @property
    def frame_pointer(self) -> int: ...
    @property
    def call_number(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def second(self) -> int: ...
    @property
    def third(self) -> int: ...
    @property
    def fourth(self) -> int: ...
    @property
    def fifth(self) -> int: ...
    @property
    def sixth(self) -> int: ...
    @property
    def result(self) -> int: ...
    def set_result(self, value: int) -> None: ...
    def can_repeat_call(self) -> bool: ...
    @property
    def original_number(self) -> int: ...
    @property
    def traced_call(self) -> int: ...
    def is_of_call(self) -> bool: ...
    @property
    def repeatable_call(self) -> int: ...
    def repeat_call(self, number: int) -> None: ...
    def forget_call(self) -> None: ...
    def go_on_at(self, address: int) -> None: ...
    def resume_at(self, address: int) -> None: ...


class LoaderAnswer(Protocol):
    """boot_info: what the boot loader said. Ranges are [start, end) in bytes, in lists of `…_count` entries."""

    region_count: int
    region_start: list[int]
    region_end: list[int]
    region_kind: list[int]
    usable_count: int
    usable_start: list[int]
    usable_end: list[int]
    command_line_was_cut: bool
    initrd_start: int
    initrd_end: int

    def command_line(self) -> bytes: ...
    def usable_bytes(self) -> int: ...


class DescribedDevices(Protocol):
    """hardware: virtio devices in memory that firmware describes, and whether it names a device with items for us."""

    has_firmware_items: bool
    virtio_count: int
    virtio_address: list[int]
    virtio_size: list[int]
    virtio_line: list[int]


class ArchitecturePort(Protocol):
    """SerialPort: a serial line with a ring of what it received. `receive` is its interrupt handler's work."""

    number: int
    line: int
    present: bool
    ring_length: int

    def enable_receive(self) -> None: ...
    def receive(self) -> None: ...
    def take_byte(self) -> int: ...
    def write(self, data: Span[u8]) -> None: ...


class LargeTotals(Protocol):
    """LARGE_TOTALS: entries of large pages now, and how many were split since the machine started."""

    mapped: int
    splits: int


class ArchitectureTable(Protocol):
    """PageTable: of one address space. `find` and `make` return where an entry lies, for `read_entry`."""

    root: int
    table_count: int
    huge_count: int
    large_count: int
    swapped: int

    def find(self, address: int) -> int: ...
    def make(self, address: int) -> int: ...
    def entry_of(self, address: int) -> int: ...
    def find_huge(self, address: int) -> int: ...
    def find_large(self, address: int) -> int: ...
    def has_table(self, address: int) -> bool: ...
    def has_upper_tables(self, address: int) -> bool: ...
    def enter_large(self, address: int, head: Frame, flags: int) -> None: ...
    def move_large(self, address: int, target: int) -> bool: ...
    def drop(self, address: int, count: int) -> int: ...
    def make_huge(self, address: int) -> int: ...
    def next_huge(self, address: int, end: int) -> int: ...
    def next_table(self, address: int, end: int) -> int: ...
    def next_mapped(self, address: int, end: int) -> int: ...
    def drop_leaf_tables(self, start: int, end: int) -> None: ...
    def activate(self) -> None: ...
    def abandon(self) -> None: ...
    def renew_page(self, address: int) -> None: ...
    def flush_page(self, address: int) -> None: ...
    def flush_range(self, start: int, end: int) -> None: ...


class ArchitectureState(Protocol):
    """ProcessorState: what the processor holds of a program beside the frame. The child of `copy_to` is of the same
    class, so it is not written here.
    """

    def leave(self) -> None: ...
    def enter(self) -> None: ...
    def first_use(self) -> None: ...
    def note_exception(self, frame: arch.TrapFrame) -> None: ...
    def note_fault(self, frame: arch.TrapFrame, address: int) -> None: ...
    def set_thread_area(self, address: int) -> None: ...
    @property
    def was_step(self) -> bool: ...
    @property
    def was_breakpoint(self) -> bool: ...
    @property
    def was_watched(self) -> bool: ...
    def renew_watches(self, is_current: bool, is_elsewhere: bool) -> None: ...
    def reload_watches(self) -> None: ...
    def reset(self) -> None: ...
    def release(self) -> None: ...


class Processor(Protocol):
    """The face `arch`: what needs no other part of the kernel than the language's prelude."""

    # Names that programs and their files see
    @property
    def MACHINE_NAME(self) -> bytes: ...
    @property
    def ELF_MACHINE(self) -> int: ...
    @property
    def AUDIT_ARCHITECTURE(self) -> int: ...
    @property
    def MINIMUM_SIGNAL_STACK(self) -> int: ...
    def hardware_capabilities(self) -> int:
        """AT_HWCAP (getauxval(3))."""

    def may_bypass_stores(self) -> bool:
        """Whether a load may run ahead of a store to the same place, so that others learn from it."""

    def processor_text(self, number: int, count: int, khz: int) -> bytes:
        """/proc/cpuinfo of one of `count` processors, for a counter of that frequency."""

    # System calls by name: at build time
    @property
    def CALL_NUMBERS(self) -> dict[str, int]: ...
    @property
    def CALL_LIMIT(self) -> int:
        """One past the highest number."""

    def number_of_call(self, name: str) -> int:
        """Raises ValueError that says what to do when there is none of that name."""

    def name_own_call(self, name: str, number: int) -> None:
        """Give a number to a call that Linux does not have. Raises ValueError."""

    # The address space. Kernel addresses are negative ints.
    @property
    def PAGE_SHIFT(self) -> int: ...
    @property
    def USER_END(self) -> int: ...
    @property
    def DIRECT_MAP_BASE(self) -> int: ...
    @property
    def DYNAMIC_BASE(self) -> int:
        """From here to DEVICE_BASE kernel stacks are mapped."""

    @property
    def DEVICE_BASE(self) -> int: ...
    def direct_map(self, physical: int) -> int:
        """The kernel address at which a physical one can be read and written."""

    def physical_of(self, address: int) -> int:
        """The physical address of an address in the direct map or the image."""

    def page_floor(self, address: int) -> int: ...
    def page_ceiling(self, address: int) -> int: ...

    # The kernel's half of it
    @property
    def KERNEL_STACK(self) -> int:
        """The flags of a page that the kernel reads and writes, and that may be another one later."""

    def map_page(self, address: int, physical: int, flags: int) -> None:
        """Raises MemoryError for want of a table."""

    def unmap_page(self, address: int) -> int:
        """The page's physical address, or -1 when there was none."""

    def map_device(self, physical: int, size_bytes: int) -> int:
        """The kernel address of a device's registers, uncached. Raises MemoryError. Mapping twice is harmless."""

    def is_mapped(self, address: int) -> bool: ...
    def kernel_root(self) -> int:
        """Physical address of the kernel's own top-level table."""

    def set_page_source(self, allocate_page: Callable[[], int]) -> None:
        """Where its tables come from: a function that returns the physical address of a zeroed page, or 0."""

    # Coming up, in this order
    @property
    def boot_info(self) -> LoaderAnswer: ...
    @property
    def BootInfoError(self) -> type[arch.BootInfoError]: ...
    @property
    def BAD_MAGIC(self) -> int: ...
    @property
    def KIND_RAM(self) -> int: ...
    def early_arena_start(self) -> int:
        """Zeroed memory in the image for objects before memory is known."""

    def early_arena_size(self) -> int: ...
    def start_serial_ports(self) -> None:
        """Find them; they can write from now on."""

    def start_processor(self) -> None:
        """Catch exceptions from here on. Panics where the processor lacks what the kernel needs."""

    def read_boot_info(self, protocol: int, info: int) -> None:
        """Fill `boot_info`. Raises BootInfoError."""

    def start_page_tables(self) -> None:
        """The kernel's own tables take the place of the boot stub's."""

    def allocate_early(self, size_bytes: int) -> int:
        """The physical address of zeroed pages that are never given back, before there are frames."""

    def first_free_early(self) -> int:
        """What `allocate_early` has not given out of the usable range that it takes from."""

    def initrd_span(self) -> Span[u8]:
        """The initial RAM disk's bytes; empty if there is none."""

    def read_wall_clock(self) -> int:
        """Seconds since 1970-01-01 00:00 UTC, or 0."""

    def measure_counter_hz(self) -> int:
        """The frequency of `read_counter`. Panics where nothing can tick."""

    def start_other_processors(self, limit: int, counter_hz: int) -> int:
        """Wake the machine's other processors, so that no more than `limit` run; how many do. Those that
        woke wait for the kernel lock, and then call krait_join.
        """

    def processors_found(self) -> int:
        """How many processors the firmware names, up to as many as there is room for; 0 if it says nothing."""

    def start_interrupts(self, counter_hz: int) -> None:
        """Let devices interrupt, and the timer. Raises MemoryError."""

    def interrupt_after(self, delay_ns: int) -> None:
        """Interrupt this processor with TICK_VECTOR once, after `delay_ns` or earlier, and not for what was asked
        before.
        """

    # The running processor
    def order_stores_before_loads(self) -> None:
        """Make what was stored so far visible to devices before anything that is loaded from now on. The order of other
        accesses to memory is kept anyway.
        """

    def read_counter(self) -> int:
        """The time-stamp counter: it never runs backwards, whatever the processor does."""

    def random_seed(self) -> int: ...
    def wait_for_interrupt(self, save_sp_to: int) -> None:
        """Let interrupts in and stop until one was served; nothing can slip in between."""

    def interrupt_point(self, save_sp_to: int) -> None:
        """Serve interrupts that wait, and let other processors go first that wait for the kernel."""

    def interrupt_processor(self, number: int) -> None:
        """Let a processor come into the kernel, or look again if it is there."""

    def synchronise_processors(self) -> None:
        """Return when all others have passed a memory barrier, and fetch their instructions anew."""

    def note_watched(self, number: int, is_watched: bool) -> None:
        """Say whether the system calls of the thread that a processor runs all take the kernel lock."""

    def wait_for_sections(self) -> None:
        """Return when each of the others has been outside a system call without the kernel lock."""

    def unlocked_calls(self, number: int) -> int:
        """How many system calls a processor has run without the kernel lock."""

    def processor_stack_top(self, number: int) -> int:
        """The upper end of the stack on which a processor first came into the kernel."""

    def stop_others(self) -> None:
        """Halt the other processors permanently, wherever they are."""

    def stop(self) -> None:
        """For ever."""

    def power_off(self) -> None:
        """Does not return."""

    def restart(self) -> None:
        """Does not return."""

    # Another kernel takes this one's place
    @property
    def KernelFile(self) -> type[arch.KernelFile]:
        """Base of what `plan_kernel` reads."""

    @property
    def Plan(self) -> type[arch.Plan]: ...
    @property
    def FROM_BYTES(self) -> int: ...
    @property
    def FROM_INITRD(self) -> int: ...
    def check_kernel(self, file: arch.KernelFile) -> None:
        """Raise ENOEXEC for a file that does not begin as a kernel."""

    def plan_kernel(self, file: arch.KernelFile, initrd_size: int, command_line: bytes) -> arch.Plan:
        """Where the parts of a kernel go, and how it is entered. Raises ENOEXEC, EINVAL, EADDRNOTAVAIL."""

    @property
    def TablePages(self) -> type[arch.TablePages]:
        """Base of where `identity_root` gets its tables from."""

    def identity_root(self, pages: arch.TablePages) -> int:
        """A table that maps RAM onto itself, for `leave`. Raises MemoryError."""

    def map_identically(self, root: int, start: int, end: int, pages: arch.TablePages) -> None:
        """… and other memory. Raises MemoryError."""

    def next_low_page(self, after: int) -> int:
        """The first page above that can hold the code of the last steps; 0: there is none."""

    @property
    def MOVE_END(self) -> int: ...
    @property
    def MOVE_LINK(self) -> int: ...
    def leave(self, page: int, moves: int, root: int, entry: int, is_narrow: bool, argument: int) -> None:
        """Stop everything, move pages by the list at `moves`, and enter the other kernel. Does not return."""

    # Stacks and frames. `stack_top` is the 16-byte aligned upper end of a kernel stack.
    def switch_stacks(self, save_sp_to: int, load_sp: int) -> None:
        """Leave this stack, its pointer stored at an address, and go on where another one left. What
        `take_kernel_ticks` would return is added to the third word there.
        """

    def left_at(self, stack_pointer: int) -> int:
        """The address where a thread that left with this stack pointer continues."""

    def left_frame_pointer(self, stack_pointer: int) -> int:
        """Its frame pointer there."""

    def present_frame_pointer(self) -> int:
        """That of the function that asks."""

    def prepare_kernel_entry(self, stack_top: int, argument: int) -> int:
        """The stack pointer with which a new thread first runs: it calls krait_kthread_main(argument)."""

    @property
    def OWN_THREAD(self) -> int:
        """Where in its own page a processor has room for the thread that it runs (own_object)."""

    def set_kernel_stack(self, top: int) -> None:
        """Where the next entry from user mode starts."""

    def take_kernel_ticks(self) -> int:
        """Ticks of the counter that this processor has spent in the kernel since this was asked last, modulo 2**32."""

    def enter_user_mode(self, stack_top: int) -> NoReturn:
        """Go to user mode with the registers of the frame at the end of a stack."""

    @property
    def TrapFrame(self) -> type[arch.TrapFrame]: ...
    def user_frame_address(self, stack_top: int) -> int: ...
    def user_stack_pointer(self, stack_top: int) -> int: ...
    def user_instruction_pointer(self, stack_top: int) -> int: ...
    def user_frame_pointer(self, stack_top: int) -> int: ...
    @property
    def PROBED_REGISTERS(self) -> list[bytes]:
        """The names of the registers of `sampled_register`; empty for those without one."""

    @property
    def SAMPLED_REGISTERS(self) -> list[int]:
        """By the numbers of perf_event_open(2): negative for registers that samples cannot hold."""

    def sampled_register(self, stack_top: int, number: int) -> int:
        """A register of the program, by such a number that is not negative there."""

    def copied_frame(self, stack_top: int) -> arch.TrapFrame:
        """The registers of a task that does not run, as they are now."""

    def call_under_way(self, stack_top: int) -> int:
        """The number of the system call that a task makes; -1 if it makes none."""

    def start_program(self, stack_top: int, entry: int, sp: int) -> None:
        """Set the registers of a program that begins."""

    def copy_user_frame(self, parent_top: int, child_top: int, sp: int) -> None:
        """A child goes on where its parent called, with a result of 0 and, unless it is 0, another stack pointer."""

    # Exceptions
    def is_interrupt(self, frame: arch.TrapFrame) -> bool: ...
    def is_page_fault(self, frame: arch.TrapFrame) -> bool: ...
    def was_write(self, frame: arch.TrapFrame) -> bool: ...
    def was_fetch(self, frame: arch.TrapFrame) -> bool: ...
    def fault_address(self) -> int:
        """Of the last page fault."""

    def was_key_fault(self, frame: arch.TrapFrame) -> bool: ...
    def lacks_vector_registers(self, frame: arch.TrapFrame) -> bool:
        """A program used registers that `ProcessorState.first_use` is to give it."""

    def is_breakpoint_in_kernel(self, frame: arch.TrapFrame) -> bool:
        """The kernel hit a debugger's breakpoint in a program's memory: it continues."""

    def is_grave(self, frame: arch.TrapFrame) -> bool:
        """The machine itself is in trouble, whatever was running."""

    @property
    def ProgramError(self) -> type[arch.ProgramError]: ...
    def program_error(self, frame: arch.TrapFrame) -> arch.ProgramError:
        """What a program did wrong, if it is none of the above."""

    def fixup(self, address: int) -> int:
        """Where to continue after a fault of a user copy at `address`, or 0 when the fault is a bug."""

    def trap_kind(self, frame: arch.TrapFrame) -> int:
        """Which compiled check failed (docs/compiler-abi.md), or 0."""

    def find_landing(self, frame: arch.TrapFrame, is_call: bool) -> bool:
        """After a failed check, let a frame continue at the next clean-up outwards. False if there is none."""

    def frameless_caller(self, frame: arch.TrapFrame) -> int:
        """Where the function of a frame returns to if it has no frame of its own on the stack there, else 0."""

    def caller_frame_pointer(self, frame: arch.TrapFrame) -> int:
        """The head of the chain of frames that lies above such a function."""

    def fault_name(self, frame: arch.TrapFrame) -> bytes:
        """An exception of the kernel, in a traceback's words."""

    # Protection keys of pages
    def key_count(self) -> int:
        """How many there are; 1 where the processor has none."""

    def key_forbids(self, key: int, is_write: bool) -> bool:
        """Whether the running task may not read, or write, pages of a key."""

    def set_key_rights(self, key: int, forbidden: int) -> None:
        """Of the running task: 1 for access, 2 for writing."""

    # User memory: the module with the routines of arch/x86_64/usercopy.py, on which kernel.lib.user is built
    @property
    def usercopy(self) -> ModuleType: ...

    # Interrupts
    @property
    def LINE_COUNT(self) -> int: ...
    @property
    def TICK_VECTOR(self) -> int: ...
    @property
    def FIRST_FREE_VECTOR(self) -> int: ...
    @property
    def END_OF_VECTORS(self) -> int: ...
    def acknowledge(self, vector: int) -> bool:
        """Tell the chip that an interrupt arrived. False: it was spurious."""

    def line_vector(self, line: int) -> int:
        """Of a shared line, 0 to LINE_COUNT - 1."""

    def enable_line(self, line: int, level_triggered: bool) -> None: ...
    def route_line(self, line: int, vector: int) -> None:
        """Let a line beyond the shared ones interrupt. Raises ENODEV, MemoryError."""

    def takes_messages(self) -> bool:
        """Whether PCI devices can interrupt by messages."""

    def message_address(self) -> int: ...

    # Devices
    @property
    def SerialPort(self) -> type[arch.SerialPort]: ...
    @property
    def serial_ports(self) -> list[arch.SerialPort]: ...
    @property
    def hardware(self) -> DescribedDevices: ...
    @property
    def DEVICE_ADDRESSES_START(self) -> int:
        """Physical addresses from here to the next one are for devices, above the end of RAM there."""

    @property
    def DEVICE_ADDRESSES_END(self) -> int: ...

    def read_configuration(self, bus: int, slot: int, function: int, register: int) -> int:
        """A word of a PCI device's configuration space; `register` is a multiple of 4 below 256."""

    def write_configuration(self, bus: int, slot: int, function: int, register: int, value: int) -> None: ...
    def write_configuration_u8(self, bus: int, slot: int, function: int, register: int, value: int) -> None:
        """Change one byte; `register` is below 256."""

    def write_configuration_u16(self, bus: int, slot: int, function: int, register: int, value: int) -> None:
        """Change two bytes; `register` is a multiple of 2 below 256."""

    # Items that a virtual machine's host hands to the guest, where `hardware` says that there are any
    def select_firmware_item(self, key: int) -> None:
        """Read from the start of the item with that key next."""

    def read_firmware_item(self, destination: Span[u8]) -> None:
        """The next bytes of it; zeros past its end."""

    def start_firmware_transfer(self, physical: int) -> None:
        """Let the device carry out the command at a physical address."""


class Programs(Protocol):
    """The face `arch.programs`: what the processor holds of a program, built on frames and user memory."""

    # Bits of entries of page tables, and those that the hardware ignores: PRIVATE, HIDDEN, WRITE_WATCHED, POISONED
    @property
    def PRESENT(self) -> int: ...
    @property
    def WRITABLE(self) -> int: ...
    @property
    def USER(self) -> int: ...
    @property
    def ACCESSED(self) -> int: ...
    @property
    def DIRTY(self) -> int: ...
    @property
    def NO_EXECUTE(self) -> int: ...
    @property
    def KEY_SHIFT(self) -> int:
        """Where a page's protection key stands, 4 bits."""

    @property
    def KEY_BITS(self) -> int: ...
    @property
    def PRIVATE(self) -> int:
        """The frame belongs to this mapping alone, or to its forks."""

    @property
    def HIDDEN(self) -> int:
        """The frame is kept, though the area is PROT_NONE."""

    @property
    def WRITE_WATCHED(self) -> int:
        """Writes are left to the area's fault handler."""

    @property
    def POISONED(self) -> int:
        """Of an entry without a frame: whoever touches the page gets SIGBUS."""

    @property
    def HUGE(self) -> int:
        """What is mapped is a huge page."""

    @property
    def SPLITTABLE(self) -> int:
        """With HUGE: what is mapped is a large page."""

    @property
    def LARGE_TOTALS(self) -> LargeTotals:
        """Of all tables."""

    @property
    def LEAF_TABLE_BYTES(self) -> int:
        """What one table of the lowest level maps."""

    @property
    def PageTable(self) -> type[programs.PageTable]: ...
    def make_entry(self, frame: Frame, flags: int) -> int: ...
    @property
    def STANDS_IN(self) -> int:
        """Without PRESENT: the frame stands in for a broken one."""

    def entry_frame(self, entry: int) -> Frame: ...
    def names_frame(self, entry: int) -> bool:
        """Whether it is neither 0 nor a mark, nor names a slot."""

    def is_swapped(self, entry: int) -> bool:
        """Whether it names a slot."""

    def entry_slot(self, entry: int) -> Slot: ...
    def make_swapped_entry(self, slot: Slot, kept: int) -> int: ...

    def read_entry(self, address: int) -> int: ...
    def write_entry(self, address: int, entry: int) -> None: ...
    def table_end(self, address: int) -> int:
        """Up to there entries lie side by side, 8 bytes each."""

    def share_large(self, parent: programs.PageTable, child: programs.PageTable, address: int) -> int: ...
    def share_entries(self, parent_slot: int, child_slot: int, count: int, shared: bool) -> int:
        """fork: copy-on-write. Returns how many pages there are. Raises MemoryError."""

    def share_swapped(self, parent: programs.PageTable, child: programs.PageTable, address: int, count: int) -> None:
        """The same for those that lie in slots."""

    def load_root(self, root: int) -> None:
        """Translate by the table at a physical address."""

    def leave_spaces(self) -> None:
        """With several processors: translate by the kernel's own table, for this one has nothing to do."""

    def use_kernel_table(self, root: int) -> None:
        """Take the kernel half of new tables from this one."""

    # Registers
    @property
    def ProcessorState(self) -> type[programs.ProcessorState]: ...
    def control_processor(self, registers: programs.ProcessorState, code: int, argument: int) -> int:
        """arch_prctl(2)."""

    def control_stopped(self, registers: programs.ProcessorState, code: int, argument: int) -> None:
        """The same for a debugger, of a task that does not run. Raises EPERM, EINVAL, EFAULT."""

    @property
    def Watch(self) -> type[programs.Watch]:
        """A place of a program that is watched by hardware (`add_watch`, `remove_watch` of ProcessorState)."""

    # Probes of programs: instructions in whose place a breakpoint stands
    @property
    def BREAKPOINT_CODE(self) -> int:
        """The breakpoint instruction: one byte."""

    @property
    def SLOT_BYTES(self) -> int:
        """The room that a copy of an instruction takes."""

    @property
    def Displaced(self) -> type[programs.Displaced]:
        """An instruction that may run elsewhere, with its copy in `code`."""

    @property
    def DisplacedStep(self) -> type[programs.DisplacedStep]:
        """The step that a thread makes there: `begin`, then `end` or `undo`."""

    def analyse(self, code: bytes) -> programs.Displaced:
        """The instruction with which some bytes begin. Raises ENOTSUPP."""

    def breakpoint_place(self, frame: arch.TrapFrame) -> int:
        """Where the breakpoint lies that a program has met; -1: that is not to be known."""

    def is_stepping(self, frame: arch.TrapFrame) -> bool:
        """Whether the program traps after each instruction: it is being stepped, or wanted that."""

    def pass_without_step(self, what: programs.Displaced, frame: arch.TrapFrame) -> bool:
        """Do what the instruction does where the program stands, if that is easy. Raises EFAULT."""

    def return_place(self, frame: arch.TrapFrame, has_returned: bool) -> int:
        """Where a function that begins, or has just returned, has its return address."""

    def set_instruction_pointer(self, frame: arch.TrapFrame, address: int) -> None:
        """Let a program that was interrupted go on elsewhere, with all registers as they were."""

    # Segments that a program describes itself (modify_ldt(2))
    @property
    def LocalTable(self) -> type[programs.LocalTable]: ...
    def read_description(self, address: UserAddr, size: int, old_mode: bool) -> tuple[int, int]:
        """A segment that the program wants: its number and its descriptor, for `LocalTable.put`."""

    def show_default_table(self, address: UserAddr, size: int) -> int:
        """The contents shown if there is no table. Returns how many bytes."""

    # What a debugger sees and changes of a program that does not run: Linux's structures for this architecture
    @property
    def REGISTERS_SIZE(self) -> int:
        """Bytes of struct user_regs_struct."""

    @property
    def USER_AREA_SIZE(self) -> int:
        """Bytes of struct user, which PTRACE_PEEKUSER reads."""

    @property
    def FLOATING_SIZE(self) -> int:
        """Bytes of NT_FPREGSET's registers."""

    def vector_size(self) -> int:
        """Bytes of all registers beyond the general ones; 0 if there is no format for them."""

    @property
    def PORTS_SIZE(self) -> int:
        """Bytes of what `read_ports` returns."""

    def vector_components(self) -> bytes:
        """Where those lie in that form, for core files."""

    def read_register(self, stack_top: int, registers: programs.ProcessorState, index: int) -> int:
        """Word `index` of struct user_regs_struct."""

    def write_register(self, stack_top: int, registers: programs.ProcessorState, index: int, value: int) -> None:
        """Raises EIO for what a program could not have there."""

    def read_user_word(self, stack_top: int, registers: programs.ProcessorState, offset: int) -> int: ...
    def write_user_word(self, stack_top: int, registers: programs.ProcessorState, offset: int, value: int) -> None:
        """Raises EIO, EINVAL, MemoryError."""

    def read_thread_area(self, registers: programs.ProcessorState, number: int, address: UserAddr) -> None:
        """Write a segment of a thread's own to memory of the caller. Raises EINVAL, EFAULT."""

    def write_thread_area(self, registers: programs.ProcessorState, number: int, address: UserAddr) -> None:
        """Raises EINVAL, EFAULT, MemoryError."""

    def read_ports(self, registers: programs.ProcessorState) -> bytes:
        """A bit for each port that the program may not use; empty if it never asked for one."""

    def read_floating(self, registers: programs.ProcessorState, destination: Span[u8]) -> None: ...
    def read_vectors(self, registers: programs.ProcessorState, destination: Span[u8]) -> None: ...
    def write_floating(self, registers: programs.ProcessorState, source: Span[u8]) -> None:
        """Raises EINVAL, MemoryError."""

    def write_vectors(self, registers: programs.ProcessorState, source: Span[u8]) -> None:
        """Raises EINVAL, EFAULT, ENODEV, MemoryError."""

    def begin_step(self, stack_top: int, registers: programs.ProcessorState) -> None:
        """The program is to stop after its next instruction."""

    def end_step(self, stack_top: int, registers: programs.ProcessorState) -> None: ...

    # Signal handlers
    @property
    def NO_RESTORER(self) -> int: ...
    @property
    def HandlerCall(self) -> type[programs.HandlerCall]: ...
    @property
    def SignalContext(self) -> type[programs.SignalContext]: ...
    def push_frame(
        self, frame: arch.TrapFrame, registers: programs.ProcessorState, call: programs.HandlerCall, info: Span[u8]
    ) -> None:
        """Write a handler's frame to the program's stack and point the registers to the handler."""

    def pop_frame(self, frame: arch.TrapFrame, registers: programs.ProcessorState) -> programs.SignalContext:
        """The way back (sigreturn(2)): nothing that comes from user memory is trusted."""
