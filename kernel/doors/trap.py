"""Exceptions and interrupts: whom they concern, and what happens to the program.

Every vector arrives here with the interrupted registers (entry.S). An interrupt goes to its driver. A page fault on a
user address goes to the address space, whether the program caused it or the kernel's copy routines on its behalf; if
the page can't be had, the program gets a signal, the routine an error. Any other exception of a program is a signal to
it (signal(7)); any other exception of the kernel is a bug.

Context: on the running thread's kernel stack, or on a stack of its own for NMI, double fault and machine check.
Interrupts are off. Page faults may sleep.
"""

from typing import Final

from arch import (
    ProgramError,
    TrapFrame,
    fault_address,
    find_landing,
    fixup,
    is_breakpoint_in_kernel,
    is_grave,
    is_interrupt,
    is_page_fault,
    lacks_vector_registers,
    program_error,
    trap_kind,
    was_fetch,
    was_key_fault,
    was_write,
)
from kernel.doors import interrupts
from kernel.lang import export, last_resort, noinline, on_stack
from kernel.lib.panic import PANIC, kernel_fault, report_thread
from kernel.lib.pid import FIRST
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_SHIFT
from kernel.perf.breakpoints import places_hit
from kernel.perf.observer import fault_begins, fault_ends, interrupt_served, interrupted_in_kernel
from kernel.perf.probe_hits import breakpoint_met, step_done
from kernel.sched import lose_thread
from kernel.sched.processor import RUNNING
from kernel.sched.scheduler import has_work
from kernel.task.deliver import before_user_mode
from kernel.task.exit import end_process, exit_task
from kernel.task.memory_shortage import find_memory, find_memory_within_call
from kernel.task.send import force
from kernel.task.siginfo import from_broken_memory, from_fault, from_kernel, from_key_fault
from kernel.task.signals import (
    BUS_ADRALN,
    BUS_ADRERR,
    BUS_MCEERR_AR,
    FPE_FLTINV,
    FPE_INTDIV,
    ILL_ILLOPN,
    SEGV_ACCERR,
    SEGV_MAPERR,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGKILL,
    SIGSEGV,
    SIGTRAP,
    TRAP_BRKPT,
    TRAP_HWBKPT,
    TRAP_TRACE,
)
from kernel.task.task import Task, current, current_or_none

_KILL: Final = from_kernel(SIGKILL)  # created beforehand: it is needed when memory is gone


@export("krait_trap")
@on_stack(16384)
def trap(frame: TrapFrame) -> None:
    """Called by entry.S for every vector except the system call, when a program ran."""
    task = current()
    if is_interrupt(frame):
        _interrupt(frame.vector)
    elif is_page_fault(frame):
        try:
            _page_fault(task, frame)
        except MemoryError:
            find_memory(task)  # and the instruction faults again
    elif lacks_vector_registers(frame):
        _first_use_of_vector_registers(task)
    elif is_grave(frame):
        kernel_fault(frame, survivable=False)
    else:
        try:
            _raise_signal(task, frame)
        except MemoryError:
            force(task, _KILL)
    if has_work():
        before_user_mode(task, frame)


@export("krait_interrupt_in_kernel")
def interrupt_in_kernel(frame: TrapFrame) -> None:
    """Called by entry.S for an interrupt of the kernel itself: only in the idle loop and at safe points."""
    if RUNNING.is_observed:
        interrupted_in_kernel(frame)
    _interrupt(frame.vector)


@export("krait_exception_in_kernel")
def exception_in_kernel(frame: TrapFrame) -> None:
    """Called by entry.S for an exception in the kernel itself: in the user copy routines, or it is a bug."""
    if is_breakpoint_in_kernel(frame):
        return
    landing = fixup(frame.instruction_pointer)
    if landing == 0:
        _bug(frame)
        return
    if is_page_fault(frame):
        address = fault_address()
        task = current_or_none()
        if task is not None and is_accessible_now(task, address, access_of(frame), was_key_fault(frame)):
            return
    frame.resume_at(landing)


@export("krait_exception_in_section")
@last_resort
def exception_in_section(frame: TrapFrame) -> None:
    """Called by entry.S for an exception in a system call without the kernel lock, which is taken now. It is a bug, and
    nothing is cleaned up: such a call has changed nothing, and the objects it used may be gone. Does not return.
    """
    _report_bug(frame)
    _end_thread(current())


