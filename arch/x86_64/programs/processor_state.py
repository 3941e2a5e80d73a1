"""What the processor holds of a program beside the frame: FS and GS bases, FPU and vector registers, selectors of data
segments; and what it said of the program's last fault.

The bases are swapped at each switch. The selectors are 0 in most programs, and the kernel uses none: who leaves the
processor leaves zeros, and only a task that had others loads them.

The FPU is lazy: a task runs with CR0.TS set until its first FPU instruction traps and loads its registers
(`first_use`), and only a task that has them loaded saves them when it leaves. A trap is dearer than loading them
beforehand, so a task that used them whenever it ran lately finds them loaded; every so often it has to ask again, which
finds out which tasks no longer use them. While CR0.TS is set, the processor may still hold another task's
registers: a program cannot read them, but for processors that speculate past the trap (CVE-2018-3665).

Invariants: FPU instructions run exactly while the running task has an area and its registers are loaded. An area is one
frame.
Context: only what moves registers to and from user memory sleeps; `first_use` raises MemoryError.
Safety: areas are whole zeroed frames, larger than any area that `fpu.initialise` accepts (checked) and 64-byte aligned;
registers are loaded from areas that this kernel saved, or whose contents were sanitised, or from user memory; a
malformed area is refused by `fpu_restore` without harm. Base registers get user addresses only: arch_prctl checks.
"""

from typing import Final

from arch.x86_64 import fpu, idt, usercopy
from arch.x86_64.cpu import DEFAULT_KEY_RIGHTS, XSAVE_KEYS, allow_counter, features
from arch.x86_64.frame import TrapFrame
from arch.x86_64.instructions import (
    load_selectors,
    load_user_bases,
    read_key_rights,
    read_selectors,
    save_user_bases,
    take_debug_status,
    write_fs_base,
    write_gs_base,
    write_key_rights,
)
from arch.x86_64.layout import USER_CS
from arch.x86_64.programs.breakpoints import STATUS_HITS, STATUS_STEP, Breakpoints, Watch
from arch.x86_64.programs.local_segments import LocalTable, ThreadAreas, unload_areas, unload_table
from arch.x86_64.programs.port_access import ALL_PORTS, PortMap, changed_map, close_ports, open_ports
from kernel.lang import EFAULT, Errno, Span, UserAddr, final, noinline, panic, struct, u8
from kernel.lang.unsafe import address_of, span_at
from kernel.lib import user
from kernel.mm.frames import NO_FRAME, PAGE_SIZE, Frame, allocate_zeroed_frame, copy_frame, frame_address, put_frame

DS: Final = 0  # in `selectors`: the lowest bit of each
ES: Final = 16
FS: Final = 32
GS: Final = 48
_SELECTOR: Final = 0xFFFF
_LOCAL_SELECTOR: Final = 4  # in an error code: the selector is one of the program's own table
_CLI: Final = 0xFA
_STI: Final = 0xFB
_USES_BEFORE_LOADING: Final = 4  # turns in a row in which a task used the FPU, before it finds its registers loaded
_TURNS_LOADED: Final = 64  # and for that many turns


@struct
class UserBases:
    """Where the program's segments FS and GS begin, and what else is switched with them."""

    fs: int
    gs: int
    key_rights: int
    """Of protection keys (protection_keys.py)."""


