"""A program meets a breakpoint of the kernel's: events hear of it, and the program goes on past the instruction.

A signal, or a stop, undoes a step that has not been made; the program meets the breakpoint again afterwards, which is
not reported twice. A breakpoint that nobody wants any more is taken out.

Context: the running task's exception. May sleep. MemoryError leaves the program where it was.
"""

from typing import Final

from arch import TrapFrame, user_instruction_pointer
from arch.programs import (
    BREAKPOINT_CODE,
    breakpoint_place,
    is_stepping,
    pass_without_step,
    return_place,
    set_instruction_pointer,
)
from kernel.lang import EAGAIN, Errno, UserAddr, noinline
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.space import AddressSpace
from kernel.perf.attributes import EXCLUDE_KERNEL
from kernel.perf.context import EventContext
from kernel.perf.overflow import BUDGET, happened, passes
from kernel.perf.probe_page import ProbePage, make_probe_page, probe_page
from kernel.perf.probe_record import arguments_of
from kernel.perf.probed_task import MOST_RETURNS, ProbedTask, WatchedReturn
from kernel.perf.probes import PROBES, Probe, ProbePoint
from kernel.perf.records import context_here, context_of
from kernel.perf.sample import PLACE
from kernel.perf.tracepoints import RAW
from kernel.task.send import force
from kernel.task.siginfo import from_fault, from_kernel
from kernel.task.signals import SEGV_MAPERR, SIGILL, SIGSEGV, SIGTRAP, TRAP_TRACE
from kernel.task.task import Task

_NO_RETURN: Final = from_kernel(SIGILL)  # created beforehand: the program has gone past the breakpoint
_SLOT_SHIFT: Final = 4
_HEADER: Final = 8
_WORD: Final = 8
_ARGUMENT_COST: Final = 300
_POINT_COST: Final = 50  # instructions, for `pace`
_NUMBER_MASK: Final = 0xFFFF  # records name their point in 16 bits; numbers of points without names are larger


def _state_of(task: Task) -> ProbedTask:
    """Raises MemoryError."""
    own = task.own()
    state = own.probed
    if isinstance(state, ProbedTask):
        return state
    fresh = ProbedTask()
    own.probed = fresh
    return fresh


@noinline
def breakpoint_met(task: Task, frame: TrapFrame) -> bool:
    """The program ran into a breakpoint instruction; whether that was the kernel's. Raises MemoryError."""
    space = task.memory
    address = breakpoint_place(frame)
    if not PROBES.were_used or space is None or address < 0:
        return False
    if address == space.layout.probe_page and probe_page(space) is not None:
        _returned(task, frame, address)
        return True
    if not space.layout.has_breakpoints:
        return False  # it is the program's own, or its debugger's
    area = space.area_at(address)
    source = None if area is None else area.source
    probe = None if area is None or source is None or area.shared else PROBES.find(source, area.offset_of(address))
    if probe is None:
        return _is_stale(frame, address)
    set_instruction_pointer(frame, address)
    try:
        _pass(task, frame, probe, address)
    except Errno as error:
        if error.code != EAGAIN:  # that is another try
            force(task, from_fault(SIGSEGV, SEGV_MAPERR, address))
    return True


def _is_stale(frame: TrapFrame, address: int) -> bool:
    """A breakpoint where no probe is: it may have been taken out since."""
    try:
        if user.read_u8(UserAddr(address)) == BREAKPOINT_CODE:
            return False
    except Errno:
        pass  # unmapped: the program sees so when it goes on
    set_instruction_pointer(frame, address)
    return True


def _pass(task: Task, frame: TrapFrame, probe: Probe, address: int) -> None:
    """Report the probe, and let the program go on. Raises ENOMEM, EAGAIN, MemoryError."""
    state = _state_of(task)
    space = task.space
    was_reported = state.undone_at == address and state.undone_stack == frame.stack_pointer
    state.undone_at = 0
    if not was_reported:
        if not probe.is_wanted_in(space, task):
            probe.put(space, address, is_in=False)
            return
        page = _page_for_returns(space, probe)
        _report(task, frame, probe, address, is_return=False)
        _count(probe)
        if page is not None:
            _watch_return(frame, state, probe, address, space.layout.probe_page)
    state.undone_at = address  # until the instruction is done
    state.undone_stack = frame.stack_pointer
    try:
        if pass_without_step(probe.what, frame):
            state.undone_at = 0
            if is_stepping(frame):
                force(task, from_fault(SIGTRAP, TRAP_TRACE, frame.instruction_pointer))
            return
    except Errno:
        pass  # its stack cannot be written: the instruction itself shall fail
    page = make_probe_page(space)
    slot = page.take_slot(probe.number, probe.what.code)
    state.page = page
    state.slot = slot
    state.step.begin(probe.what, frame, user.at(UserAddr(space.layout.probe_page), slot << _SLOT_SHIFT))
    state.undone_at = 0