@last_resort
def _bug(frame: TrapFrame) -> None:
    """The kernel trapped. A program's thread that ran into it is killed, with its process, once the clean-up around the
    place has run: on return it continues there. Anything else is the end.
    """
    task = _report_bug(frame)
    # Where a compiled check fails, the registers are as the unwind tables expect them.
    if task is not None and (trap_kind(frame) == 0 or not find_landing(frame, is_call=False)):
        _end_thread(task)


@last_resort
def _report_bug(frame: TrapFrame) -> Task | None:
    """Report what happened, and to which task; panic if that is none that may be killed for it."""
    task = current_or_none()
    survivable = (
        task is not None
        and task.pid != FIRST
        and not task.is_exiting
        and not PANIC.in_interrupt
        and not is_grave(frame)
    )
    kernel_fault(frame, survivable)
    if task is not None:
        report_thread(int(task.tid), task.name)
    return task


@export("krait_clean_up_further")
@last_resort
def clean_up_further(frame: TrapFrame) -> None:
    """Called by entry.S at the end of a clean-up: on return the thread continues at the next one."""
    if not find_landing(frame, is_call=True):
        _end_thread(current())


def _end_thread(task: Task) -> None:
    """End a thread that ran into a bug, and its process. Does not return."""
    give_back(task)
    end_process(task.process, SIGSEGV)
    exit_task(task)


def give_back(task: Task) -> None:
    """Release what others would wait for forever, and no clean-up has released: see kernel/sched/obligation.py. State
    that such locks guard answers EIO from now on.
    """
    lose_thread(task)
    memory = task.memory
    if memory is not None:
        memory.let_go()


def _interrupt(vector: int) -> None:
    PANIC.in_interrupt = True
    interrupts.handle(vector)
    PANIC.in_interrupt = False
    if RUNNING.is_observed:
        interrupt_served()


# Page faults ---------------------------------------------------------------------------------------------------------


def access_of(frame: TrapFrame) -> Access:
    """The access that the instruction attempted."""
    if was_write(frame):
        return Access.WRITE
    if was_fetch(frame):
        return Access.EXECUTE
    return Access.READ


def _make_accessible(task: Task, address: int, access: Access, of_key: bool) -> FaultOutcome:
    """`of_key`: the processor reports that a protection key forbade it."""
    space = task.memory
    if space is None:
        return FaultOutcome.NOT_MAPPED
    task.counts.minor_faults += 1
    if (of_key or space.keys is not None) and access != Access.EXECUTE:
        if space.forbids(address, is_write=access == Access.WRITE):
            return FaultOutcome.KEY_FORBIDS
    return space.fault(address, access)


@noinline
def _seen_fault(task: Task, address: int, access: Access, of_key: bool, in_user: bool) -> FaultOutcome:
    """A fault that events may report: of the program, or of the kernel on its behalf."""
    read_bytes = task.accounts.disk_read_bytes
    fault_begins(task, address, in_user)
    outcome = _make_accessible(task, address, access, of_key)
    if outcome == FaultOutcome.DONE:
        fault_ends(task, address, in_user, is_major=task.accounts.disk_read_bytes != read_bytes)
    return outcome


def _ask(task: Task, address: int, access: Access, by_kernel: bool) -> FaultOutcome:
    """A page is left to a program that serves faults: wait for it."""
    space = task.memory
    return FaultOutcome.DONE if space is None else space.ask(address, access, by_kernel)


def is_accessible_now(task: Task, address: int, access: Access, of_key: bool = False) -> bool:
    """The same for the kernel's copy routines: a shortage of memory is no reason to let the call fail, unless it is a
    lasting one of a control group.
    """
    while True:
        if RUNNING.is_observed:
            outcome = _seen_fault(task, address, access, of_key, in_user=False)
        else:
            outcome = _make_accessible(task, address, access, of_key)
        if outcome == FaultOutcome.DONE:
            return True
        if outcome == FaultOutcome.SERVED:
            outcome = _ask(task, address, access, by_kernel=True)
        if outcome != FaultOutcome.NO_MEMORY:
            return outcome == FaultOutcome.DONE
        if not find_memory_within_call(task):
            return False