@final
class ProcessorState:
    """One task's."""

    bases: UserBases

    def __init__(self) -> None:
        self.area: Frame = NO_FRAME
        self.loaded: bool = False  # the FPU holds this task's registers
        self.turns: int = 0  # in a row with the registers loaded
        # Of the last fault that became a signal, for the handler's frame
        self.fault_address: int = 0
        self.fault_error_code: int = 0
        self.fault_vector: int = 0
        # Of a debugger
        self.breakpoints: Breakpoints | None = None
        # What few programs have, which is switched if `is_special`
        self.is_special: bool = False
        self.segments: LocalTable | None = None  # of the address space
        self.segments_loaded: bool = False  # the processor has the table
        self.areas: ThreadAreas | None = None  # the thread's own entries of the kernel's table
        self.areas_loaded: bool = False
        self.selectors: int = 0  # of data segments, while it does not run; others than 0 are special
        self.ports: PortMap | None = None
        self.port_level: int = 0  # iopl(2)
        self.steps_forced: bool = False  # the trap flag is the debugger's, and not the program's
        self.was_step: bool = False  # the last debug exception came after a step
        self.was_breakpoint: bool = False  # … of a breakpoint in the debug registers
        self.was_watched: bool = False  # … of that, or of a place that somebody else watches
        self.lacks_counter: bool = False  # reading the time-stamp counter is a fault

    def note_exception(self, frame: TrapFrame) -> None:
        """Record what signal frames and debuggers report of an exception."""
        self.fault_vector = frame.vector
        self.fault_error_code = frame.error_code
        if frame.vector == idt.DEBUG:
            status = take_debug_status()
            breakpoints = self.breakpoints
            self.was_step = status & STATUS_STEP != 0
            self.was_breakpoint = breakpoints is not None and breakpoints.note(status, frame)
            self.was_watched = breakpoints is not None and status & STATUS_HITS != 0

    def note_fault(self, frame: TrapFrame, address: int) -> None:
        """The same, of a page fault."""
        self.note_exception(frame)
        self.fault_address = address

    # Switching ---------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """The task loses the processor."""
        if save_user_bases(address_of(self.bases)) != 0:
            self.is_special = True  # it has loaded a selector
        if self.loaded:
            fpu.fpu_save(frame_address(self.area))
            self.loaded = False
            self.turns = self.turns + 1 if self.turns < _TURNS_LOADED else _USES_BEFORE_LOADING - 1
            fpu.take_away()
        else:
            self.turns = 0
        if self.is_special:
            self._leave_special()

    def enter(self) -> None:
        """The task gets the processor."""
        if self.is_special:
            self._enter_special()
        load_user_bases(address_of(self.bases))
        if self.turns >= _USES_BEFORE_LOADING:
            self._load()

    @noinline
    def _leave_special(self) -> None:
        breakpoints = self.breakpoints
        if breakpoints is not None:
            breakpoints.drop()
        self.selectors = read_selectors()
        if self.selectors != 0:
            load_selectors(0)
        if self.segments_loaded:
            self._unload_table()
        self._unload_areas()
        close_ports()
        if self.lacks_counter:
            allow_counter(is_allowed=True)

    @noinline
    def _enter_special(self) -> None:
        breakpoints = self.breakpoints
        if breakpoints is not None:
            breakpoints.load()
        if self.segments is not None:
            self._load_table()
        areas = self.areas
        if areas is not None:
            areas.load()
            self.areas_loaded = True
        if self.selectors != 0:
            load_selectors(self.selectors)  # and the bases afterwards
        open_ports(self.ports, self.port_level)
        if self.lacks_counter:
            allow_counter(is_allowed=False)

    def watch(self, breakpoints: Breakpoints) -> None:
        """Of a task that does not run: what a debugger watches."""
        self.breakpoints = breakpoints
        self.is_special = True

    def add_watch(self, watch: Watch) -> None:
        """One place more is watched, once it is on. Raises ENOSPC, MemoryError."""
        breakpoints = self.breakpoints
        if breakpoints is None:
            breakpoints = Breakpoints()
        breakpoints.add(watch)
        self.watch(breakpoints)

    def remove_watch(self, watch: Watch) -> None:
        """It is watched no more, and off already."""
        breakpoints = self.breakpoints
        if breakpoints is not None:
            breakpoints.remove(watch)

    def renew_watches(self, is_current: bool, is_elsewhere: bool) -> None:
        """One was turned on or off. A task that runs elsewhere has what it should once its processor says so
        (`reload_watches`).
        """
        breakpoints = self.breakpoints
        if breakpoints is None:
            return
        breakpoints.renew()
        breakpoints.is_stale = is_elsewhere
        if is_current:
            breakpoints.load()

    def reload_watches(self) -> None:
        """Of the running task."""
        breakpoints = self.breakpoints
        if breakpoints is not None and breakpoints.is_stale:
            breakpoints.is_stale = False
            breakpoints.load()

    def forbid_counter(self, is_forbidden: bool) -> None:
        """Of the running task: whether its reading the time-stamp counter is a fault. Its children inherit it."""
        self.lacks_counter = is_forbidden
        self.is_special = True
        allow_counter(not is_forbidden)

    def save(self) -> None:
        """Bring this object up to date with the processor, which runs the task."""
        save_user_bases(address_of(self.bases))
        self.selectors = read_selectors()
        if self.loaded:
            fpu.fpu_save(frame_address(self.area))

    def _load(self) -> None:
        fpu.give()
        self.loaded = True
        if fpu.fpu_restore(frame_address(self.area)) != 0:
            fpu.initialise_area(frame_address(self.area))
            fpu.fpu_restore(frame_address(self.area))

    # The FPU --------------------------------------------------------------------------------------------------------

    def first_use(self) -> None:
        """An FPU instruction trapped: give the running task the FPU. Raises MemoryError."""
        if self.area == NO_FRAME:
            self.need_area()
        self._load()

    def need_area(self) -> None:
        """Have an area, of initial state if the task had none. Raises MemoryError."""
        if self.area != NO_FRAME:
            return
        if fpu.area_size() > PAGE_SIZE:
            panic("an FPU area is larger than a frame")
        area = allocate_zeroed_frame()
        fpu.initialise_area(frame_address(area))
        self.area = area

    def restart(self) -> None:
        """The running task continues with initial registers: a signal handler starts."""
        if self.area != NO_FRAME:
            fpu.restart_area(frame_address(self.area))
        if self.loaded:
            fpu.fpu_restore(frame_address(self.area))

    def copy_to(self, child: "ProcessorState") -> None:
        """For clone: the child starts with the running task's state. Raises MemoryError."""
        self.save()
        child.bases = self.bases
        child.ports = self.ports
        child.port_level = self.port_level
        child.is_special = self.ports is not None or self.port_level != 0 or self.lacks_counter
        child.set_selectors(self.selectors)
        areas = self.areas
        if areas is not None:
            child.use_areas(areas.copy())
        child.steps_forced = self.steps_forced
        child.lacks_counter = self.lacks_counter
        if self.area != NO_FRAME:
            child.area = allocate_zeroed_frame()
            copy_frame(child.area, self.area)

    def reset(self) -> None:
        """For execve: bases zero, FPU as if never used."""
        self.release()
        fpu.take_away()  # on a single processor, the first program of all finds it given
        load_selectors(0)
        self.set_fs_base(0)
        self.set_gs_base(0)
        self.set_key_rights(DEFAULT_KEY_RIGHTS)

    def release(self) -> None:
        """The task ends, or starts another program: free the area, and watch nothing for a debugger."""
        self.turns = 0
        self.steps_forced = False
        self.forget_segments()
        breakpoints = self.breakpoints
        if breakpoints is not None:
            breakpoints.forget_debugger()
            if len(breakpoints.watches) == 0:
                self.breakpoints = None
                breakpoints.drop()
            else:
                breakpoints.load()
        if self.loaded:
            self.loaded = False
            fpu.take_away()
        area = self.area
        if area != NO_FRAME:
            self.area = NO_FRAME
            put_frame(area)

    # Segments and ports ---------------------------------------------------------------------------------------------

    def use_segments(self, table: LocalTable) -> None:
        """The task's address space has a table of segments from now on."""
        self.segments = table
        self.is_special = True

    def use_areas(self, areas: ThreadAreas) -> None:
        """Of a task that does not run: it has entries of its own from now on."""
        self.areas = areas
        self.is_special = True

    def forget_segments(self) -> None:
        """The task leaves its address space, whose table may end."""
        if self.segments_loaded:
            load_selectors(0)
            self._unload_table()
        self.segments = None
        self._unload_areas()
        self.areas = None
        self.selectors = 0

    def selector(self, segment: int) -> int:
        """Of a task that does not run: what DS, ES, FS or GS selects."""
        return self.selectors >> segment & _SELECTOR

    def set_selector(self, segment: int, selector: int) -> None:
        """Of a task that does not run. The base stays as it is. Where there is no such segment, it is 0 once it runs.
        Safety: `selector` asks for no more than a program's rights.
        """
        others = self.selectors - _word(self.selector(segment), segment)
        self.set_selectors(others + _word(selector, segment))

    def set_selectors(self, selectors: int) -> None:
        """The same of all four."""
        self.selectors = selectors
        if selectors != 0:
            self.is_special = True

    def refresh_segments(self, table: LocalTable) -> None:
        """Of the running task: the table has changed, or is new. Data segments are read anew; one that went is 0."""
        self.use_segments(table)
        self.save()
        self._load_table()
        load_selectors(self.selectors)
        load_user_bases(address_of(self.bases))

    def _load_table(self) -> None:
        table = self.segments
        if table is not None:
            table.load()
            self.segments_loaded = True

    def _unload_table(self) -> None:
        unload_table()
        self.segments_loaded = False

    def _unload_areas(self) -> None:
        if self.areas_loaded:
            unload_areas()
            self.areas_loaded = False

    def change_ports(self, first: int, end: int, opens: bool) -> None:
        """ioperm(2) of the running task. Raises MemoryError."""
        if not opens and self.ports is None:
            return
        self.ports = changed_map(self.ports, first, end, opens)
        self._show_ports()

    def set_port_level(self, level: int) -> None:
        """iopl(2) of the running task."""
        self.port_level = level
        self._show_ports()

    def _show_ports(self) -> None:
        self.is_special = True
        open_ports(self.ports, self.port_level)

    def mends(self, frame: TrapFrame, table: LocalTable | None) -> bool:
        """Whether a protection fault of the running task is none: its space got a table of segments while it ran, or it
        may use all ports and believes that it may turn interrupts off, too.
        """
        if frame.vector != idt.GENERAL_PROTECTION:
            return False
        if table is not None and not self.segments_loaded and frame.error_code & _LOCAL_SELECTOR != 0:
            self.refresh_segments(table)
            return True
        if self.port_level != ALL_PORTS or frame.cs != USER_CS:
            return False
        try:
            instruction = user.read_u8(UserAddr(frame.rip))
        except Errno:
            return False
        if instruction != _CLI and instruction != _STI:
            return False
        frame.rip += 1  # one byte each
        return True

    # Protection keys ------------------------------------------------------------------------------------------------

    def key_rights(self) -> int:
        """Of the running task."""
        return read_key_rights() if features.protection_keys else 0

    def set_key_rights(self, rights: int) -> None:
        """Of the running task. Where they stay as they are, no translation is forgotten."""
        if features.protection_keys and read_key_rights() != rights:
            write_key_rights(rights)

    # Signal frames --------------------------------------------------------------------------------------------------

    def save_to_user(self, address: UserAddr, rights: int) -> None:
        """Write the running task's registers and rights of keys to its memory, as the area that its handler will find.
        Raises EFAULT, MemoryError.
        """
        self.need_area()
        if not self.loaded:
            user.write_from(address, span_at(frame_address(self.area), fpu.area_size()))
            if fpu.keys_offset() != 0:
                user.write_i64(user.within(address, fpu.keys_offset()), rights)
        elif usercopy.fpu_save(address, fpu.frame_size(), rights) != 0:
            raise Errno(EFAULT)

    def load_from_user(self, address: UserAddr) -> None:
        """Load the running task's registers from an area that it may have written. Straight from there, unless it is
        not legal (nor aligned, perhaps): then what is not is cleared in a copy. Raises EFAULT, MemoryError.
        """
        self.need_area()
        if not self.loaded:
            self._load()  # whatever comes, the registers are not another task's
        if usercopy.fpu_restore(address, fpu.frame_size()) == 0:
            return
        area = span_at(frame_address(self.area), fpu.area_size())
        user.read_into(area, address)
        rights = 0
        if fpu.keys_offset() != 0 and area.load_u32(fpu.OFFSET_XSTATE_BV) & XSAVE_KEYS != 0:
            rights = user.read_u32(user.at(address, fpu.keys_offset()))
        fpu.sanitise_area(frame_address(self.area))
        self._load()
        self.set_key_rights(rights)

    def saved_area(self) -> Span[u8]:
        """Of a task that does not run: its registers as the processor saved them. Empty if it has used none. A state
        that is no legal one is replaced by the initial one when the task runs.
        """
        if self.area == NO_FRAME:
            return span_at(address_of(self.bases), 0)
        return span_at(frame_address(self.area), fpu.area_size())

    def set_thread_area(self, address: int) -> None:
        """Of a task that has not run yet: where its thread's own data are; a user address."""
        self.set_stopped_base(FS, address)

    def set_stopped_base(self, segment: int, address: int) -> None:
        """Of a task that does not run: where FS or GS begins, which then selects nothing; a user address."""
        self.set_selector(segment, 0)
        if segment == FS:
            self.bases.fs = address
        else:
            self.bases.gs = address

    def set_fs_base(self, address: int) -> None:
        """Of the running task, whose FS then selects nothing; a user address."""
        self.bases.fs = address
        write_fs_base(address)

    def set_gs_base(self, address: int) -> None:
        """The same for GS."""
        self.bases.gs = address
        write_gs_base(address)


def _word(selector: int, segment: int) -> int:
    """A selector in its place among the four, of which the last has the sign."""
    if segment == GS and selector > _SELECTOR >> 1:
        selector -= _SELECTOR + 1
    return selector << segment
