"""What the scheduler, the doors and the life of tasks report, and which events hear of it.

Nobody reports anything while there is no event, and no program of bpf(2) at a tracepoint: `RUNNING.is_observed`.

Context: switches are reported between two threads, faults and calls by the running task. Nothing sleeps but what tells
of memory, and only `inherit`, the names of files and programs of bpf(2) allocate; what these lack ends in a run that is
missed.
"""

from typing import Final

from arch import USER_END, TrapFrame, call_under_way, present_frame_pointer
from kernel.lang import final, noinline
from kernel.lib.pace import pace
from kernel.lib.traceback import LineTable
from kernel.perf.attributes import EXCLUDE_KERNEL, TYPE_TRACEPOINT
from kernel.perf.breakpoints import send_traps
from kernel.perf.context import NO_PROCESSOR, EventContext
from kernel.perf.event import (
    CONTEXT_SWITCHES,
    CPU_MIGRATIONS,
    FIRST_CALL,
    PAGE_FAULTS,
    PAGE_FAULTS_MAJOR,
    PAGE_FAULTS_MINOR,
    RAW_ENTER,
    RAW_EXIT,
)
from kernel.perf.held_spaces import LATE, release_late
from kernel.perf.inheritance import end_events, follow_exec, inherit_events, withdraw
from kernel.perf.lifecycle import forget_observer
from kernel.perf.notices import NOTICES
from kernel.perf.overflow import BUDGET, INTERRUPTION, happened, is_excluded, passes, take_due
from kernel.perf.probes import install_in
from kernel.perf.programs import PROGRAMS, RAW_CALL_BEGINS, RAW_CALL_ENDS
from kernel.perf.records import (
    context_here,
    context_of,
    tell_area,
    tell_exit,
    tell_fork,
    tell_name,
    tell_space,
    tell_switch,
)
from kernel.perf.sample import IDLING, PLACE, Place
from kernel.perf.tracepoints import (
    ARGUMENT_COUNTS,
    PROCESS_EXEC,
    PROCESS_EXIT,
    PROCESS_FORK,
    RAW,
    SCHED_SWITCH,
)
from kernel.sched.observer import SWITCHES, SwitchObserver
from kernel.sched.processor import RUNNING, this_processor
from kernel.sched.thread import SCHED_DEADLINE, Thread, ThreadState
from kernel.task.observer import TASKS, TaskObserver
from kernel.task.task import TRACING, Task
from kernel.time.clock import monotonic_ns

_CHAIN: Final = LineTable()  # for its walk along frame pointers
_AREA_COST: Final = 100  # instructions
_FIRST_PRIORITY: Final = 120  # of nice 0
_LOWEST_REALTIME: Final = 99
_OF_DEADLINES: Final = -1
# Letters of sched_switch's states
_STATE_SLEEPS: Final = 1
_STATE_WAITS: Final = 2
_STATE_STOPPED: Final = 4
_STATE_TRACED: Final = 8
_STATE_DEAD: Final = 0x10
_STATE_PREEMPTED: Final = 0x100
_CALL_RECORD: Final = 16
_WORD: Final = 8


# Counts and tracepoints -----------------------------------------------------------------------------------------------


def _count(context: EventContext | None, kind: int, place: Place, address: int) -> None:
    """Something of software has happened once."""
    if context is None:
        return
    for event in context.events:
        if event.counts(kind) and not is_excluded(event, place):
            happened(event, 1, place, address, RAW.nothing())


def _report(context: EventContext | None, point: int, place: Place) -> None:
    """A tracepoint was passed, whose record is in RAW."""
    if context is None:
        return
    for event in context.events:
        if event.traces(point) and (place.is_user or not event.has(EXCLUDE_KERNEL)):
            if passes(event, event.primary().choice.filter, RAW.span()):
                happened(event, 1, place, 0, RAW.span())


def _report_all(context: EventContext | None, here: EventContext | None, point: int, place: Place) -> None:
    """The same for the events of a task and of the processor, if the programs there have nothing against it."""
    if PROGRAMS.run_at(point, RAW.data, place):
        _report(context, point, place)
        _report(here, point, place)


def _is_looked_at(context: EventContext | None, here: EventContext | None, point: int) -> bool:
    """Whether events or programs want a tracepoint's record."""
    return PROGRAMS.at(point) is not None or _is_traced(context, point) or _is_traced(here, point)