def _page_fault(task: Task, frame: TrapFrame) -> None:
    """A program's fault. Read the address first: handling may sleep, and others fault meanwhile."""
    address = fault_address()
    if RUNNING.is_observed:
        outcome = _seen_fault(task, address, access_of(frame), was_key_fault(frame), in_user=True)
    else:
        outcome = _make_accessible(task, address, access_of(frame), was_key_fault(frame))
    if outcome != FaultOutcome.DONE:
        if outcome == FaultOutcome.SERVED:
            outcome = _ask(task, address, access_of(frame), by_kernel=False)
        if outcome != FaultOutcome.DONE:
            _report_fault(task, frame, address, outcome)


@noinline
def _report_fault(task: Task, frame: TrapFrame, address: int, outcome: FaultOutcome) -> None:
    task.registers.note_fault(frame, address)
    if outcome == FaultOutcome.NOT_MAPPED:
        force(task, from_fault(SIGSEGV, SEGV_MAPERR, address))
    elif outcome == FaultOutcome.NOT_ALLOWED:
        force(task, from_fault(SIGSEGV, SEGV_ACCERR, address))
    elif outcome == FaultOutcome.KEY_FORBIDS:
        space = task.memory
        force(task, from_key_fault(address, 0 if space is None else space.key_at(address)))
    elif outcome == FaultOutcome.NO_SUCH_PAGE:
        force(task, from_fault(SIGBUS, BUS_ADRERR, address))
    elif outcome == FaultOutcome.BROKEN:
        space = task.memory
        area = None if space is None else space.area_at(address)
        use = None if area is None else area.huge
        force(task, from_broken_memory(BUS_MCEERR_AR, address, PAGE_SHIFT if use is None else use.shift))
    else:
        find_memory(task)  # and the instruction faults again


# Other exceptions of programs ----------------------------------------------------------------------------------------


def _first_use_of_vector_registers(task: Task) -> None:
    try:
        task.registers.first_use()
    except MemoryError:
        find_memory(task)  # and the instruction faults again


@noinline
def _raise_signal(task: Task, frame: TrapFrame) -> None:
    """The signal and code that Linux gives for each exception."""
    space = task.memory
    if task.registers.mends(frame, None if space is None else space.segments):
        return
    task.registers.note_exception(frame)
    error = program_error(frame)
    probed = task.probed
    if probed is not None and error != ProgramError.STEP:
        probed.undo_step(frame)  # a displaced instruction failed: the signal names the original
    place = frame.instruction_pointer
    if error == ProgramError.DIVISION:
        force(task, from_fault(SIGFPE, FPE_INTDIV, place))
    elif error == ProgramError.FLOATING_POINT:
        force(task, from_fault(SIGFPE, FPE_FLTINV, place))
    elif error == ProgramError.INSTRUCTION:
        force(task, from_fault(SIGILL, ILL_ILLOPN, place))
    elif error == ProgramError.STEP:
        registers = task.registers
        if registers.was_watched:
            places_hit(task)
        if registers.was_step and step_done(task, frame):
            if registers.was_breakpoint:
                force(task, from_fault(SIGTRAP, TRAP_HWBKPT, frame.instruction_pointer))
            return
        if registers.was_step or registers.was_breakpoint or not registers.was_watched:
            force(task, from_fault(SIGTRAP, _step_code(task), place))
    elif error == ProgramError.BREAKPOINT:
        if not _is_of_probe(task, frame):
            force(task, from_kernel(SIGTRAP))
    elif error == ProgramError.ALIGNMENT:
        force(task, from_fault(SIGBUS, BUS_ADRALN, 0))
    elif error == ProgramError.STACK:
        force(task, from_kernel(SIGBUS))
    else:
        force(task, from_kernel(SIGSEGV))


def _is_of_probe(task: Task, frame: TrapFrame) -> bool:
    """Whether the program met a breakpoint of the kernel's."""
    try:
        return breakpoint_met(task, frame)
    except MemoryError:
        find_memory(task)  # and the program meets it again
        return True


def _step_code(task: Task) -> int:
    """The end of a step, a breakpoint of the debug registers, or a breakpoint instruction."""
    registers = task.registers
    if registers.was_step:
        return TRAP_TRACE
    return TRAP_HWBKPT if registers.was_breakpoint else TRAP_BRKPT