def _page_for_returns(space: AddressSpace, probe: Probe) -> ProbePage | None:
    """The page to which the function returns, if anybody wants that and there can be one. Raises MemoryError."""
    for point in probe.points:
        if point.is_return and len(point.users) > 0:
            try:
                return make_probe_page(space)
            except Errno:
                return None  # as on Linux, nobody hears of the return
    return None


def _count(probe: Probe) -> None:
    """For tracefs: how often each point was met that is in use."""
    for point in probe.points:
        if len(point.users) > 0:
            point.hits += 1
        pace(_POINT_COST)


@noinline
def step_done(task: Task, frame: TrapFrame) -> bool:
    """The processor made a step; whether that was of a displaced instruction, and nobody else's."""
    state = task.probed
    if not isinstance(state, ProbedTask) or not state.step.is_under_way():
        return False
    state.leave_slot()
    try:
        was_stepping = state.step.end(frame)
    except Errno:
        force(task, from_kernel(SIGSEGV))
        return True
    if was_stepping:
        force(task, from_fault(SIGTRAP, TRAP_TRACE, frame.instruction_pointer))
    return True


def _report(task: Task, frame: TrapFrame, probe: Probe, function: int, is_return: bool) -> None:
    """Tell the events of a probe."""
    found: list[ProbePoint] = []
    arguments: list[bytes] = []
    for point in [point for point in probe.points if point.command is not None]:
        command = point.command
        if command is not None and point.is_return == is_return and len(point.users) > 0:
            arguments.append(arguments_of(task, frame, command))  # may sleep
            found.append(point)
            pace(_ARGUMENT_COST * len(command.arguments))
    for index in range(len(found)):
        found[index].arguments = arguments[index]
    PLACE.be_user(task)
    BUDGET.begin()
    _report_to(context_of(task), task, probe, function, is_return)
    _report_to(context_here(), task, probe, function, is_return)
    for point in found:
        point.arguments = None


def _report_to(context: EventContext | None, task: Task, probe: Probe, function: int, is_return: bool) -> None:
    if context is None:
        return
    for event in context.events:
        point = event.target.point
        if point is None or point.probe is not probe or point.is_return != is_return or not event.is_active:
            continue
        arguments = point.arguments
        if arguments is None:
            if point.command is not None:
                continue  # it came into use while those of others were read
            arguments = b""
        size = _HEADER + (2 * _WORD if is_return else _WORD)
        RAW.begin(point.number & _NUMBER_MASK, int(task.tid), size + len(arguments))
        RAW.put_bytes(size, arguments)
        RAW.put(_HEADER, function)
        if is_return:
            RAW.put(_HEADER + _WORD, user_instruction_pointer(task.stack_top))
        chosen = event.primary().choice.filter
        if (PLACE.is_user or not event.has(EXCLUDE_KERNEL)) and passes(event, chosen, RAW.span()):
            happened(event, 1, PLACE, 0, RAW.span())


# Returns --------------------------------------------------------------------------------------------------------------


def _watch_return(frame: TrapFrame, state: ProbedTask, probe: Probe, function: int, trampoline: int) -> None:
    """The function returns to the kernel first. Where that is impossible, or memory is short, nobody hears of its
    return.
    """
    place = return_place(frame, has_returned=False)
    try:
        address = user.read_i64(UserAddr(place))
    except Errno:
        return
    is_chained = address == trampoline
    state.forget_dead(place, is_chained)
    if len(state.returns) >= MOST_RETURNS or (is_chained and len(state.returns) == 0):
        return
    try:
        state.returns.append(WatchedReturn(probe, function, place, address, is_chained))
    except MemoryError:
        return
    try:
        if not is_chained:
            user.write_i64(UserAddr(place), trampoline)
    except Errno:
        state.returns.pop()


def _returned(task: Task, frame: TrapFrame, trampoline: int) -> None:
    """Functions have returned, to the trampoline: the newest one, and those that it took the place of. Raises
    MemoryError: then the program returns there again.
    """
    state = task.probed
    if not isinstance(state, ProbedTask):
        force(task, _NO_RETURN)
        return
    place = return_place(frame, has_returned=True)
    first = len(state.returns)
    while first > 0 and (state.returns[first - 1].place < place or state.returns[first - 1].is_chained):
        first -= 1
    if first == 0:
        force(task, _NO_RETURN)
        return
    first -= 1
    set_instruction_pointer(frame, state.returns[first].address)
    try:
        while len(state.returns) > first:
            entry = state.returns[len(state.returns) - 1]
            if entry.place >= place:
                _report(task, frame, entry.probe, entry.function, is_return=True)
            state.returns.pop()
    except MemoryError:
        set_instruction_pointer(frame, trampoline)
        raise