def _is_traced(context: EventContext | None, point: int) -> bool:
    if context is None:
        return False
    for event in context.events:
        if event.attributes.type == TYPE_TRACEPOINT and event.attributes.config == point:
            return True
    return False


def _install(task: Task, start: int, end: int) -> None:
    try:
        install_in(task, start, end)
    except MemoryError:
        return  # as on Linux, the program goes on without


@noinline
def _place_in_kernel(thread: Thread | None, frame_pointer: int) -> Place:
    """Where the function returns that reports something: the frame pointer is its own, so that its callers can be
    found as long as it reports.
    """
    running = RUNNING.current
    stack = running.stack
    address = 0
    if stack is not None and _CHAIN.follow(0, frame_pointer, frame_pointer, stack.top) > 0:
        address = _CHAIN.addresses[0] + 1
    PLACE.be_kernel(thread, address, frame_pointer if thread is running else 0, is_caller=True)
    return PLACE


# Switches -------------------------------------------------------------------------------------------------------------


def _number_of(thread: Thread | None) -> int:
    return int(thread.tid) if isinstance(thread, Task) else 0


def _name_of(thread: Thread | None) -> bytes:
    return b"swapper/0" if thread is None else thread.name


def _priority_of(thread: Thread | None) -> int:
    if thread is None:
        return _FIRST_PRIORITY
    if thread.wishes.policy == SCHED_DEADLINE:
        return _OF_DEADLINES
    if thread.has_realtime_policy():
        return _LOWEST_REALTIME - thread.wishes.realtime_priority
    return _FIRST_PRIORITY + thread.wishes.nice


def _state_of(thread: Thread | None) -> int:
    if thread is None:
        return 0
    state = thread.state
    if state == ThreadState.SLEEPING:
        return _STATE_SLEEPS
    if state == ThreadState.WAITING:
        return _STATE_WAITS
    if state == ThreadState.STOPPED:
        return _STATE_STOPPED
    if state == ThreadState.TRACED:
        return _STATE_TRACED
    if state == ThreadState.DEAD:
        return _STATE_DEAD
    return _STATE_PREEMPTED


@final
class PerfSwitches(SwitchObserver):
    """Hears of switches."""

    def idles(self, thread: Thread) -> None:
        BUDGET.begin()
        here = _place_in_kernel(None, present_frame_pointer())
        INTERRUPTION.address = here.address  # of clocks that ring outside an interrupt
        INTERRUPTION.frame_pointer = 0
        if not IDLING.is_on and this_processor().idle_thread is not thread:
            self._leave(thread, None)
            IDLING.is_on = True
        NOTICES.tell_now()

    def arrives(self, previous: Thread, following: Thread) -> None:
        BUDGET.begin()
        if IDLING.is_on:
            IDLING.is_on = False
            self._trace(None, following)
            self._enter(following, None)
        elif following is not previous:
            self._leave(previous, following)
            self._enter(following, previous)

    def _leave(self, thread: Thread, following: Thread | None) -> None:
        context = context_of(thread if isinstance(thread, Task) else None)
        was_preempted = thread.state == ThreadState.READY  # before a record wakes it
        self._trace(thread, following)
        place = _place_in_kernel(thread, present_frame_pointer())
        _count(context, CONTEXT_SWITCHES, place, 0)
        _count(context_here(), CONTEXT_SWITCHES, place, 0)
        tell_switch(context, thread, following, is_out=True, was_preempted=was_preempted)
        tell_switch(context_here(), thread, following, is_out=True, was_preempted=was_preempted)
        if context is not None and context.is_in:
            context.leave(monotonic_ns())

    def _enter(self, thread: Thread, previous: Thread | None) -> None:
        number = this_processor().number
        if TRACING.observes_all and isinstance(thread, Task):
            thread.calls.are_watched = True  # until a call finds that nobody looks any more
        context = context_of(thread if isinstance(thread, Task) else None)
        if context is not None:
            has_moved = context.processor != number and context.processor != NO_PROCESSOR
            context.enter(number, monotonic_ns())
            if has_moved:
                place = _place_in_kernel(thread, present_frame_pointer())
                _count(context, CPU_MIGRATIONS, place, 0)
                _count(context_here(), CPU_MIGRATIONS, place, 0)
        tell_switch(context, thread, previous, is_out=False, was_preempted=False)
        tell_switch(context_here(), thread, previous, is_out=False, was_preempted=False)

    def _trace(self, previous: Thread | None, following: Thread | None) -> None:
        context = context_of(previous if isinstance(previous, Task) else None)
        here = context_here()
        if not _is_looked_at(context, here, SCHED_SWITCH):
            return
        RAW.begin(SCHED_SWITCH, _number_of(previous), 64)
        RAW.put_name(8, _name_of(previous))
        RAW.put_half(24, _number_of(previous))
        RAW.put_half(28, _priority_of(previous))
        RAW.put(32, _state_of(previous))
        RAW.put_name(40, _name_of(following))
        RAW.put_half(56, _number_of(following))
        RAW.put_half(60, _priority_of(following))
        place = _place_in_kernel(previous, present_frame_pointer())
        _report_all(context, here, SCHED_SWITCH, place)


# Faults and interrupts ------------------------------------------------------------------------------------------------


@noinline
def fault_begins(task: Task, address: int, in_user: bool) -> None:
    """A page fault of the running task, by its program or by the kernel on its behalf."""
    _count_fault(task, PAGE_FAULTS, address, in_user)


@noinline
def fault_ends(task: Task, address: int, in_user: bool, is_major: bool) -> None:
    """The page is there; whether a disk was read for it."""
    _count_fault(task, PAGE_FAULTS_MAJOR if is_major else PAGE_FAULTS_MINOR, address, in_user)


def _count_fault(task: Task, kind: int, address: int, in_user: bool) -> None:
    BUDGET.begin()
    if in_user:
        PLACE.be_user(task)
    else:
        _place_in_kernel(task, present_frame_pointer())
    _count(context_of(task), kind, PLACE, address)
    _count(context_here(), kind, PLACE, address)


@noinline
def interrupted_in_kernel(frame: TrapFrame) -> None:
    """An interrupt came at a safe point, or while the processor idled."""
    INTERRUPTION.in_kernel = True
    INTERRUPTION.address = frame.instruction_pointer
    INTERRUPTION.frame_pointer = frame.frame_pointer


@noinline
def interrupt_served() -> None:
    """It was served."""
    BUDGET.begin()
    thread = RUNNING.current
    context = context_of(thread if isinstance(thread, Task) else None)
    if context is not None and isinstance(thread, Task):
        thread.registers.reload_watches()
    take_due(context)
    take_due(context_here())
    INTERRUPTION.in_kernel = False


# System calls ---------------------------------------------------------------------------------------------------------


def _looks_at_calls(task: Task) -> bool:
    if PROGRAMS.of_calls > 0:
        return True
    context = context_of(task)
    here = context_here()
    return (context is not None and context.watches_calls()) or (here is not None and here.watches_calls())


@noinline
def call_begins(task: Task, number: int, frame: TrapFrame) -> None:
    """The running task makes a system call."""
    if not _looks_at_calls(task):
        return
    BUDGET.begin()
    context = context_of(task)
    here = context_here()
    PLACE.be_user(task)
    PROGRAMS.run_raw(RAW_CALL_BEGINS, number, number, PLACE)
    if _is_looked_at(context, here, RAW_ENTER):
        RAW.begin(RAW_ENTER, int(task.tid), _CALL_RECORD + 6 * _WORD)
        RAW.put(8, number)
        _put_arguments(frame, 6)
        place = _place_in_kernel(task, present_frame_pointer())
        _report_all(context, here, RAW_ENTER, place)
    if 0 <= number < len(ARGUMENT_COUNTS):
        PLACE.be_user(task)  # only these are said to come from the program
        point = FIRST_CALL + 2 * number + 1
        RAW.begin(point, int(task.tid), _CALL_RECORD + ARGUMENT_COUNTS[number] * _WORD)
        RAW.put_half(8, number)
        _put_arguments(frame, ARGUMENT_COUNTS[number])
        _report_all(context, here, point, PLACE)


def _put_arguments(frame: TrapFrame, count: int) -> None:
    for i in range(count):
        value = frame.first
        if i == 1:
            value = frame.second
        elif i == 2:
            value = frame.third
        elif i == 3:
            value = frame.fourth
        elif i == 4:
            value = frame.fifth
        elif i == 5:
            value = frame.sixth
        RAW.put(_CALL_RECORD + i * _WORD, value)


@noinline
def call_ends(task: Task, number: int, result: int) -> None:
    """It returns."""
    if not _looks_at_calls(task):
        return
    BUDGET.begin()
    context = context_of(task)
    here = context_here()
    PLACE.be_user(task)
    PROGRAMS.run_raw(RAW_CALL_ENDS, number, result, PLACE)
    if _is_looked_at(context, here, RAW_EXIT):
        RAW.begin(RAW_EXIT, int(task.tid), _CALL_RECORD + _WORD)
        RAW.put(8, number)
        RAW.put(_CALL_RECORD, result)
        place = _place_in_kernel(task, present_frame_pointer())
        _report_all(context, here, RAW_EXIT, place)
    if 0 <= number < len(ARGUMENT_COUNTS):
        PLACE.be_user(task)
        point = FIRST_CALL + 2 * number
        RAW.begin(point, int(task.tid), _CALL_RECORD + _WORD)
        RAW.put_half(8, number)
        RAW.put(_CALL_RECORD, result)
        _report_all(context, here, point, PLACE)


# The life of tasks ----------------------------------------------------------------------------------------------------


@final
class PerfTasks(TaskObserver):
    """Hears of tasks."""

    def inherit(self, parent: Task, child: Task, is_thread: bool) -> None:
        inherit_events(parent, child, is_thread)

    def forget(self, child: Task) -> None:
        withdraw(child)

    def forked(self, parent: Task, child: Task) -> None:
        self._trace_fork(parent, child)
        tell_fork(parent, child)

    def _trace_fork(self, parent: Task, child: Task) -> None:
        BUDGET.begin()
        context = context_of(parent)
        here = context_here()
        if _is_looked_at(context, here, PROCESS_FORK):
            RAW.begin(PROCESS_FORK, int(parent.tid), 48)
            RAW.put_name(8, parent.name)
            RAW.put_half(24, int(parent.tid))
            RAW.put_name(28, child.name)
            RAW.put_half(44, int(child.tid))
            place = _place_in_kernel(parent, present_frame_pointer())
            _report_all(context, here, PROCESS_FORK, place)

    def begins(self, child: Task) -> None:
        _install(child, 0, USER_END)
        number = call_under_way(child.stack_top)
        if number >= 0:
            call_ends(child, number, 0)

    def executed(self, task: Task, old_tid: int, name: bytes) -> None:
        follow_exec(task)
        tell_name(task, by_exec=True)
        space = task.memory
        if space is not None:
            tell_space(task, space)
        install_in(task, 0, USER_END)
        context = context_of(task)
        here = context_here()
        if _is_looked_at(context, here, PROCESS_EXEC):
            RAW.begin(PROCESS_EXEC, int(task.tid), 20)
            RAW.put_half(12, int(task.tid))
            RAW.put_half(16, old_tid)
            RAW.put_end(8, name)
            BUDGET.begin()
            place = _place_in_kernel(task, present_frame_pointer())
            _report_all(context, here, PROCESS_EXEC, place)

    def returns(self) -> bool:
        if len(LATE) > 0:
            release_late()
            forget_observer()
        thread = RUNNING.current
        are_sent = isinstance(thread, Task) and send_traps(thread)
        return NOTICES.tell_now() or are_sent

    def renamed(self, task: Task) -> None:
        tell_name(task, by_exec=False)

    def mapped(self, task: Task, start: int, end: int) -> None:
        _install(task, start, end)
        space = task.memory
        at = start
        while space is not None and at < end:
            area = space.area_at(at)
            if area is None:
                return
            at = area.end  # telling of it may sleep
            tell_area(task, area)
            pace(_AREA_COST)  # also where nobody listens

    def exits(self, task: Task) -> None:
        context = context_of(task)
        tell_exit(context, task)
        if context is not None:
            end_events(task, context)
        tell_exit(context_here(), task)
        here = context_here()  # as on Linux, its own events have ended
        if _is_looked_at(None, here, PROCESS_EXIT):
            BUDGET.begin()
            RAW.begin(PROCESS_EXIT, int(task.tid), 32)
            RAW.put_name(8, task.name)
            RAW.put_half(24, int(task.tid))
            RAW.put_half(28, _priority_of(task))
            _report_all(None, here, PROCESS_EXIT, _place_in_kernel(task, present_frame_pointer()))


SWITCHES.observer = PerfSwitches()
TASKS.observer = PerfTasks()
